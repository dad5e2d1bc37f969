"""`error=`, wherever a waiting call is given one: an exception or its class, and then no value."""

import pytest

from stackful import Fiber, effect, handle, perform, reset, resume, shift, suspend, transfer


def catch(wait):
    try:
        return wait()
    except KeyError as error:
        return error


def waiting():
    fiber = Fiber(catch, suspend)
    fiber.resume()
    return fiber


@effect
def ask() -> int: ...


GIVERS = {
    "resume": lambda error: resume(waiting(), error=error),
    "resume_in_a_fiber": lambda error: Fiber(lambda: resume(waiting(), error=error)).resume(),
    "transfer": lambda error: transfer(waiting(), error=error),
    "transfer_in_a_fiber": lambda error: Fiber(lambda: transfer(waiting(), error=error)).resume(),
    "continuation": lambda error: reset(lambda: catch(lambda: shift(lambda k: k(error=error)))),
    "resumption": lambda error: handle(lambda: catch(lambda: perform(ask)), ask.ctl(lambda k: k.discontinue(error))),
    "resumption_once": lambda error: handle(
        lambda: catch(lambda: perform(ask)), ask.once(lambda k: k.discontinue(error))
    ),
}


@pytest.mark.parametrize("name", GIVERS)
def test_an_exception_class_is_raised_as_by_raise(name):
    """A class does as well as an instance."""
    error = KeyError("given")
    assert GIVERS[name](error) is error
    assert type(GIVERS[name](KeyError)) is KeyError


@pytest.mark.parametrize("name", GIVERS)
def test_what_is_no_exception_is_refused(name):
    """Anything else is a TypeError, where it is given."""
    with pytest.raises(TypeError):
        GIVERS[name](3)


def test_a_value_and_an_error_exclude_each_other():
    """Given both, none is lost in silence: a TypeError, and who waits goes on waiting."""
    fiber = waiting()
    for give in (resume, transfer):
        with pytest.raises(TypeError, match="not with both"):
            give(fiber, 1, KeyError())
    assert fiber.status == "suspended"
    with pytest.raises(TypeError, match="not with both"):
        reset(lambda: shift(lambda k: k(1, error=KeyError())))
