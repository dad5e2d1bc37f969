"""reversed() over a sequence written in Python runs its __len__ during the copy, which resumes, closes, drops and copies the fiber."""

import copy
import gc

from stackful import Fiber, suspend


class Sequence:
    act = None

    def __len__(self):
        act, Sequence.act = Sequence.act, None  # not again inside of itself
        if act is not None:
            try:
                act()
            except (RuntimeError, KeyError):
                pass
            Sequence.act = act
        return 3

    def __getitem__(self, index):
        if index > 2:
            raise IndexError
        return index


def body(sequence):
    for x in reversed(sequence):
        for y in sequence:
            suspend((x, y))


def run_generators():
    for thing in gc.get_objects():
        if type(thing).__name__ == "reversed":
            next(thing, None)


sequence = Sequence()
for name in ("resume", "close", "__copy__", "throw", "frames", "collect", "run_generators"):
    fiber = Fiber(body, sequence)
    fiber.resume()
    acts = {"throw": lambda: fiber.throw(KeyError), "frames": lambda: fiber.frames, "collect": gc.collect}
    Sequence.act = acts.get(name) or (run_generators if name == "run_generators" else getattr(fiber, name))
    try:
        twin = copy.copy(fiber)
        twin.resume()
    except (RuntimeError, StopIteration):
        pass
    Sequence.act = None
    fiber.close()
