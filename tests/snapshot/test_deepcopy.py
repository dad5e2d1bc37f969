"""copy.deepcopy of what holds frames: where a value cannot be saved, the error names it and its place."""

import copy
import os

import pytest

from stackful import Fiber, UnsaveableError, effect, handle, perform, reset, shift, suspend


@effect
def ask() -> int: ...


def hold(file, wait):
    return wait() and file


def suspended(file):
    fiber = Fiber(hold, file, suspend)
    fiber.resume()
    return fiber


def captured(file):
    return reset(lambda: hold(file, lambda: shift(lambda k: [k])))[0].__self__


def performed(file):
    return handle(lambda: hold(file, lambda: perform(ask)), ask.ctl(lambda k: [k]))[0]


@pytest.mark.parametrize("make", [suspended, captured, performed])
def test_what_cannot_be_saved_is_named_with_its_place(make):
    """A file in a local variable: a frame, the variable, the type."""
    place = r'frame ".*" line \d+, local "file".*TextIOWrapper'
    with open(os.devnull, encoding="utf-8") as file, pytest.raises(UnsaveableError, match=place):
        copy.deepcopy(make(file))


def test_a_fiber_that_has_not_begun_names_its_argument():
    """What it would be called with is looked at too."""
    with open(os.devnull, encoding="utf-8") as file, pytest.raises(UnsaveableError, match="TextIOWrapper"):
        copy.deepcopy(Fiber(hold, file, suspend))
