"""Suspended again and again on the way down to 100,000 frames and up again: every data-stack chunk's edge is met, by copies as well."""

import copy
import gc
import sys

from stackful import Fiber, suspend

DEPTH, STEP = 100_000, 997
sys.setrecursionlimit(3 * DEPTH)


def down_and_up(n, a=1, b=2, *rest):
    if n % STEP == 0:
        suspend(n)
    below = down_and_up(n - 1, b, a, n) if n else 0
    if n % STEP == 0:
        suspend(-n)
    return below + 1


def expected():
    down = [n for n in range(DEPTH, -1, -1) if n % STEP == 0]
    return down + [-n for n in reversed(down)]


fiber = Fiber(down_and_up, DEPTH)
seen, copies = [], []
while fiber.status != "dead":
    seen.append(fiber.resume())
    if len(seen) % 40 == 0:
        copies.append((len(seen), copy.copy(fiber)))
assert seen.pop() == fiber.result == DEPTH + 1
assert seen == expected()
for done, twin in copies:
    rest = []
    while twin.status != "dead":
        rest.append(twin.resume())
    assert rest == [*expected()[done:], DEPTH + 1]

# Resumed beneath as many frames again, and dropped there.
fiber = Fiber(down_and_up, DEPTH)
for _ in range(60):
    fiber.resume()


def beneath(n):
    return beneath(n - 1) if n else (fiber.resume(), copy.copy(fiber).resume())  # noqa: F821 - deleted at the end


below, again = beneath(DEPTH)
assert again == fiber.resume()
del fiber, twin, copies
gc.collect()
