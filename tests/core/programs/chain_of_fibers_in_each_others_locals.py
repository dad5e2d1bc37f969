"""Dropping the head of a chain of 20,000 fibers, each in a local of the next, closes them all without overflow."""

import copy
import gc

from stackful import Fiber, suspend

ended = []


def body(other):
    try:
        suspend()
    finally:
        ended.append(1)


def silent(other):
    suspend()


def chain(make):
    fiber = None
    for _ in range(20_000):
        fiber = make(fiber)


def started(function, other):
    fiber = Fiber(function, other)
    fiber.resume()
    return fiber


chain(lambda other: started(body, other))
assert len(ended) == 20_000
chain(lambda other: copy.copy(started(silent, other)))
chain(lambda other: Fiber(body, other))
gc.collect()
