"""Symmetric coroutines: transfer, successors, and Lua's situations."""

import contextvars
import copy

import pytest

from stackful import (
    Coroutine,
    Fiber,
    FiberError,
    FiberExit,
    current,
    is_suspendable,
    prompt,
    shift,
    suspend,
    transfer,
)
from stackful.coroutines import running, wrap

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def test_two_coroutines_hand_values_to_each_other():
    """What one transfers is what the other's transfer returns."""
    log = []

    def left():
        log.append(transfer(b))
        log.append(transfer(b, "l2"))
        return "left ends"

    def right():
        log.append(transfer(a, "r1"))
        transfer(a, "r2")

    a, b = Coroutine(left), Coroutine(right)
    assert transfer(a) == "left ends"
    assert log == ["r1", "l2", "r2"]
    assert [a.status, b.status] == ["dead", "suspended"]
    b.close()


def test_transfer_reaches_from_any_depth():
    """Frames in between wait where they are."""

    def deep(n):
        return transfer(b) if n == 0 else [deep(n - 1)]

    a = Coroutine(deep, 3)
    b = Coroutine(lambda: transfer(a, "x"))
    assert transfer(a) == [[["x"]]]
    b.close()


def test_completion_goes_to_the_successor():
    """Its waiting transfer returns the result."""
    a = Coroutine(lambda: ["a got", transfer(b)])
    b = Coroutine(lambda: "b's result")
    b.successor = a
    assert b.successor is a
    assert transfer(a) == ["a got", "b's result"]
    assert b.result == "b's result"


def test_an_exception_goes_to_the_successor():
    """It is raised at its transfer."""

    def body():
        try:
            transfer(b)
        except ZeroDivisionError as error:
            return repr(error)

    a, b = Coroutine(body), Coroutine(lambda: 1 / 0)
    b.successor = a
    assert transfer(a) == "ZeroDivisionError('division by zero')"


def test_without_a_successor_completion_goes_outside():
    """To whoever began the exchange; the others stay suspended, and can be gone on with."""
    a = Coroutine(lambda: transfer(b))
    b = Coroutine(lambda: "b")
    assert transfer(a) == "b"
    assert a.status == "suspended"
    assert transfer(a, "later") == "later"


def test_a_chain_of_successors():
    """Results are handed on until somebody waits outside."""
    chain = [Coroutine(lambda: suspend("ready") + 1) for _ in range(50)]
    for one, next_one in zip(chain, chain[1:]):
        one.successor = next_one
    assert [transfer(coroutine) for coroutine in chain] == ["ready"] * 50
    assert transfer(chain[0], 0) == 50


def test_a_dead_successor_is_an_error_outside():
    """The result has nobody to go to."""
    a, b = Coroutine(int), Coroutine(int)
    transfer(a)
    b.successor = a
    with pytest.raises(FiberError, match="dead"):
        transfer(b)
    assert b.result == 0


def test_errors_can_be_transferred():
    """They are raised at the other's waiting transfer."""

    def body():
        try:
            suspend()
        except KeyError as error:
            return repr(error)

    a = Coroutine(body)
    transfer(a)
    b = Coroutine(lambda: transfer(a, error=KeyError("sent")))
    assert transfer(b) == "KeyError('sent')"
    b.close()


def test_an_error_for_one_that_has_not_begun_ends_it():
    """And goes to its successor, or outside."""
    b = Coroutine(int)
    with pytest.raises(KeyError):
        transfer(b, error=KeyError())
    assert b.status == "dead"
    c = Coroutine(int)
    a = Coroutine(lambda: transfer(c, error=KeyError()))
    with pytest.raises(KeyError):
        transfer(a)
    a.close()


def test_transfer_to_oneself_is_nothing():
    """It returns the value at once, or raises the error."""

    def body():
        with pytest.raises(KeyError):
            transfer(a, error=KeyError())
        return transfer(a, "same"), running() is a

    a = Coroutine(body)
    assert transfer(a) == ("same", True)


