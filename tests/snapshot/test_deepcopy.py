"""copy.deepcopy of what holds frames: where a value cannot be saved, the error names it and its place."""

import copy
import threading

import pytest

from stackful import Fiber, UnsaveableError, effect, handle, perform, reset, shift, suspend


@effect
def ask() -> int: ...


def hold(lock, wait):
    return wait() and lock


def suspended(lock):
    fiber = Fiber(hold, lock, suspend)
    fiber.resume()
    return fiber


def captured(lock):
    return reset(lambda: hold(lock, lambda: shift(lambda k: [k])))[0].__self__


def performed(lock):
    return handle(lambda: hold(lock, lambda: perform(ask)), ask.ctl(lambda k: [k]))[0]


@pytest.mark.parametrize("make", [suspended, captured, performed])
def test_what_cannot_be_saved_is_named_with_its_place(make):
    """A lock that is held, in a local variable: a frame, the variable, the type."""
    place = r'frame ".*" line \d+, local "lock".*_thread.lock'
    lock = threading.Lock()
    with lock, pytest.raises(UnsaveableError, match=place):
        copy.deepcopy(make(lock))


def test_a_fiber_that_has_not_begun_names_its_argument():
    """What it would be called with is looked at too."""
    lock = threading.Lock()
    with lock, pytest.raises(UnsaveableError, match="_thread.lock"):
        copy.deepcopy(Fiber(hold, lock, suspend))
