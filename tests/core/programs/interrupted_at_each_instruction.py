"""A KeyboardInterrupt at each instruction in turn: it is seen once, and every fiber is dead or whole afterwards."""

import copy
import signal
import sys

from stackful import Fiber, suspend


def deep(n, total=0):
    for x in [1, 2]:
        total += deep(n - 1) if n else suspend(x)
    return total


def closed(log):
    try:
        suspend()
    finally:
        log.append("closed")


def work(fibers, log):
    fiber = Fiber(deep, 2)
    fibers.append(fiber)
    fiber.resume()
    fiber.resume(1)
    fibers.append(copy.copy(fiber))
    fibers[-1].resume(1)
    other = Fiber(closed, log)
    other.resume()
    try:
        fibers[-1].throw(KeyError)
    except KeyError:
        pass
    other.close()


class Interrupter:
    """A trace function that sends the signal at instruction number `at`: its handler raises before the next one."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, argument):
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == -1:
                signal.raise_signal(signal.SIGUSR1)
        return self


def raise_interrupt(number, frame):
    raise KeyboardInterrupt


def interrupted(at):
    """Whether there were so many instructions."""
    fibers, log = [], []
    interrupter = Interrupter(at)
    sys._getframe().f_trace_opcodes = True  # 3.12 reports instructions only if this was set before settrace
    sys.settrace(interrupter)
    try:
        work(fibers, log)
        seen = False
    except KeyboardInterrupt:
        seen = True
    sys.settrace(None)
    assert seen == (interrupter.left < 0)
    del interrupter
    for fiber in fibers:
        value = 1 if fiber.frames else None
        while fiber.status != "dead":
            fiber.resume(value)
            value = 1
        assert fiber.frames == ()
    # Interrupted in `finally` before it appends, or not begun.
    assert seen or log == ["closed"]
    return seen


signal.signal(signal.SIGUSR1, raise_interrupt)
at = 0
while interrupted(at):
    at += 1
assert at > 150, at
