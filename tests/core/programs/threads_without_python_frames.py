"""Fibers are begun, resumed and ended by threads that have no Python frame and no data stack of their own."""

import _thread
import time

from stackful import Fiber, suspend


def recurse(n):
    return n and recurse(n - 1)


def body(log):
    for _ in range(3):
        recurse(300)
        log.append(suspend())
    recurse(300)
    log.append("end")


for _ in range(20):
    log = []
    fiber = Fiber(body, log)
    for step in range(4):
        _thread.start_new_thread(fiber.resume, (step,) if step else ())
        while fiber.status == "running" or len(log) < step or (fiber.status == "suspended" and not fiber.frames):
            time.sleep(0.0002)
    assert log == [1, 2, 3, "end"], log
