"""A worker process: it restores the fibers and runs the programs that it is sent over a pipe.

Run as a script, this module is the worker's end.
"""

import os
import pickle
import struct
import subprocess
import sys
import traceback
from pathlib import Path

LENGTH = struct.Struct("<Q")


def write_message(stream, message):
    data = pickle.dumps(message)
    stream.write(LENGTH.pack(len(data)) + data)
    stream.flush()


def read_message(stream):
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    return pickle.loads(stream.read(LENGTH.unpack(head)[0]))


class WorkerDiedError(Exception):
    """The worker ended: a crash, for no request ends it."""


class Worker:
    """The parent's end; a worker that died is replaced at the next request."""

    def __init__(self):
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    def ask(self, *request):
        """Send a request and return the reply; an error that the worker's harness met is raised here."""
        if self.process is None:
            self.start()
        try:
            write_message(self.process.stdin, request)
            kind, reply = read_message(self.process.stdout)
        except (EOFError, BrokenPipeError):
            raise WorkerDiedError(f"{request[0]}: the worker ended with status {self.stop()}") from None
        if kind == "failed":
            raise AssertionError(f"in the worker process:\n{reply}")
        return reply

    def start(self):
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return None
        process.stdin.close()
        process.stdout.close()
        return process.wait(timeout=20)


def serve(requests, replies):
    """Answer until the parent closes the pipe."""
    from laws import harness

    handlers = {
        "resume": harness.restored_outcome,
        "run": harness.stepped_outcome,
        "refuse": harness.refusals,
    }
    while True:
        try:
            kind, *arguments = read_message(requests)
        except EOFError:
            return
        try:
            reply = ("replied", handlers[kind](*arguments))
        except Exception:
            reply = ("failed", traceback.format_exc())
        write_message(replies, reply)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    serve(sys.stdin.buffer, sys.stdout.buffer)
