"""The interpreter ends while daemon threads create, resume, copy and drop fibers, one thread amid a deep one, and hooks use fibers."""

import atexit
import copy
import random
import sys
import threading
import time

from stackful import Fiber, suspend

sys.setswitchinterval(1e-5)
shared = []


def deep(n):
    while True:
        suspend(n) if n == 0 else deep(n - 1)


def closing(log=shared):
    try:
        while True:
            suspend()
    finally:
        log.append(1)


def churn():
    while True:
        fiber = Fiber(deep, random.randrange(6))
        fiber.resume()
        twin = copy.copy(fiber)
        twin.resume()
        shared.append((fiber, twin, Fiber(closing)))
        shared[-1][2].resume()
        if len(shared) > 50:
            shared.clear()


def busy():
    while True:
        pass


def at_exit():
    fiber = Fiber(deep, 3)
    fiber.resume()
    sys.kept_until_late = copy.copy(fiber)
    fiber.close()


threads = [threading.Thread(target=churn, daemon=True) for _ in range(3)]
threads.append(threading.Thread(target=Fiber(busy).resume, daemon=True))
for thread in threads:
    thread.start()
atexit.register(at_exit)
cycle = [Fiber(closing)]
cycle[0].resume()
cycle.append(cycle)
time.sleep(0.2)
