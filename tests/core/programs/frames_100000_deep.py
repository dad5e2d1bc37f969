"""A stack of 100,000 frames is suspended, looked at, copied, unwound by return, exception, close and drop."""

import copy
import gc
import sys

from stackful import Fiber, suspend

DEPTH = 100_000
sys.setrecursionlimit(2 * DEPTH)


def deep(n):
    return suspend("deep") if n == 0 else deep(n - 1) + 1


def suspended():
    fiber = Fiber(deep, DEPTH)
    assert fiber.resume() == "deep"
    return fiber


fiber = suspended()
twin = copy.copy(fiber)
assert twin.resume(5) == DEPTH + 5
assert len(fiber.frames) == DEPTH + 1
twin = copy.copy(fiber)
gc.collect()
del twin
try:
    fiber.throw(KeyError)
except KeyError:
    pass
suspended().close()
del fiber
fiber = suspended()
del fiber
