"""Prompts divide a fiber's stack into levels: results, exceptions, suspensions, copies and looks cross them as they cross calls."""

import copy
import gc
import inspect
import sys
import weakref

import pytest

from stackful import (
    BarrierError,
    Fiber,
    FiberError,
    FiberExit,
    PromptNotFoundError,
    PromptTag,
    current,
    is_suspendable,
    prompt,
    shift,
    suspend,
    suspend_to,
)

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def nested(depth, innermost):
    return innermost() if depth == 0 else prompt(lambda: nested(depth - 1, innermost))


def test_a_prompt_returns_what_its_thunk_returns():
    """Nothing is captured: a prompt is a call."""
    assert prompt(lambda: 42) == 42
    assert Fiber(lambda: [prompt(lambda: 1), prompt(lambda: 2)]).resume() == [1, 2]


def test_an_exception_passes_prompts():
    """What a thunk raises comes out of prompt, through any number of levels, with its whole traceback."""

    def fail():
        raise KeyError("deep")

    with pytest.raises(KeyError, match="deep") as caught:
        Fiber(nested, 5, fail).resume()
    names = [entry.name for entry in caught.traceback]
    assert names.count("prompt") == 5
    assert names[-1] == "fail"


def test_an_exception_is_caught_in_the_level_below():
    """A try around a prompt sees what happens above it."""

    def body():
        try:
            prompt(lambda: [suspend(1), 1 / 0])
        except ZeroDivisionError:
            return suspend("caught")

    fiber = Fiber(body)
    assert [fiber.resume(), fiber.resume(), fiber.resume("end")] == [1, "caught", "end"]


def test_suspend_crosses_prompts():
    """A fiber is suspended as a whole, whatever prompts lie on its stack."""
    fiber = Fiber(nested, 3, lambda: [suspend("a"), suspend("b")])
    assert [fiber.resume(), fiber.resume(1), fiber.resume(2)] == ["a", "b", [1, 2]]


def test_frames_shows_all_levels():
    """Frames of all levels, outermost first."""
    fiber = Fiber(nested, 2, lambda: suspend())
    fiber.resume()
    names = [frame.code.co_name for frame in fiber.frames]
    assert names == ["nested", "prompt", "<lambda>", "nested", "prompt", "<lambda>", "nested", "<lambda>"]
    assert "8 frames" in repr(fiber)
    assert sys.getsizeof(fiber) > sys.getsizeof(Fiber(nested))


def test_f_back_crosses_prompts():
    """The stack that running code sees is one stack."""

    def look():
        suspend()
        return [frame.function for frame in inspect.stack(0)][:8]

    fiber = Fiber(nested, 2, look)
    fiber.resume()
    assert fiber.resume() == ["look", "nested", "<lambda>", "prompt", "nested", "<lambda>", "prompt", "nested"]


def test_throw_and_close_reach_the_innermost_level():
    """Finally blocks of all levels run, innermost first."""
    log = []

    def guard(name, thunk):
        try:
            return thunk()
        finally:
            log.append(name)

    def make():
        return Fiber(lambda: guard("outer", lambda: prompt(lambda: guard("inner", suspend))))

    fiber = make()
    fiber.resume()
    fiber.close()
    assert log == ["inner", "outer"]
    assert fiber.status == "dead"
    fiber = make()
    fiber.resume()
    with pytest.raises(LookupError):
        fiber.throw(LookupError)
    assert log == ["inner", "outer"] * 2


def test_a_copy_has_levels_of_its_own():
    """Original and copy go on independently, in every level."""

    def body():
        return [prompt(lambda: [suspend(1), prompt(lambda: suspend(2))]), suspend(3)]

    fiber = Fiber(body)
    fiber.resume()
    fiber.resume("a")
    twin = copy.copy(fiber)
    assert [fiber.resume("b"), fiber.resume("c")] == [3, [["a", "b"], "c"]]
    assert [twin.resume("x"), twin.resume("y")] == [3, [["a", "x"], "y"]]


def test_the_handled_exception_is_visible_above_and_kept_below():
    """A prompt within an except block sees what is handled, and changes nothing of it."""

    def body():
        try:
            raise KeyError("outer")
        except KeyError:
            seen = prompt(lambda: [repr(sys.exc_info()[1]), suspend()])
            try:
                prompt(lambda: 1 / 0)
            except ZeroDivisionError as error:
                context = error.__context__
            return seen, repr(context), repr(sys.exc_info()[1])

    fiber = Fiber(body)
    fiber.resume()
    assert fiber.resume() == (["KeyError('outer')", None], "KeyError('outer')", "KeyError('outer')")


def test_what_a_level_handles_is_over_when_the_level_is():
    """An exception handled in a level that was suspended does not leak into the level below."""

    def inner():
        try:
            raise ValueError
        except ValueError:
            suspend()
            return sys.exc_info()[0]

    def body():
        return prompt(inner), sys.exc_info()[0]

    fiber = Fiber(body)
    fiber.resume()
    assert fiber.resume() == (ValueError, None)


