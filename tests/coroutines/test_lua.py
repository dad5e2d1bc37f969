"""More situations of Lua's own tests (testes/coroutine.lua, testes/locals.lua) and of "Programming in Lua"; others stand in laws/test_transfer.py.

`__close` is a finally block here, `pcall` a try, and `coroutine.wrap` is `wrap`.
"""

import copy
import gc

import pytest

import ways
from laws.harness import unwind
from laws.operators import Log, stepped, travelled
from stackful import BarrierError, Coroutine, FiberError, FiberExit, generator, suspend, suspend_to, yield_
from stackful.coroutines import running, wrap

pytestmark = pytest.mark.five_ways


# Closing: `__close` that yields, closes and resumes


def guarded(log, thunk, leave):
    """Lua's to-be-closed variable whose `__close` yields."""
    try:
        return thunk()
    finally:
        log.append(suspend(leave))


WAYS_OUT = {
    "its end": lambda: "end",
    "a return in a loop": lambda: next(value for value in ["end"]),
    "an error": lambda: {}["key"],
}


@pytest.mark.parametrize("way_out", WAYS_OUT)
def test_finally_blocks_may_suspend_on_any_way_out(way_out):
    """Lua: "yields inside `__close`", at the end, on return and in an error: each goes on where it was, the value or error is kept."""
    log = Log()

    def body():
        try:
            return guarded(log, lambda: guarded(log, WAYS_OUT[way_out], "inner"), "outer")
        except KeyError as error:
            return f"caught {error}"

    last = "caught 'key'" if way_out == "an error" else "end"
    assert stepped(Coroutine(body), 1, 2) == ["inner", "outer", last]
    assert log == [1, 2]
    unwind(*ways.kept)


def test_breaking_out_of_a_loop_whose_finally_block_suspends():
    """Lua: `break` and `goto` out of the scope of a to-be-closed variable that yields."""
    log = Log()

    def body():
        for i in range(3):
            try:
                if i == 1:
                    break
            finally:
                log.append(suspend(i))
        return "end"

    assert stepped(Coroutine(body), "a", "b") == [0, 1, "end"]
    assert log == ["a", "b"]
    unwind(*ways.kept)


def test_a_coroutine_that_suspends_while_it_is_closed_is_not_closed():
    """Lua: "attempt to yield across a C-call boundary" in close; here close is an error, and can be asked again."""
    log = Log()
    coroutine = Coroutine(lambda: guarded(log, lambda: suspend("body"), "not yet"))
    assert coroutine.resume() == "body"
    coroutine = travelled(coroutine)
    with pytest.raises(FiberError, match="suspended"):
        coroutine.close()
    assert coroutine.status == "suspended"
    coroutine.close()
    assert (coroutine.status, log) == ("dead", [])
    unwind(*ways.kept)


def test_a_coroutine_that_closes_or_resumes_itself_while_it_is_closed():
    """Lua: "cannot close a running coroutine" within `__close`; the closing goes on."""
    log = Log()

    def body():
        try:
            suspend()
        finally:
            for misuse in (running().close, running().resume):
                with pytest.raises(FiberError, match="running"):
                    misuse()
            log.append("closed")

    coroutine = Coroutine(body)
    coroutine.resume()
    coroutine.close()
    assert (coroutine.status, log) == ("dead", ["closed"])


def test_a_coroutine_that_catches_its_closing_and_returns_is_closed():
    """Lua's close returns true: what the body returns then is its result."""

    def body():
        try:
            suspend()
        except FiberExit:
            return "said good-bye"

    coroutine = Coroutine(body)
    coroutine.resume()
    coroutine.close()
    assert (coroutine.status, coroutine.result) == ("dead", "said good-bye")


def test_closing_one_that_has_coroutines_of_its_own():
    """They are not closed with it, only when nobody has them any more, innermost first."""
    log = Log()

    def inner():
        try:
            suspend("inner")
        finally:
            log.append("inner closed")

    def outer():
        mine = Coroutine(inner)
        mine.resume()
        try:
            suspend("outer")
        finally:
            log.append("outer closed")

    coroutine = Coroutine(outer)
    coroutine.resume()
    coroutine.close()
    gc.collect()
    assert log == ["outer closed", "inner closed"]


# Error handlers, wraps within wraps, pipelines


