"""A run made of acts, whose effects are lines in a file outside of the store; and a fuse that ends the process at a place that was chosen."""

import json
import os
import signal
import sqlite3
import threading
from contextlib import contextmanager
from uuid import uuid4

from stackful import durable


class Fuse:
    """Ends the process by SIGKILL when something of one kind happens for the n-th time: "before" or "after" a commit, in a "step"."""

    def __init__(self):
        self.kind, self.left = "", 0
        self._lock = threading.Lock()

    def burn(self, kind):
        with self._lock:
            if kind == self.kind:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

    def arm(self, store, kind, number):
        self.kind, self.left = kind, number
        for name in ("commit", "claim", "release"):
            setattr(store, name, self._around(getattr(store, name)))
        store.transaction = self._within(store.transaction)

    def _around(self, method):
        def call(*args):
            self.burn("before")
            done = method(*args)
            self.burn("after")
            return done

        return call

    def _within(self, transaction):
        @contextmanager
        def share():
            with transaction() as shared:
                yield shared
                self.burn("before")
            self.burn("after")

        return share


fuse = Fuse()


def effect(place, before):
    """Something that cannot be undone. What it returns is another value each time that it is done."""
    run, token = durable.current_step().run, uuid4().hex[:8]
    line = json.dumps([run, place, before, token])
    file = os.open(os.environ["EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)
    fuse.burn("step")
    return token


def book(connection, run, place):
    """The same, where the store's transaction can undo it."""
    token = uuid4().hex[:8]
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    connection.execute(f"INSERT INTO notes VALUES ({mark}, {mark}, {mark})", [run, place, token])
    return token


def broken(mended):
    """Fails until it is mended."""
    if not os.path.exists(mended):
        raise ValueError("it is broken")
    return "mended"


@durable.run
def play(acts):
    """Do these acts; what came of each, in order."""
    got = []
    try:
        for place, act in enumerate(acts):
            if act == "step":
                got.append(durable.step(effect, place, list(got)))
            elif act == "book":
                got.append(durable.transaction(book, durable.current_run().id, place))
            elif act == "sleep":
                got.append(durable.sleep(0.01))
            elif act == "wait":
                got.append(durable.wait_signal("go"))
            elif act == "child":
                got.append(durable.start(play, ["step"]).result())
            elif act == "fail":
                got.append(durable.step(broken, f"{os.environ['EFFECTS']}.mended"))
    except durable.RunCancelled as end:
        got.extend(end.recorded)
        durable.step(effect, len(acts), list(got))
        raise
    return got
