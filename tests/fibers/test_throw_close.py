"""Exceptions go into a fiber at its suspension and leave through resume."""

import pytest

from stackful import Fiber, FiberError, FiberExit, suspend


def catching(log):
    while True:
        try:
            log.append(suspend())
        except ValueError as error:
            log.append(error)


def suspended(body, *arguments):
    fiber = Fiber(body, *arguments)
    fiber.resume()
    return fiber


def with_finally(log):
    try:
        suspend()
    finally:
        log.append("finally")


def ignoring_exit():
    try:
        suspend("first")
    except FiberExit:
        suspend("again")


def test_an_instance_is_raised_at_the_suspension():
    """The very instance that was thrown is caught at the suspend."""
    log, error = [], ValueError("x")
    suspended(catching, log).throw(error)
    assert log == [error]


def test_a_class_is_instantiated():
    """A class is thrown as an instance made without arguments."""
    log = []
    suspended(catching, log).throw(ValueError)
    assert type(log[0]) is ValueError


def test_throw_gives_the_next_suspension():
    """When the fiber catches and suspends again, throw gives that value."""

    def body():
        try:
            suspend()
        except KeyError:
            return suspend("caught")

    assert suspended(body).throw(KeyError) == "caught"


def test_an_uncaught_exception_leaves_and_ends_the_fiber():
    """What is not caught inside comes out of throw."""
    fiber = suspended(lambda: suspend())
    with pytest.raises(KeyError):
        fiber.throw(KeyError)
    assert fiber.status == "dead"


def test_an_exception_of_the_body_leaves_through_resume():
    """Resume raises what the function raises."""
    fiber = Fiber(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        fiber.resume()
    assert fiber.status == "dead"


def test_thrown_into_a_fresh_fiber_it_ends_it_before_its_first_line():
    """A fiber that has not begun dies of what is thrown."""
    log = []
    fiber = Fiber(log.append, 1)
    with pytest.raises(KeyError):
        fiber.throw(KeyError)
    assert (fiber.status, log) == ("dead", [])


@pytest.mark.parametrize("thrown", [None, 3, "x", object, int], ids=repr)
def test_only_exceptions_can_be_thrown(thrown):
    """Anything else is refused and the fiber stays as it was."""
    fiber = suspended(lambda: suspend())
    with pytest.raises(TypeError, match="takes an exception"):
        fiber.throw(thrown)
    assert fiber.resume(4) == 4


def test_a_class_whose_constructor_raises_leaves_the_fiber_alone():
    """The constructor's exception comes out, the fiber waits on."""

    class Bad(Exception):
        def __init__(self):
            raise KeyError("constructor")

    fiber = suspended(lambda: suspend())
    with pytest.raises(KeyError, match="constructor"):
        fiber.throw(Bad)
    assert fiber.resume(4) == 4


@pytest.mark.parametrize("act", ["close", "resume"])
def test_a_class_whose_constructor_ends_the_fiber(act):
    """The constructor may use the fiber itself; throwing into what is then dead is refused."""

    class Bad(Exception):
        def __init__(self):
            getattr(fiber, act)()

    fiber = suspended(lambda: suspend())
    with pytest.raises(FiberError, match="dead fiber"):
        fiber.throw(Bad)


def test_close_runs_finally():
    """close() runs the finally blocks and returns None."""
    log = []
    assert suspended(with_finally, log).close() is None
    assert log == ["finally"]


def test_close_raises_fiber_exit_at_the_suspension():
    """FiberExit can be seen, and passes through `except Exception`."""
    log = []

    def body():
        try:
            suspend()
        except Exception:
            log.append("Exception")
        except FiberExit:
            log.append("FiberExit")
            raise

    suspended(body).close()
    assert log == ["FiberExit"]


def test_close_may_end_in_a_return():
    """A fiber that returns when closed has that result."""

    def body():
        try:
            suspend()
        except FiberExit:
            return "returned"

    fiber = suspended(body)
    fiber.close()
    assert fiber.result == "returned"


def test_close_lets_other_exceptions_out():
    """What a finally block raises leaves through close."""

    def body():
        try:
            suspend()
        finally:
            raise KeyError("finally")

    with pytest.raises(KeyError, match="finally"):
        suspended(body).close()


def test_a_fiber_that_suspends_while_being_closed_is_reported():
    """Ignoring FiberExit is an error of close; the fiber stays suspended and can be closed again."""
    fiber = suspended(ignoring_exit)
    with pytest.raises(FiberError, match="ignored FiberExit"):
        fiber.close()
    assert fiber.status == "suspended"
    fiber.close()
    assert fiber.status == "dead"


def test_close_of_a_fresh_fiber_runs_nothing():
    """A fiber that has not begun never does."""
    log = []
    fiber = Fiber(log.append, 1)
    fiber.close()
    assert (fiber.status, log) == ("dead", [])


def test_close_of_a_dead_fiber_does_nothing():
    """close() may be repeated."""
    fiber = suspended(lambda: suspend())
    fiber.close()
    fiber.close()
    assert fiber.status == "dead"


@pytest.mark.parametrize("act", ["resume", "close", "throw", "copy"])
def test_a_running_fiber_refuses(act):
    """resume, throw, close and copy of the running fiber raise inside of it and do no harm."""

    def body():
        acts = {
            "resume": fiber.resume,
            "close": fiber.close,
            "throw": lambda: fiber.throw(KeyError),
            "copy": fiber.__copy__,
        }
        with pytest.raises(FiberError, match="running"):
            acts[act]()
        return "unharmed"

    fiber = Fiber(body)
    assert fiber.resume() == "unharmed"


@pytest.mark.parametrize("act", ["resume", "throw"])
def test_a_dead_fiber_refuses(act):
    """A fiber that has ended cannot be resumed or thrown into."""
    fiber = Fiber(int)
    fiber.resume()
    with pytest.raises(FiberError, match="dead fiber"):
        fiber.resume() if act == "resume" else fiber.throw(KeyError)


def test_a_normal_fiber_refuses_to_be_resumed():
    """A fiber that has resumed another cannot be resumed by that one."""

    def inner():
        with pytest.raises(FiberError, match="it has resumed another fiber"):
            outer.resume()
        return "refused"

    outer = Fiber(lambda: Fiber(inner).resume())
    assert outer.resume() == "refused"