def test_an_except_block_that_suspends_still_handles_its_error():
    """Lua: "yields inside of an error handler": a bare raise afterwards raises the same error."""

    def body():
        try:
            raise KeyError("first")
        except KeyError:
            suspend("handling")
            raise

    coroutine = Coroutine(body)
    assert coroutine.resume() == "handling"
    coroutine = travelled(coroutine)
    with pytest.raises(KeyError, match="first"):
        coroutine.resume()


def test_an_error_passes_all_coroutines_that_resumed_each_other():
    """Lua: wrap propagates; each of them is dead afterwards, and has run its finally blocks, innermost first."""
    log = Log()

    def nested(n):
        try:
            return 1 / 0 if n == 0 else kept[n - 1].resume()
        finally:
            log.append(n)

    kept = [Coroutine(nested, n) for n in range(4)]
    with pytest.raises(ZeroDivisionError):
        kept[3].resume()
    assert log == [0, 1, 2, 3]
    assert {coroutine.status for coroutine in kept} == {"dead"}


def test_statuses_along_a_chain_of_resumes():
    """Lua: whoever resumed another is normal, the last is running, the others are suspended or dead."""
    seen = Log()

    def nested(n):
        if n:
            kept[n - 1].resume()
        else:
            seen.extend(coroutine.status for coroutine in kept)

    kept = [Coroutine(nested, n) for n in range(3)]
    kept.append(Coroutine(int))
    kept[2].resume()
    assert seen == ["running", "normal", "normal", "suspended"]


def test_a_coroutine_is_resumed_by_others_than_who_began_it():
    """Lua: a coroutine belongs to nobody; each resumer gets what it suspends with."""
    shared = Coroutine(lambda: [suspend(i) for i in range(4)])
    found = Log()

    def take(name):
        for _ in range(2):
            found.append((name, shared.resume()))
            suspend()

    a, b = Coroutine(take, "a"), Coroutine(take, "b")
    for coroutine in (a, b, a, b):
        coroutine.resume()
    assert found == [("a", 0), ("b", 1), ("a", 2), ("b", 3)]
    assert shared.resume() == [None] * 4
    a.close()
    b.close()


def test_a_wrapped_function_as_the_iterator_of_a_loop():
    """Lua: `for x in coroutine.wrap(f)`; a loop in Python asks it by iter()."""

    def count(n):
        for i in range(n):
            suspend(i)

    step = wrap(count)
    assert [step(5), *iter(step, None)] == [0, 1, 2, 3, 4]


def test_a_pipeline_of_coroutines():
    """Lua ("Programming in Lua"): a producer, a filter and a consumer, each driven by the next."""

    def produce(text):
        for line in text:
            suspend(line)

    def numbered(source):
        number = 1
        while (line := source.resume()) is not None:
            suspend(f"{number} {line}")
            number += 1

    def consume(source):
        lines = ()
        while (line := source.resume()) is not None:
            lines = (*lines, line)
            suspend()
        return lines

    coroutine = Coroutine(consume, Coroutine(numbered, Coroutine(produce, "xyz")))
    for _ in range(3):
        assert coroutine.resume() is None
    assert coroutine.resume() == ("1 x", "2 y", "3 z")


class Counting:
    """An iterator whose next step captures, where it may."""

    def __init__(self, items):
        self.items = iter(items)

    def __iter__(self):
        return self

    def __next__(self):
        with pytest.raises(BarrierError, match="suspend"):
            suspend_to(running(), "next")
        return next(self.items)


def test_a_loop_may_capture_in_its_body_not_in_its_iterator():
    """Lua: "coroutines x for-iterators": a class's `__next__` is called by C; a loop over generator(f) takes the other way."""

    def body():
        found = [suspend(item) for item in Counting("ab")]
        for item in generator(lambda: [yield_(1), yield_(2)])():
            found = [*found, suspend(item)]
        return found

    assert stepped(Coroutine(body), *"wxyz") == ["a", "b", 1, 2, ["w", "x", "y", "z"]]


def test_a_running_coroutine_that_nobody_holds_goes_on():
    """Lua: collecting garbage within a coroutine that is on no variable: it runs, and ends."""

    def body():
        gc.collect()
        return running().status

    assert Coroutine(body).resume() == wrap(body)() == "running"


def test_coroutines_are_equal_to_themselves_only():
    """Lua: they are keys of tables; a copy is another one."""
    coroutine = Coroutine(lambda: suspend())
    coroutine.resume()
    twin = copy.copy(coroutine)
    assert {coroutine: 1, twin: 2} == {twin: 2, coroutine: 1}
    assert coroutine != twin
