"""Which handlers are in force while an operation is being answered, wherever the program goes meanwhile."""

import pytest

from stackful import Fiber, FiberError, Handler, effect, handle, perform, suspend

pytestmark = pytest.mark.three_ways


@effect
def inner() -> str: ...


@effect
def outer() -> str: ...


@effect
def bump() -> int: ...


def test_handlers_nest_to_any_depth():
    """The outermost of a hundred answers, and the program goes on twice through all of them."""

    def nest(depth):
        if depth == 0:
            return [perform(outer)]
        return handle(lambda: nest(depth - 1), inner.fun(lambda: "inner"), returns=lambda value: [depth, *value])

    both = Handler(outer.ctl(lambda k: k.resume("a") + k.resume("b")))
    assert handle(lambda: nest(100), both) == [*range(100, 0, -1), "a", *range(100, 0, -1), "b"]


def test_a_clause_called_in_place_is_outside_of_its_handler():
    """What it performs itself goes to the next one out, and afterwards the handler is in force again."""

    def body():
        return perform(inner), perform(inner)

    layered = handle(
        lambda: handle(body, inner.fun(lambda: perform(inner) + "!")),
        inner.fun(lambda: "base"),
    )
    assert layered == ("base!", "base!")


def test_a_handler_is_in_force_again_after_an_exception_in_its_clause():
    """The exception is raised by perform."""

    def fails():
        raise KeyError("clause")

    def body():
        with pytest.raises(KeyError):
            perform(inner)
        with pytest.raises(KeyError):
            perform(inner)
        return perform(outer)

    assert handle(body, inner.fun(fails), outer.fun(lambda: "still here")) == "still here"


def test_a_mask_is_captured_with_the_frames():
    """A clause called in place performs an operation that captures: each time that it goes on, its own handler is still out of force."""
    log = []

    def in_place():
        got = perform(outer)
        try:
            log.append(perform(inner))
        except LookupError:
            log.append("out of force")
        return got

    def body():
        return perform(inner) + perform(inner)

    answer = handle(lambda: handle(body, inner.fun(in_place)), outer.ctl(lambda k: k.resume("a") + k.resume("b")))
    assert answer == "aaabbabb"
    assert log == ["out of force"] * 6


def test_a_handler_put_in_force_while_answering_is_in_force():
    """A mask is on what was there before."""

    def in_place():
        return handle(lambda: perform(inner), inner.fun(lambda: "new"))

    assert handle(lambda: perform(inner), inner.fun(in_place)) == "new"


@pytest.mark.parametrize("kind", ["update", "fun"])
def test_a_handler_of_an_outer_fiber_that_is_gone(kind):
    """A clause suspends the fiber; where it goes on there is another handler, which stays out of this, and is in force for it."""

    def answer(*state):
        suspend("waiting")
        return ("answered", *state)

    def body():
        return perform(inner), perform(inner)

    fiber = Fiber(body)
    clause = inner.update(answer) if kind == "update" else inner.fun(lambda: answer()[0])
    first = Handler(clause, state=0) if kind == "update" else Handler(clause)
    assert handle(fiber.resume, first) == "waiting"
    elsewhere = Handler(inner.fun(lambda: "elsewhere"))
    if kind == "update":
        with pytest.raises(FiberError, match="the handler of this operation is gone"):
            handle(fiber.resume, elsewhere)
    else:
        assert handle(fiber.resume, elsewhere) == ("answered", "elsewhere")


def test_state_of_a_handler_outside_of_the_fiber():
    """Clauses that are called in place reach through fibers, and so does their state."""

    def body():
        return Fiber(lambda: [perform(bump), perform(bump)]).resume()

    counting = Handler(bump.update(lambda n: (n, n + 1)), state=5, returns=lambda value, n: (value, n))
    assert handle(body, counting) == ([5, 6], 7)
