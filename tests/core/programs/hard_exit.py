"""The interpreter ends while fibers wait behind C calls, in globals: their `finally` blocks run, as those of other fibers do."""

import atexit

from stackful import Fiber, suspend

ended = []


@atexit.register
def check():
    assert ended == [], "too early"


def outer(name):
    try:
        sorted([1], key=lambda _: suspend())
    finally:
        ended.append(name)
        print(name, "ended")


fibers = [Fiber(outer, name) for name in "ab"]
for fiber in fibers:
    fiber.resume()
