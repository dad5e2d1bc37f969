"""Resume and suspend: one round trip into a function that waits, and back."""

import sys
from itertools import repeat

from elsewhere import with_greenlet
from measure import Contender, Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_greenlet
from stackful import Fiber, suspend

DEEP = 1000


def generator_loop():
    value = None
    while True:
        value = yield value


def fiber_loop():
    value = None
    while True:
        value = suspend(value)


def fiber_loop_at(depth):
    if depth > 1:
        return fiber_loop_at(depth - 1)
    return fiber_loop()


def generator_loop_at(depth):
    if depth > 1:
        yield from generator_loop_at(depth - 1)
    else:
        yield from generator_loop()


def caller(step) -> Contender:
    """A loop that calls `step`, checked first: what goes in comes out."""
    step(None)
    expect([step(1), step("two")], [1, "two"])

    def loop(number):
        for value in repeat(7, number):
            step(value)

    return loop


def benchmark(rounds: int, number: int) -> list[Row]:
    sys.setrecursionlimit(10 * DEEP)
    contenders = {
        "gen.send": caller(generator_loop().send),
        "fiber": caller(Fiber(fiber_loop).resume),
        "deep fiber": caller(Fiber(fiber_loop_at, DEEP).resume),
        "shallow fiber": caller(Fiber(fiber_loop_at, 1).resume),
        "behind C": caller(Fiber(max, [0], key=lambda _: fiber_loop()).resume),
    }
    if has_greenlet:
        contenders["greenlet"] = with_greenlet("round-trip")
    took = interleaved(contenders, number, rounds)
    deep_generator = interleaved({"it": caller(generator_loop_at(DEEP).send)}, number // 100, rounds)["it"]
    trip = "resume + suspend"
    kept = f"{trip} behind C code"
    deep = f"{trip} at depth {DEEP:,}"
    return [
        at_most(trip, took["fiber"], took["gen.send"], "gen.send", 2.0),
        at_most(kept, took["behind C"], took["gen.send"], "gen.send", 2.5),
        *(
            at_least(what, took[ours], took["greenlet"], "greenlet switch", 3)
            if has_greenlet
            else missing(what, time_text(took[ours]), "greenlet", "≥ 3x faster")
            for what, ours in ((trip, "fiber"), (kept, "behind C"))
        ),
        at_most(deep, took["deep fiber"], took["shallow fiber"], "depth 1", 1.1),
        at_least(deep, took["deep fiber"], deep_generator, "gen.send through yield from"),
    ]
