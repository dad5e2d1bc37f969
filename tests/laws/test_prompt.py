"""The laws of prompt and its tags: Racket's headings "prompt escapes", "continuations" and "overlapping continuations".

(The situations are those of Racket's prompt-tests.rktl, said anew.)
"""

import sys
import threading

import pytest

from laws.operators import Log, call_cc, control
from stackful import (
    PromptNotFoundError,
    PromptTag,
    abort,
    control0,
    dynamic_wind,
    prompt,
    prompt0,
    reset,
    reset0,
    run,
    shift,
    shift0,
)

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]

ALIASES = ["prompt", "prompt0", "reset", "reset0"]


def test_a_prompt_around_a_value_is_the_value():
    """Any value: tuples, None, exceptions."""
    for value in (10, (10, 11), (), None, KeyError("no error")):
        assert prompt(lambda value=value: value) is value


@pytest.mark.parametrize("alias", ALIASES)
def test_the_four_names_make_the_same_mark(alias):
    """What is captured or aborted does not ask by which name its prompt was made."""
    import stackful

    delimit = getattr(stackful, alias)
    assert delimit(lambda: 1 + control(lambda k: k(k(1)))) == 3
    assert delimit(lambda: 1 + abort(None, 10)) == 10
    assert delimit(lambda: 1 + call_cc(lambda k: 10 * k(1))) == 2


def test_a_prompt_with_another_tag_is_passed():
    """Abort, capture and call_cc all go to the one that they name."""
    p, q = PromptTag("p"), PromptTag("q")
    assert prompt(lambda: 17 + prompt(lambda: 1 + abort(p, 810), q), p) == 810
    assert prompt(lambda: 17 + prompt(lambda: 1 + control(lambda k: [k(1)], p), q), p) == [19]
    assert prompt(lambda: 17 + prompt(lambda: 1 + call_cc(lambda k: k(1), p), q), p) == 19


def test_an_abort_from_a_post_thunk_goes_to_the_prompt_that_is_there_then():
    """The jump has left the inner prompt, and the abort ends at one that lies deeper than another with its tag."""
    p, q = PromptTag("p"), PromptTag("q")

    def main():
        return call_cc(lambda k: ["not left", prompt(lambda: prompt(lambda: guarded(k), p), q)])

    def guarded(k):
        return dynamic_wind(lambda: None, lambda: prompt(lambda: k("jumped"), q), lambda: abort(p, "aborted"))

    assert run(main) == ["not left", "aborted"]


def test_unwinding_a_deep_stack():
    """Hundreds of frames, a prompt, hundreds more; an abort from the innermost."""

    def down(n, thunk):
        return thunk() if n == 0 else [down(n - 1, thunk)][0]

    assert down(100, lambda: prompt(lambda: down(300, lambda: abort(None, 5000)))) == 5000


def test_a_continuation_runs_in_whichever_prompt_it_is_called():
    """It goes on above that one, and returns to it."""
    kept = Log()
    assert prompt(lambda: 18 + call_cc(lambda k: [kept.append(k), 17][1])) == 35
    retry = kept[0]
    assert 1 + prompt(lambda: 1000 * retry(10)) == 29
    assert 1 + prompt(lambda: prompt(lambda: retry(12)) + prompt(lambda: retry(11))) == 60


def test_a_jump_to_an_enclosing_continuation_does_not_skip_a_prompt():
    """The inner prompt is where the continuation is reinstated, though the frames it stands for are there, further out."""
    assert 5 + prompt(lambda: 1 + call_cc(lambda k: 17 + prompt(lambda: k(1)))) == 25


def test_a_jump_past_a_prompt_with_another_tag():
    """It is left."""
    p, q = PromptTag("p"), PromptTag("q")
    assert prompt(lambda: call_cc(lambda k: ["never", prompt(lambda: k(10), q)], p), p) == 10


def test_a_continuation_captured_within_one_that_was_called():
    """Racket's "catch continuation in composed continuation"."""
    k = prompt(lambda: call_cc(lambda k: lambda: k)())
    k2 = prompt(lambda: k(lambda: call_cc(lambda k2: [k2])[0]))
    assert prompt(lambda: k2([89])) == 89


def test_a_continuation_captured_far_above_the_prompt_that_it_came_to():
    """A shallow continuation called three hundred frames deep, and captured there again."""
    k = prompt(lambda: call_cc(lambda k: lambda: k)())

    def down(n):
        return k(lambda: call_cc(lambda k2: k2(10))) if n == 0 else [down(n - 1)]

    assert prompt(lambda: down(300)) == 10


