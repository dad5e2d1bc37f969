"""Signals interrupt fibers that wait in C code and go on, at whatever instruction; each run ends, and what is counted is right."""

import gc
import signal
import sys

from stackful import Fiber, FiberError, FiberExit, suspend, transfer

sys.unraisablehook = lambda report: None


class Interrupted(BaseException):
    pass


def interrupt(number, frame):
    if armed[0]:
        armed[0] = False
        raise Interrupted


armed = [False]
signal.signal(signal.SIGALRM, interrupt)


def depth(n=0):
    try:
        return depth(n + 1)
    except RecursionError:
        return n


def waits(n):
    try:
        return sorted(range(3), key=lambda x: suspend(x) or (waits(n - 1)[0] if n else x))
    finally:
        [suspend("finally") for _ in "a"]


def partner():
    while True:
        list(map(lambda _: transfer(box[0]), [1]))


def transfers():
    return sorted(range(3), key=lambda x: transfer(box[1]) or x)


def one_round(number):
    fiber = Fiber(waits, number % 3)
    while fiber.status != "dead":
        fiber.resume()
        if number % 7 == 0:
            gc.collect(0)


def other_round():
    box[:] = [Fiber(transfers), Fiber(partner)]
    transfer(box[0])


box = []
before = depth()
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.00021)
interrupted = 0
for number in range(1500):
    try:
        armed[0] = True
        one_round(number) if number % 2 else other_round()
        armed[0] = False
    except Interrupted:
        interrupted += 1
    except (FiberError, FiberExit):
        pass
signal.signal(signal.SIGALRM, signal.SIG_IGN)
box.clear()
gc.collect()
assert interrupted > 10, interrupted
assert depth() == before
assert Fiber(lambda: sorted([2, 1], key=lambda x: suspend() or x)).resume() is None
