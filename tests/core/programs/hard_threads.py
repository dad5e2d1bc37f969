"""Threads that all keep stacks, drop each other's fibers, collect and end; nothing is lost but what waits for threads that have ended."""

import gc
import random
import sys
import threading

from stackful import Fiber, FiberError, suspend

sys.setswitchinterval(1e-6)
shared = [None] * 20
failures = []


def body(depth):
    found = sorted([2, 1], key=lambda x: suspend(x) or (depth and inner(depth - 1)) or x)
    return [suspend(found), *map(suspend, found)]


def inner(depth):
    fiber = Fiber(body, depth)
    for _ in range(3):
        fiber.resume()
    return 0


def work(seed):
    dice = random.Random(seed)
    mine = []
    try:
        for _ in range(300):
            what = dice.randrange(7)
            if what < 3:
                fiber = Fiber(body, dice.randrange(3))
                fiber.resume()
                mine.append(fiber)
            elif what == 3 and mine:
                shared[dice.randrange(20)] = mine.pop()
            elif what == 4:
                fiber = shared[dice.randrange(20)]
                try:
                    if fiber is not None:
                        fiber.resume()
                except FiberError:
                    pass
            elif what == 5:
                gc.collect(dice.randrange(3))
            elif mine:
                fiber = dice.choice(mine)
                try:
                    fiber.resume()
                except FiberError:
                    mine.remove(fiber)
    except BaseException as error:
        failures.append(error)
        raise


for turn in range(3):
    threads = [threading.Thread(target=work, args=(turn * 10 + i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
shared.clear()
gc.collect()
assert not failures
assert Fiber(body, 2).resume() == 2
