"""Copying a loop over an iterator of iterators of ... ends in a copy or a RecursionError."""

import copy

from stackful import Fiber, suspend


def body(iterator):
    for x in iterator:
        suspend(x)


def generator_over(iterator):
    return (x for x in iterator)


for wrap in (zip, enumerate, lambda i: map(id, i), lambda i: filter(None, i)):
    iterator = iter([1, 2, 3])
    for _ in range(40_000):
        iterator = wrap(iterator)
    fiber = Fiber(body, iterator)
    fiber.resume()
    try:
        copy.copy(fiber).close()
    except RecursionError:
        pass
iterator = iter([1, 2, 3])
for _ in range(100):  # a debug build of 3.13 has room for 500 nested calls of C in all
    iterator = generator_over(iterator)
fiber = Fiber(body, iterator)
fiber.resume()
assert copy.copy(fiber).resume() == fiber.resume() == 2