def test_a_continuation_captured_within_a_deep_one():
    """The deep frames are there, and are captured with the new ones."""

    def down(n):
        return call_cc(lambda k: lambda: k)() if n == 0 else (1, down(n - 1))

    k = prompt(lambda: down(3))
    while isinstance(k, tuple):
        k = k[1]
    assert prompt(lambda: k(lambda: call_cc(lambda k2: k2(10)))) == (1, (1, (1, 10)))


# Overlapping continuations


def overlapping(p, q, kept):
    """K reaches to p, j to q, which lies within."""
    return ["p", *prompt(lambda: ["q", *call_cc(lambda k: [kept.append(k), call_cc(both(kept), q)][1], p)()], q)]


def both(kept):
    return lambda j: [kept.append(j), lambda: [100]][1]


def test_two_continuations_that_overlap():
    """Each is valid where its own prompt is, and brings the frames up to that."""
    p, q, kept = PromptTag("p"), PromptTag("q"), Log()
    assert prompt(lambda: overlapping(p, q, kept), p) == ["p", "q", 100]
    k, j = kept
    for wrong in (k, j, lambda f: prompt(lambda: k(f), q), lambda f: prompt(lambda: j(f), p)):
        with pytest.raises(PromptNotFoundError):
            wrong(lambda: [0])
    assert prompt(lambda: k(lambda: [101]), p) == ["p", "q", 101]
    assert prompt(lambda: j(lambda: [102]), q) == ["q", 102]
    assert prompt(lambda: k(lambda: j(lambda: [103])), p) == ["p", "q", 103]


def test_a_continuation_may_reach_further_than_the_one_it_is_captured_in():
    """The outer prompt's continuation, captured within frames that were brought back up to an inner one."""
    p = PromptTag("p")

    def main():
        k = prompt(lambda: call_cc(lambda k: lambda: k, p)(), p)
        found = [prompt(lambda: k(lambda: call_cc(lambda j: j)), p)]
        return found[0](10) if callable(found[0]) else found

    assert run(main) == [10]


def test_the_same_in_a_loop():
    """The continuation is captured anew by whoever it is called with, ten times."""
    p = PromptTag("p")
    left = Log([10])

    def again():
        left[0] -= 1
        return 10 if left[0] == 0 else call_cc(lambda j: lambda: j)()

    def main():
        k = prompt(lambda: call_cc(lambda k: lambda: k, p)(), p)
        found = [prompt(lambda: k(lambda: call_cc(lambda j: lambda: j)()), p)]
        return found[0](again) if callable(found[0]) else found

    assert run(main) == [10]
    assert left == [0]


# Threads


def in_thread(thunk):
    """What a thunk comes to in another thread."""
    found = []

    def body():
        try:
            found.append(thunk())
        except Exception as error:
            found.append(type(error))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    return found[0]


def test_a_continuation_goes_on_in_another_thread():
    """Where a prompt is; without one it is an error there."""
    kept = Log()
    assert prompt(lambda: 18 + call_cc(lambda k: [kept.append(k), 17][1])) == 35
    assert in_thread(lambda: prompt(lambda: kept[0](0))) == 18
    assert in_thread(lambda: kept[0](0)) is PromptNotFoundError


def test_a_continuation_of_another_thread_goes_on_here():
    """Nothing of the thread is part of it."""
    kept = Log()
    in_thread(lambda: run(lambda: 18 + call_cc(lambda k: [kept.append(k), 17][1])))
    assert prompt(lambda: kept[0](7)) == 25


def test_a_continuation_captured_in_one_that_went_to_a_thread():
    """Each goes on by itself: once, then two, then four ways are through."""
    seen, here = Log(), sys.gettrace()

    def body():
        seen.append(1)
        call_cc(lambda k: in_thread(lambda: prompt(k)))
        seen.append(2)
        call_cc(lambda k: in_thread(lambda: prompt(k)))
        seen.append(3)

    run(body)
    assert [seen.count(n) for n in (1, 2, 3)] == [1, 2, 4]
    assert sys.gettrace() is here


def test_a_tag_is_a_prompt_tag():
    """Another object is refused with a TypeError by every operator, whether or not a prompt is there."""
    for delimit in (prompt, prompt0, reset, reset0):
        with pytest.raises(TypeError, match="a tag is a PromptTag, not 'a'"):
            delimit(lambda: 1, "a")
    for capture in (control, control0, shift, shift0, call_cc):
        with pytest.raises(TypeError, match="a tag is a PromptTag, or a fiber, not 'a'"):
            run(lambda capture=capture: capture(lambda k: k(1), "a"))
        with pytest.raises(TypeError, match="not 'a'"):
            capture(lambda k: k(1), "a")
