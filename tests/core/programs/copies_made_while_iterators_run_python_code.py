"""zip() over an iterator written in Python calls its __iter__ during the copy, which resumes, closes, drops and copies the fiber."""

import copy
import gc

from stackful import Fiber, suspend


class Nosy:
    act = None
    times = 0

    def __iter__(self):
        act, Nosy.act = Nosy.act, None  # not again inside of itself
        if act is not None:
            Nosy.times += 1
            try:
                act()
            except (RuntimeError, KeyError):
                pass
            Nosy.act = act
        return self

    def __next__(self):
        return 1


def body(nosy):
    for x in zip("abc", nosy, strict=False):
        for y in "abc":
            suspend((x, y))


def run_generators():
    for thing in gc.get_objects():
        if type(thing).__name__ == "zip":
            next(thing, None)


nosy = Nosy()
for name in ("resume", "close", "__copy__", "throw", "frames", "collect", "run_generators"):
    fiber = Fiber(body, nosy)
    fiber.resume()
    acts = {"throw": lambda: fiber.throw(KeyError), "frames": lambda: fiber.frames, "collect": gc.collect}
    Nosy.act = acts.get(name) or (run_generators if name == "run_generators" else getattr(fiber, name))
    try:
        twin = copy.copy(fiber)
        twin.resume()
    except (RuntimeError, StopIteration):
        pass
    Nosy.act = None
    fiber.close()
assert Nosy.times >= 7