def test_suspend_outside_of_a_fiber_is_refused_in_a_prompt():
    """A prompt at top level gives suspend nobody to go to: an error there, and the prompt goes on."""

    def body():
        assert not is_suspendable()
        try:
            suspend()
        except FiberError as error:
            return str(error)

    assert "outside of any fiber" in prompt(body)


def test_suspend_outside_of_a_fiber_is_refused_at_a_call_that_was_captured_before():
    """That the same call has been suspended at, for a continuation, changes nothing."""

    def body():
        for step in (lambda: shift(lambda k: k()), suspend):
            for _ in range(2):
                step()

    with pytest.raises(FiberError, match="outside of any fiber"):
        prompt(body)


def test_suspend_to_behind_a_c_call_is_refused_in_a_prompt():
    """A prompt behind a C call does not hide the C call: the fiber's frames beyond it are out of reach."""

    def key(_):
        try:
            return prompt(lambda: suspend_to(fiber))
        except PromptNotFoundError as error:
            messages.append(str(error))
            return 0

    messages = []
    fiber = Fiber(lambda: sorted([1], key=key))
    assert fiber.resume() == [1]
    assert "was resumed by C code" in messages[0]


def test_suspend_in_a_prompt_behind_a_c_call_keeps_both():
    """Prompts behind C calls wait with the fiber's stack, one within the other, and are prompts as before."""

    def key(x):
        return prompt(lambda: x + suspend(x) + shift(lambda k: k(1) + k(2)))

    def body():
        return sorted([1, 2], key=lambda x: prompt(lambda: [10, *map(key, [x])])[1])

    fiber = Fiber(body)
    assert [fiber.resume(), fiber.resume(-100), fiber.resume(-200)] == [1, 2, [2, 1]]


def test_a_thunk_that_is_no_python_function_is_called():
    """Any callable is a thunk; nothing can be captured in what is called through C."""
    assert Fiber(lambda: prompt(dict)).resume() == {}
    assert Fiber(lambda: prompt([3, 1].copy)).resume() == [3, 1]
    fiber = Fiber(lambda: prompt(type("Callable", (), {"__call__": lambda self: suspend()})()))
    assert [fiber.resume(), fiber.resume(5)] == [None, 5]
    with pytest.raises(BarrierError, match="C call"):
        Fiber(lambda: prompt(type("Callable", (), {"__call__": lambda self: suspend_to(current())})())).resume()


def test_a_bound_method_is_a_thunk_like_a_function():
    """Its self is its first argument, and it can be suspended in."""

    class Counter:
        def count(self):
            return suspend(self)

    counter = Counter()
    fiber = Fiber(lambda: prompt(counter.count))
    assert [fiber.resume(), fiber.resume(5)] == [counter, 5]


def test_misuse_is_an_error_and_the_fiber_goes_on():
    """A thunk that cannot be called is refused before anything happens."""

    def body():
        with pytest.raises(TypeError, match="expected a function"):
            prompt(5)
        return suspend()

    fiber = Fiber(body)
    fiber.resume()
    assert fiber.resume(3) == 3


def test_a_million_prompts_one_after_the_other_leave_nothing():
    """A prompt that has returned is gone (a smaller million, for the test's sake)."""

    def body():
        total = 0
        for _ in range(2000):
            total += prompt(lambda: 1)
        return total

    assert Fiber(body).resume() == 2000


def test_prompts_nest_up_to_the_recursion_limit():
    """Endless nesting is a RecursionError, as for calls, and no C stack is used up."""

    def endless(depth):
        return prompt(lambda: endless(depth + 1))

    with pytest.raises(RecursionError):
        prompt(lambda: endless(0))


def test_a_dropped_fiber_with_levels_is_freed():
    """Cycles through levels are found by the collector; finally blocks run."""
    log = []

    class Thing:
        pass

    def body(thing):
        try:
            prompt(lambda: prompt(lambda: suspend()))
        finally:
            log.append("finally")

    thing = Thing()
    thing.fiber = Fiber(body, thing)
    thing.fiber.resume()
    gone = weakref.ref(thing)
    del thing
    gc.collect()
    assert gone() is None
    assert log == ["finally"]


def test_current_is_the_fiber_in_every_level():
    """A prompt in a fiber makes no other fiber."""
    fiber = Fiber(lambda: prompt(lambda: prompt(current)))
    assert fiber.resume() is fiber


def test_tags_are_told_apart_by_identity():
    """Two tags of one name are two tags."""
    assert PromptTag("a") != PromptTag("a")
    assert repr(PromptTag("a")) == "PromptTag('a')"


def test_closing_a_fiber_that_ignores_it_is_an_error():
    """FiberExit goes through prompts, and who catches it and suspends is told off."""

    def stubborn():
        try:
            suspend()
        except FiberExit:
            suspend()

    fiber = Fiber(lambda: prompt(stubborn))
    fiber.resume()
    with pytest.raises(FiberError, match="ignored FiberExit"):
        fiber.close()
    fiber.close()
