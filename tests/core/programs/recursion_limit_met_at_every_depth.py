"""Where the recursion limit is near, resume raises RecursionError or runs; either way the fiber is whole, and the limit as it was."""

import copy
import sys

from stackful import Fiber, suspend

FRAMES = 30


def deep(n):
    return 1 + deep(n - 1) if n else suspend("down") + suspend("again")


def depth_left(n=0):
    try:
        return depth_left(n + 1)
    except RecursionError:
        return n


def attempt_beneath(fiber, levels):
    """What resume gives, or "refused", with `levels` frames more beneath it."""
    if levels:
        return attempt_beneath(fiber, levels - 1)
    try:
        return fiber.resume(None if fiber.status == "suspended" and not fiber.frames else 1)
    except RecursionError:
        return "refused"


def attempt(fiber, levels):
    try:
        return attempt_beneath(fiber, levels)
    except RecursionError:
        return "too deep"


sys.setrecursionlimit(400)
left = depth_left()
seen = set()
for levels in range(left - 2 * FRAMES - 20, left + 2):
    fiber = Fiber(deep, FRAMES)
    assert fiber.resume() == "down"
    outcome = attempt(fiber, levels)
    seen.add(outcome)
    if outcome in ("refused", "too deep") and fiber.status != "dead":
        assert fiber.resume(1) == "again"
    if fiber.status != "dead":
        twin = copy.copy(fiber)
        assert fiber.resume(1) == FRAMES + 2
        assert twin.resume(1) == FRAMES + 2
    fresh = Fiber(deep, FRAMES)
    outcome = attempt(fresh, levels)
    assert outcome in ("down", "refused", "too deep")
    if fresh.status != "dead":
        assert outcome == "down" or fresh.resume() == "down"
        assert fresh.resume(1) == "again"
    assert depth_left() == left
assert seen >= {"again", "refused", "too deep"}, seen
