"""In 3.11 the collector runs where memory is asked for: it begins, by a destructor, the fiber that is being copied or captured."""

import gc

from stackful import Fiber, _core, prompt, suspend


class Kept(Fiber):
    """Has a __dict__, which a copy gets too."""


def body(x):
    prompt(lambda: suspend(x))
    return x


class Cycle:
    def __init__(self, fiber):
        self.me = self
        self.fiber = fiber

    def __del__(self):
        self.fiber.resume()


def with_collection(fiber, look, threshold):
    gc.disable()
    gc.collect()
    Cycle(fiber)
    gc.set_threshold(threshold)
    gc.enable()
    try:
        return look(fiber)
    finally:
        gc.disable()


for threshold in range(1, 40):
    fiber = Kept(body, 1)
    fiber.x = 1
    copied = with_collection(fiber, Kept.__copy__, threshold)
    while copied.status != "dead":
        copied.resume()
    assert copied.result == 1

    phase, _, arguments, *_, frames = with_collection(Fiber(body, 1), _core.capture, threshold)
    assert (phase == 0) == (arguments is not None) == (frames == []), (phase, arguments, frames)
    with_collection(Fiber(body, 1), _core.capture_levels, threshold)