def test_transfer_to_a_dead_one_is_refused_where_it_is_asked():
    """The caller goes on."""
    dead = Coroutine(int)
    transfer(dead)

    def body():
        with pytest.raises(FiberError, match="cannot transfer to dead"):
            transfer(dead)
        return "went on"

    assert transfer(Coroutine(body)) == "went on"
    with pytest.raises(FiberError, match="dead"):
        transfer(dead)


def test_transfer_to_one_that_waits_for_a_fiber_is_refused():
    """It is in the middle of a resume."""

    def inner():
        with pytest.raises(FiberError, match="has resumed another"):
            transfer(a)
        return "inner"

    a = Coroutine(lambda: Fiber(inner).resume())
    assert transfer(a) == "inner"


def test_a_value_for_one_that_has_not_begun_is_refused():
    """Nothing waits for it."""
    fresh = Coroutine(int)

    def body():
        with pytest.raises(FiberError, match="with the value 5"):
            transfer(fresh, 5)
        return transfer(fresh)

    assert transfer(Coroutine(body)) == 0


def test_misuse_is_an_error():
    """Only fibers are transferred to, only exceptions are errors."""
    with pytest.raises(TypeError, match="a fiber"):
        transfer(5)
    with pytest.raises(TypeError, match="an exception"):
        transfer(Coroutine(int), error=5)
    with pytest.raises(TypeError, match="a fiber or None"):
        Coroutine(int).successor = 5


def partner(other, seen):
    """A coroutine that gives back what it gets, from within a C call."""
    value = suspend("ready")
    while True:
        seen.append(value)
        (value,) = map(lambda x: transfer(other(), x), [value])


def test_transfers_from_behind_c_calls_keep_both_stacks():
    """Two coroutines that wait in C code, each on its stack, go on there in turn."""
    seen = []
    a = Coroutine(lambda: sorted([3, 1, 2], key=lambda x: -transfer(b, x)))
    b = Coroutine(partner, lambda: a, seen)
    assert b.resume() == "ready"
    assert transfer(a) == [3, 2, 1]
    assert seen == [3, 1, 2]
    b.close()


def test_a_transfer_from_behind_a_c_call_follows_an_operation():
    """That the coroutine has changed its stack before, since it was gone on with, makes no difference."""

    def body():
        first = prompt(lambda: sorted([1, 2], key=lambda x: transfer(b, x)))
        return first, prompt(lambda: shift(lambda k: sorted([1, 2], key=lambda x: -transfer(b, x))))

    a = Coroutine(body)
    b = Coroutine(partner, lambda: a, [])
    assert b.resume() == "ready"
    assert transfer(a) == ([1, 2], [2, 1])
    b.close()


def test_suspend_leaves_the_exchange():
    """It goes to whoever began it, wherever the coroutine was reached."""
    a = Coroutine(lambda: transfer(b))
    b = Coroutine(lambda: suspend("out") + 1)
    b.successor = a
    assert transfer(a) == "out"
    assert transfer(b, 1) == 2


def test_plain_fibers_can_be_transferred_to():
    """And transfer themselves."""
    a = Fiber(lambda: transfer(b))
    b = Fiber(lambda: transfer(a, "b"))
    assert transfer(a) == "b"
    b.close()


def test_statuses():
    """Whoever has transferred away is suspended; current and running name the one that runs."""
    seen = []

    def body():
        seen.extend((a.status, b.status, current() is b, running() is b, is_suspendable()))

    a = Coroutine(lambda: transfer(b))
    b = Coroutine(body)
    b.successor = a
    transfer(a)
    assert seen == ["suspended", "running", True, True, True]
    assert running() is None


def test_a_copy_is_transferred_to_independently():
    """With the same successor."""
    a = Coroutine(lambda: [suspend(), "end"])
    transfer(a)
    twin = copy.copy(a)
    assert type(twin) is Coroutine
    assert [transfer(a, 1), transfer(twin, 2)] == [[1, "end"], [2, "end"]]


