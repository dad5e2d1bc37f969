"""An exception that is raised in frames that run together leaves them as it leaves plain calls: handlers, `finally` blocks, tracebacks."""

import sys
import traceback

from stackful import effect, handle, perform


@effect
def ask() -> int: ...


class Manager:
    def __init__(self, log, n):
        self.log, self.n = log, n

    def __enter__(self):
        self.log.append(("in", self.n))

    def __exit__(self, kind, error, tb):
        self.log.append(("out", self.n, kind))


def deep(n, at, caught, log, wait):
    try:
        with Manager(log, n):
            got = wait() if n == 0 else deep(n - 1, at, caught, log, wait)
            log.append(n)
            if n == at:
                raise KeyError(n)
            return got + 1
    except KeyError as error:
        log.append((n, sys.exc_info()[1] is error, len(traceback.extract_tb(error.__traceback__))))
        if n == caught:
            return 100
        raise
    finally:
        log.append((n, "finally", sys.exc_info()[0]))


def outcome(function):
    try:
        return function()
    except Exception as error:
        places = [(each.name, each.lineno) for each in traceback.extract_tb(error.__traceback__)]
        return type(error), [place for place in places if place[0] == "deep"]


def plainly(at, caught):
    log = []
    return outcome(lambda: deep(40, at, caught, log, lambda: 0)), log


def resumed(at, caught):
    log = []

    def clause(k):
        entered = len(log)
        found = []
        for _ in range(3):
            del log[entered:]
            found.append((outcome(lambda: k.resume(0)), list(log)))
        return found

    return handle(lambda: deep(40, at, caught, log, lambda: perform(ask)), ask.ctl(clause))


for at in (0, 1, 2, 3, 4, 7, 8, 20, 39, 40):
    for caught in (at, at + 1, at + 5, 39, 40, 41):
        right = plainly(at, caught)
        assert resumed(at, caught) == [right] * 3, (at, caught)


def thrown(k):
    """An exception that comes from outside, caught somewhere on the way: from there on frames are run together again."""
    found = []
    for _ in range(3):
        try:
            found.append(k.discontinue(KeyError("thrown")))
        except KeyError:
            found.append("out")
    return found


for caught in (0, 1, 5, 20, 40, 41):
    log = []
    right = 100 + 40 - caught if caught < 41 else "out"
    assert handle(lambda: deep(40, None, caught, log, lambda: perform(ask)), ask.ctl(thrown)) == [right] * 3, caught
