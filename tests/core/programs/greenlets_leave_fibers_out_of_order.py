"""Greenlets that are switched inside of fibers leave them in another order than they were entered."""

import gc
import sys

try:
    import greenlet
except ImportError:
    sys.exit(0)

from stackful import Fiber, current, suspend


def a():
    g2.switch()


def b():
    g1.switch()
    main.switch()


def run(body):
    Fiber(body).resume()
    main.switch()


main = greenlet.getcurrent()
g1 = greenlet.greenlet(lambda: run(a))
g2 = greenlet.greenlet(lambda: run(b))
g1.switch()
gc.collect()
junk = [bytearray(8 * k) for k in range(10, 60) for _ in range(200)]
g2.switch()
g2.switch()
assert current() is None
fiber = Fiber(lambda: suspend(4))
assert fiber.resume() == 4
