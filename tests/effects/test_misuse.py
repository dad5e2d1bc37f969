"""What is used in a way that it is not made for says so, and how it is used."""

import functools
import re

import pytest

from stackful import (
    BarrierError,
    Coroutine,
    Fiber,
    FiberError,
    Handler,
    barrier,
    copy_generator,
    current,
    effect,
    generator,
    handle,
    perform,
    picture,
    reset,
    shift,
    snapshot,
    suspend,
    yield_,
)


@effect
def ask() -> int: ...


def test_a_resumption_without_state_has_none_and_takes_none():
    """`k.state` is an AttributeError, `state=` a TypeError: neither is ignored."""

    def clause(k):
        with pytest.raises(AttributeError, match="has no state"):
            k.state  # noqa: B018
        with pytest.raises(TypeError, match="takes no state"):
            k.resume(1, state=3)
        return k.resume(2)

    assert handle(lambda: perform(ask), ask.ctl(clause)) == 2


def test_a_shallow_resumption_goes_on_under_a_handler():
    """Anything else is a TypeError, and the program can still be resumed."""

    def clause(k):
        with pytest.raises(TypeError, match=r"made by Handler\(...\), not under 3"):
            k.resume_with(3)
        return k.resume_with(Handler(), 5)

    assert handle(lambda: perform(ask), Handler(ask.ctl(clause), shallow=True)) == 5


def test_what_is_no_function_is_no_operation():
    """A TypeError says what `effect` takes."""
    for wrong in (3, int, functools.partial(print)):
        with pytest.raises(TypeError, match=f"not {re.escape(repr(wrong))}"):
            effect(wrong)


def test_only_what_has_frames_is_drawn():
    """A TypeError says what `picture` takes."""
    with pytest.raises(TypeError, match="not 3"):
        picture(3)


def test_snapshots_and_keys_are_bytes():
    """Nothing else is taken for one, and an empty key, which seals nothing, is refused."""
    for call in (
        lambda: snapshot.loads(3),
        lambda: snapshot.dumps(1, key="secret"),
        lambda: snapshot.loads(snapshot.dumps(1), key=3),
    ):
        with pytest.raises(TypeError, match="bytes"):
            call()
    with pytest.raises(ValueError, match="empty key"):
        snapshot.dumps(1, key=b"")


def test_a_generator_of_stackful_is_copied_by_copy():
    """`copy_generator` is for CPython's own, and says what copies the others."""
    with pytest.raises(TypeError, match=r"copy\.copy"):
        copy_generator(generator(lambda: yield_(1))())


def test_a_value_that_nothing_waits_for_is_named_with_the_fiber():
    """So a result that goes to a successor which has not begun can be found."""
    last = Coroutine(lambda: None)
    first = Coroutine(lambda: "result")
    first.successor = last
    with pytest.raises(FiberError, match=r"<Coroutine .*lambda> not begun at .*> with the value 'result'"):
        first.resume()


def test_displays_name_the_kind():
    """A coroutine is shown as one, a continuation with its frames."""
    assert repr(Coroutine(suspend)).startswith("<Coroutine suspend not begun at ")
    k = reset(lambda: shift(lambda k: [k]))[0]
    assert repr(k.__self__).startswith("<ComposableContinuation of 2 frames at ")


def test_a_barrier_is_named_as_what_it_is():
    """Not as the C call by which it is made."""

    def body():
        with pytest.raises(BarrierError, match=r"a barrier\(\) stands in between"):
            barrier(suspend)

    Fiber(body).resume()


def test_a_fiber_that_looks_at_itself_sees_its_own_frames():
    """What looks is not among them."""
    running = Fiber(lambda: current().frames).resume()
    assert [frame.code.co_name for frame in running] == ["<lambda>"]


def test_what_a_clause_is_promised_must_be_a_resumption():
    """Whoever puts something else there, where the core keeps it for the next time, finds it passed over: the program is captured."""
    handler = Handler(ask.ctl(lambda k, *args: k.resume(7)))
    handler[ask].k = 1
    assert [handle(lambda: perform(ask), handler) for _ in range(2)] == [7, 7]
