"""Threads resume, copy, look at and close the same fibers all at once."""

import copy
import sys
import threading

from stackful import Fiber, suspend

sys.setswitchinterval(1e-5)


def deep(n):
    for i in range(20):
        if n:
            deep(n - 1)
        else:
            suspend(i)
        if i > n:
            return


def fight(fibers):
    for i in range(150):
        fiber = fibers[i % len(fibers)]
        for act in (fiber.resume, lambda: copy.copy(fiber).resume(), lambda: fiber.frames, lambda: repr(fiber)):
            try:
                act()
            except RuntimeError:
                pass


fibers = [Fiber(deep, n) for n in (1, 3, 6)]
threads = [threading.Thread(target=fight, args=(fibers,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
