"""A warm process, which forks workers that drive the runs of acts.py, and die by SIGKILL where they are told.

It reads orders from its standard input, forks a worker for each, and prints the worker's id, and then how it ended.
"""

import json
import os
import signal
import sys

import acts

import stackful.durable.engine
import stackful.durable.sqlite.wakeups  # noqa: F401 - loaded once, not by every worker
from stackful import durable


def drive(address, log, kind, number):
    """Be a worker, until SIGTERM or the fuse ends it."""
    os.environ["EFFECTS"] = log
    engine = durable.connect(address, work=False)
    acts.fuse.arm(engine.store, kind, number)
    engine.work()
    signal.sigwait({signal.SIGTERM})
    engine.drain(30)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # a worker takes it when it is ready to
    for line in sys.stdin:
        worker = os.fork()
        if worker == 0:
            try:
                drive(*json.loads(line))
            finally:
                os._exit(0 if sys.exc_info()[0] is None else 1)
        print(worker, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
