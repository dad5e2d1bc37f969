"""What a frame handles belongs to its fiber: sys.exception, bare raise, __context__, finally, with."""

import sys

import pytest

from stackful import Fiber, suspend


def handled():
    return type(sys.exc_info()[1])


def handling(error):
    try:
        raise error
    except type(error):
        suspend(handled())
        return handled()


def reraising():
    try:
        raise KeyError("inner")
    except KeyError:
        suspend()
        raise


def test_the_handled_exception_comes_back_with_the_frames():
    """sys.exc_info() in an except block is the same before and after a suspension."""
    fiber = Fiber(handling, KeyError())
    assert [fiber.resume(), fiber.resume()] == [KeyError, KeyError]


def test_the_resumer_does_not_see_what_the_fiber_handles():
    """After a suspension inside of except, the resumer handles nothing."""
    fiber = Fiber(handling, KeyError())
    fiber.resume()
    assert handled() is type(None)


def test_the_resumer_keeps_what_it_handles():
    """Resuming inside of an except block does not lose the resumer's exception."""
    fiber = Fiber(handling, KeyError())
    try:
        raise ValueError
    except ValueError:
        fiber.resume()
        assert handled() is ValueError
        fiber.resume()
        assert handled() is ValueError
    assert handled() is type(None)


def test_two_fibers_handle_different_exceptions():
    """Fibers that interleave inside of except blocks each keep their own."""
    one, two = Fiber(handling, KeyError()), Fiber(handling, ValueError())
    assert [one.resume(), two.resume(), one.resume(), two.resume()] == [KeyError, ValueError, KeyError, ValueError]


def test_a_bare_raise_after_a_suspension():
    """`raise` raises the fiber's exception, whatever the resumer handles."""
    fiber = Fiber(reraising)
    fiber.resume()
    with pytest.raises(KeyError, match="inner"):
        try:
            raise ValueError
        except ValueError:
            fiber.resume()


def test_copies_reraise_too():
    """A copy keeps the handled exception."""
    import copy

    fiber = Fiber(reraising)
    fiber.resume()
    for each in (copy.copy(fiber), fiber):
        with pytest.raises(KeyError, match="inner"):
            each.resume()


def test_context_of_an_exception_raised_after_a_suspension():
    """An error raised in an except block after a suspension has the handled one as its context."""

    def body():
        try:
            raise KeyError("first")
        except KeyError:
            suspend()
            raise ValueError("second")

    fiber = Fiber(body)
    fiber.resume()
    with pytest.raises(ValueError, match="second") as caught:
        fiber.resume()
    assert isinstance(caught.value.__context__, KeyError)


def test_context_of_a_thrown_exception_is_what_the_fiber_handles():
    """throw() at a suspension in an except block chains like raise."""
    fiber = Fiber(reraising)
    fiber.resume()
    with pytest.raises(ValueError) as caught:
        fiber.throw(ValueError)
    assert isinstance(caught.value.__context__, KeyError)


def test_finally_runs_on_every_way_out():
    """A suspension inside of try/finally: return, exception and close each run it once."""

    def body(log, value):
        try:
            return suspend()
        finally:
            suspend(log.append(value))

    log = []
    for leave in (lambda f: f.resume(), lambda f: f.throw(KeyError)):
        fiber = Fiber(body, log, len(log))
        fiber.resume()
        leave(fiber)
        try:
            fiber.resume()
        except KeyError:
            pass
    assert log == [0, 1]


def test_with_blocks_exit_once():
    """A context manager around suspensions is entered and left once, and sees the exception."""

    class Manager:
        def __init__(self, log):
            self.log = log

        def __enter__(self):
            self.log.append("enter")

        def __exit__(self, kind, error, traceback):
            self.log.append(kind)
            return True

    def body(log):
        with Manager(log):
            suspend()
        return suspend("after")

    log = []
    fiber = Fiber(body, log)
    fiber.resume()
    assert fiber.throw(KeyError) == "after"
    assert log == ["enter", KeyError]


@pytest.mark.no_leakcheck("except* looks up `split` by a new string each time, which fills CPython's method cache")
def test_exception_groups():
    """except* goes on after a suspension."""

    def body():
        caught = []
        try:
            raise ExceptionGroup("g", [KeyError(1), ValueError(2)])
        except* KeyError as group:
            caught.append(suspend(group))
        except* ValueError as group:
            caught.append(suspend(group))
        return caught

    fiber = Fiber(body)
    assert isinstance(fiber.resume(), ExceptionGroup)
    assert isinstance(fiber.resume("a"), ExceptionGroup)
    assert fiber.resume("b") == ["a", "b"]


def test_tracebacks_name_all_frames():
    """An exception from deep inside a resumed fiber has a traceback entry for every frame."""

    def inner():
        suspend()
        raise KeyError

    def outer():
        inner()

    fiber = Fiber(outer)
    fiber.resume()
    with pytest.raises(KeyError) as caught:
        fiber.resume()
    names = [entry.name for entry in caught.traceback]
    assert names[-2:] == ["outer", "inner"]


def test_an_exception_raised_by_a_tracer_inside_suspend_is_raised_in_the_fiber():
    """What is raised inside of suspend itself reaches the fiber as an ordinary exception."""

    def tracer(frame, event, arg):
        if frame.f_code is suspend.__code__ and event == "return":
            sys.settrace(None)
            raise KeyError("tracer")
        return tracer

    def body():
        try:
            suspend()
        except KeyError:
            return "caught"

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        assert Fiber(body).resume() == "caught"
    finally:
        sys.settrace(before)
