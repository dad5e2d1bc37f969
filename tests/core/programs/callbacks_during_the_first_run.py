"""Trace and profile functions run Python code while a fiber's first frames are being moved."""

import sys

from stackful import Fiber, suspend


def callback(frame, event, arg):
    pad = [1, 2, 3]
    repr(frame)
    return callback


def deep(n):
    return suspend(n) if n == 0 else deep(n - 1)


def body(a, b):
    c = a + b
    for _ in range(3):
        c += suspend(c)
    return c, deep(50), deep(2000)


sys.setrecursionlimit(10_000)
for switch in (sys.setprofile, sys.settrace):
    switch(callback)
    fiber = Fiber(body, 1, 2)
    results = [fiber.resume(), *(fiber.resume(i) for i in range(3)), fiber.resume(7), fiber.resume(8)]
    switch(None)
    assert results == [3, 3, 4, 0, 0, (6, 7, 8)], results
