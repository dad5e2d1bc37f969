"""A fiber runs in its resumer's context unless it is given one (D5)."""

import contextvars

import pytest

from stackful import Fiber, FiberError, current, suspend

variable = contextvars.ContextVar("variable", default="default")


def reads():
    while True:
        suspend(variable.get())


def with_value(value):
    context = contextvars.copy_context()
    context.run(variable.set, value)
    return context


def test_the_resumers_context_is_used():
    """Each resume brings its own context."""
    fiber = Fiber(reads)
    assert with_value("one").run(fiber.resume) == "one"
    assert with_value("two").run(fiber.resume) == "two"


def test_a_fiber_may_have_its_own_context():
    """A given context is entered at every resume and left at every suspension."""
    fiber = Fiber(reads)
    fiber.context = with_value("own")
    assert [fiber.resume(), variable.get(), fiber.resume()] == ["own", "default", "own"]


def test_what_the_fiber_sets_stays_in_its_context():
    """Changes made inside are seen in the fiber's context only."""
    fiber = Fiber(lambda: variable.set("inside"))
    fiber.context = contextvars.copy_context()
    fiber.resume()
    assert (fiber.context[variable], variable.get()) == ("inside", "default")


def test_a_context_that_is_entered_already_is_refused():
    """Resuming in a context that is in use raises, and the fiber waits on."""
    fiber = Fiber(reads)
    fiber.context = context = with_value("x")
    with pytest.raises(RuntimeError, match="already entered"):
        context.run(fiber.resume)
    assert fiber.resume() == "x"


def test_an_exception_leaves_the_context():
    """A fiber that raises leaves its context."""
    fiber = Fiber(lambda: 1 // 0)
    fiber.context = context = with_value("x")
    with pytest.raises(ZeroDivisionError):
        fiber.resume()
    assert context.run(variable.get) == "x"


def test_the_context_of_a_running_fiber_cannot_be_changed():
    """Setting context inside of the fiber is refused."""

    def body():
        with pytest.raises(FiberError, match="while it is running"):
            current().context = None
        return "refused"

    assert Fiber(body).resume() == "refused"


@pytest.mark.parametrize("wrong", [3, {}, "x", contextvars.Context], ids=repr)
def test_only_contexts_are_accepted(wrong):
    """Context takes a Context or None."""
    with pytest.raises(TypeError, match="Context or None"):
        Fiber(reads).context = wrong


def test_a_context_can_be_taken_away():
    """None, or deleting it, means the resumer's again."""
    fiber = Fiber(reads)
    fiber.context = with_value("own")
    fiber.context = None
    assert (fiber.context, fiber.resume()) == (None, "default")
