"""Suspended frames count against the recursion limit while they are on the stack, and only then."""

import sys

import pytest

from stackful import Fiber, suspend


def depth(n=0):
    try:
        return depth(n + 1)
    except RecursionError:
        return n


def deep(n):
    return suspend("deep") if n == 0 else deep(n - 1)


def deeper(n, function):
    return function() if n == 0 else deeper(n - 1, function)


@pytest.fixture
def limit_kept():
    limit = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(limit)


def test_too_deep_recursion_inside_is_a_recursion_error():
    """A fiber that recurses without end raises and is dead."""

    def endless():
        endless()

    fiber = Fiber(endless)
    with pytest.raises(RecursionError):
        fiber.resume()
    assert fiber.status == "dead"


def test_resuming_where_there_is_no_room_is_refused():
    """A deep fiber is not resumed from deep inside: it waits on, whole."""
    fiber = Fiber(deep, 500)
    fiber.resume()
    with pytest.raises(RecursionError, match="no room"):
        deeper(600, fiber.resume)
    assert fiber.status == "suspended"
    assert fiber.resume("x") == "x"


def test_suspended_frames_count_while_they_run():
    """Inside of a resumed deep fiber there is that much less room."""

    def body(n):
        if n:
            return body(n - 1)
        suspend()
        return depth()

    shallow, low = Fiber(body, 0), Fiber(body, 400)
    shallow.resume(), low.resume()
    assert 395 <= shallow.resume() - low.resume() <= 405


def test_the_resumer_gets_its_room_back():
    """After suspension and after an end the same depth is left as before."""
    before = depth()
    fiber = Fiber(deep, 400)
    fiber.resume()
    assert depth() == before
    fiber.resume()
    assert depth() == before


def test_the_resumer_gets_its_room_back_after_an_exception():
    """Unwinding by an exception leaves the same depth as before."""
    before = depth()
    fiber = Fiber(deep, 400)
    fiber.resume()
    with pytest.raises(KeyError):
        fiber.throw(KeyError)
    assert depth() == before


def test_a_limit_set_inside_of_a_fiber_holds_outside(limit_kept):
    """sys.setrecursionlimit in a fiber is not undone by its suspension."""

    def body():
        sys.setrecursionlimit(3000)
        suspend()

    before, limit = depth(), sys.getrecursionlimit()
    Fiber(body).resume()
    assert depth() == before + 3000 - limit


def test_a_limit_lowered_while_a_fiber_waits(limit_kept):
    """A fiber that no longer fits is refused, and fits again later."""
    fiber = Fiber(deep, 500)
    fiber.resume()
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    with pytest.raises(RecursionError):
        fiber.resume()
    sys.setrecursionlimit(limit)
    assert fiber.resume("x") == "x"