def test_with_prompts_and_continuations_on_the_stack():
    """A coroutine is suspended as a whole."""
    a = Coroutine(lambda: prompt(lambda: [1, shift(lambda k: k(transfer(b)))]))
    b = Coroutine(lambda: transfer(a, 2))
    assert transfer(a) == [1, 2]
    b.close()


def test_inside_of_a_prompt_at_top_level():
    """The prompt's code is outside of any coroutine: it waits for the exchange to come back."""
    assert prompt(lambda: [transfer(Coroutine(lambda: 5))]) == [5]


def test_a_context_is_entered_and_left_at_each_transfer():
    """Each coroutine runs in its own context, if it has one."""
    variable = contextvars.ContextVar("variable", default="outside")

    def body(name, other):
        variable.set(name)
        for _ in range(3):
            transfer(other())
            seen.append((name, variable.get()))
        return "end"

    seen = []
    a = Coroutine(body, "a", lambda: b)
    b = Coroutine(body, "b", lambda: a)
    for coroutine in (a, b):
        coroutine.context = contextvars.copy_context()
    transfer(a)
    assert all(name == value for name, value in seen) and seen
    assert variable.get() == "outside"
    a.close()
    b.close()


def test_many_transfers_use_constant_stack_and_memory():
    """Twenty thousand of them here, a million in a test of its own."""

    def body(n, other):
        for _ in range(n):
            transfer(other())
        return "end"

    a = Coroutine(body, 10_000, lambda: b)
    b = Coroutine(body, 20_000, lambda: a)
    assert transfer(a) == "end"
    b.close()


def test_wrap_is_luas():
    """First arguments, then values; errors come out; the dead are refused."""
    step = wrap(lambda a, b: [suspend(a), suspend(b)])
    assert [step("x", "y"), step(1), step(2)] == ["x", "y", [1, 2]]
    with pytest.raises(FiberError, match="dead"):
        step()
    failing = wrap(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        failing()
    with pytest.raises(FiberError, match="dead"):
        failing()


def test_closing():
    """Lua's coroutine.close: to-be-closed variables are finally blocks; the dead and the fresh are closed without more."""
    log = []

    def body():
        try:
            suspend()
        finally:
            log.append("closed")

    a = Coroutine(body)
    a.close()
    assert (a.status, log) == ("dead", [])
    a = Coroutine(body)
    transfer(a)
    a.close()
    a.close()
    assert (a.status, log) == ("dead", ["closed"])


def test_closing_one_that_has_transferred_away():
    """FiberExit is raised at its transfer."""

    def body():
        try:
            transfer(b)
        except FiberExit:
            return "closed"

    a, b = Coroutine(body), Coroutine(lambda: suspend())
    transfer(a)
    a.close()
    assert a.status == "dead"
    b.close()


def test_a_producer_and_a_consumer():
    """Conway's example: neither is a subroutine of the other."""

    def produce():
        for item in "abc":
            transfer(consumer, item)
        transfer(consumer, None)

    def consume():
        items = []
        item = transfer(producer)
        while item is not None:
            items.append(item)
            item = transfer(producer)
        return items

    producer, consumer = Coroutine(produce), Coroutine(consume)
    assert transfer(consumer) == ["a", "b", "c"]
    producer.close()


def test_knuths_two_parsers_many_entries_and_exits():
    """A coroutine is entered and left at many places of its code."""
    log = []

    def reader():
        log.append("r1")
        transfer(writer)
        log.append("r2")
        transfer(writer)
        log.append("r3")

    def writer_body():
        log.append("w1")
        transfer(first)
        log.append("w2")
        transfer(first)

    first, writer = Coroutine(reader), Coroutine(writer_body)
    transfer(first)
    assert log == ["r1", "w1", "r2", "w2", "r3"]
    writer.close()
