"""A fiber tells its status, result, function and size at every moment of its life."""

import re

import pytest

from stackful import Fiber, FiberError, current, suspend


def body():
    suspend()
    return "result"


def statuses(fiber):
    yield fiber.status
    while fiber.status != "dead":
        fiber.resume()
        yield fiber.status


def test_statuses_in_order():
    """Suspended before and between, dead at the end."""
    assert list(statuses(Fiber(body))) == ["suspended", "suspended", "dead"]


def test_running_inside():
    """A fiber sees itself running."""
    assert Fiber(lambda: current().status).resume() == "running"


def test_normal_while_another_runs():
    """A fiber that has resumed another is normal."""
    outer = Fiber(lambda: Fiber(lambda: outer.status).resume())
    assert outer.resume() == "normal"


def test_dead_after_an_exception():
    """A fiber that raised is dead and has no result."""
    fiber = Fiber(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        fiber.resume()
    with pytest.raises(FiberError, match="ended by an exception or was closed"):
        fiber.result


def test_no_result_before_the_end():
    """The result of a fiber that has not ended is refused."""
    fiber = Fiber(body)
    with pytest.raises(FiberError, match="has not ended"):
        fiber.result
    fiber.resume()
    with pytest.raises(FiberError, match="has not ended"):
        fiber.result


def test_result_stays():
    """The result can be read again and again."""
    fiber = Fiber(body)
    fiber.resume(), fiber.resume()
    assert fiber.result == fiber.result == "result"


def test_function_is_what_the_fiber_runs():
    """fiber.function is the function that was given."""
    assert Fiber(body).function is body


@pytest.mark.parametrize("resumes, text", [(0, "not begun"), (1, r"suspended, 1 frame,"), (2, "dead")])
def test_repr_tells_function_and_status(resumes, text):
    """Repr names the function and where the fiber stands."""
    fiber = Fiber(body)
    for _ in range(resumes):
        fiber.resume()
    assert re.fullmatch(rf"<Fiber body {text} at 0x[0-9a-f]+>".replace(", at", ",? at"), repr(fiber))


def test_repr_of_a_function_without_a_name():
    """A callable without __qualname__ is shown by its type."""

    class Nameless:
        def __call__(self):
            pass

    assert "Nameless" in repr(Fiber(Nameless()))


def test_a_suspended_fiber_counts_its_frames_in_its_size():
    """sys.getsizeof grows with the suspended frames."""
    import sys

    fiber = Fiber(body)
    fresh = sys.getsizeof(fiber)
    fiber.resume()
    assert sys.getsizeof(fiber) > fresh


@pytest.mark.no_leakcheck("fills caches for its first rounds: 5,000 runs keep fewer than 80 blocks")
def test_is_portable_unless_running():
    """A soft fiber is portable whenever it does not run, and says why it is not."""
    fiber = Fiber(lambda: (current().is_portable, current().why_not_portable()))
    assert (fiber.is_portable, fiber.why_not_portable()) == (True, None)
    portable, why = fiber.resume()
    assert not portable
    assert "is running" in why


def test_attributes_are_read_only():
    """status, frames, result and function cannot be set."""
    for name in ("status", "frames", "result", "function", "is_portable"):
        with pytest.raises(AttributeError):
            setattr(Fiber(body), name, None)
