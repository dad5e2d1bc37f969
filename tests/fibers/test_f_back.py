"""The stack looks whole from inside: f_back, inspect, tracebacks, warnings."""

import inspect
import sys
import traceback
import warnings

from stackful import Fiber, suspend


def names():
    return [entry.function for entry in inspect.stack()]


def inner():
    before = names()
    suspend()
    return before, names()


def outer():
    return inner()


def test_a_running_fiber_stands_on_its_resumer():
    """inspect.stack() goes through the fiber's frames to the resumer's."""
    assert Fiber(outer).resume() is None

    def resumer():
        fiber = Fiber(names)
        return fiber.resume()

    stack = resumer()
    assert stack[:2] == ["names", "resumer"]


def test_the_stack_is_the_same_after_a_suspension():
    """Resumed frames still stand on each other, then on whoever resumed."""

    def resumer(fiber):
        return fiber.resume()

    fiber = Fiber(outer)
    resumer(fiber)
    before, after = resumer(fiber)
    assert before[:4] == after[:4] == ["names", "inner", "outer", "resumer"]


def test_a_suspended_stack_ends_at_its_outermost_frame():
    """f_back of a suspended fiber's first frame is None."""
    held = []

    def keeps():
        held.append(sys._getframe())
        suspend()

    def calls():
        keeps()

    fiber = Fiber(calls)
    fiber.resume()
    frame = held.pop()
    assert (frame.f_back.f_code.co_name, frame.f_back.f_back) == ("calls", None)


def test_extract_stack_names_the_frames():
    """traceback.extract_stack() inside of a resumed fiber names its frames."""

    def body():
        suspend()
        return [entry.name for entry in traceback.extract_stack()][-2:]

    def wrapper():
        return body()

    fiber = Fiber(wrapper)
    fiber.resume()
    assert fiber.resume() == ["wrapper", "body"]


def test_warnings_find_their_caller():
    """stacklevel=2 points at the frame that called, after a suspension too."""

    def warns():
        suspend()
        warnings.warn("w", UserWarning, stacklevel=2)

    def caller():
        warns()

    fiber = Fiber(caller)
    fiber.resume()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        fiber.resume()
    assert (seen[0].filename, seen[0].lineno) == (__file__, caller.__code__.co_firstlineno + 1)


def test_globals_and_super_are_found_after_a_suspension():
    """What looks at the running frame finds it: super() without arguments."""

    class Base:
        def name(self):
            return "base"

    class Derived(Base):
        def name(self):
            suspend()
            return super().name()

    fiber = Fiber(Derived().name)
    fiber.resume()
    assert fiber.resume() == "base"
