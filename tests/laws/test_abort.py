"""The laws of abort."""

import pytest

from laws.operators import Log, call_cc, control, control0, shift, travelled
from stackful import Fiber, PromptNotFoundError, PromptTag, abort, generator, prompt, suspend, yield_

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_abort_gives_its_value_to_the_prompt():
    """What is between abort and prompt is left."""
    assert ["around", prompt(lambda: ["never", abort(None, 1)])] == ["around", 1]


def test_abort_runs_finally_blocks_and_is_no_exception():
    """Finally runs, `except Exception` does not."""
    log = Log()

    def body():
        try:
            abort(None, "value")
        except Exception:
            log.append("except")
        finally:
            log.append("finally")

    assert prompt(body) == "value"
    assert log == ["finally"]


def test_abort_names_its_prompt():
    """Prompts with other tags in between are left as well."""
    outer, inner = PromptTag("outer"), PromptTag("inner")
    assert prompt(lambda: [prompt(lambda: abort(outer, 1), inner)], outer) == 1
    assert prompt(lambda: [prompt(lambda: abort(inner, 1), inner)], outer) == [1]


def test_abort_passes_fibers_and_c_code():
    """It is an exception on its way."""
    assert prompt(lambda: Fiber(lambda: abort(None, 1)).resume()) == 1
    assert prompt(lambda: sorted([1], key=lambda _: abort(None, 2))) == 2


def test_abort_without_a_prompt_is_an_error():
    """PromptNotFoundError, raised at the abort."""
    with pytest.raises(PromptNotFoundError):
        abort(None, 1)
    with pytest.raises(PromptNotFoundError, match="lost"):
        prompt(lambda: abort(PromptTag("lost"), 1))


def test_abort_meets_the_prompt_that_is_there_not_the_call_that_made_it():
    """Control0 takes the prompt away: the call of prompt0 that made it is still waiting, but is no prompt any more."""

    def inner():
        return control0(lambda k: abort(None, "aborted"))

    assert prompt(lambda: ["outer", prompt(lambda: ["inner", inner()])]) == "aborted"


def test_abort_ends_at_the_prompt_that_shift_leaves_around_k():
    """K runs above a prompt of its own, and abort finds it."""

    def body():
        shift(lambda k: ["k gave", k(None)])
        return abort(None, "aborted")

    assert prompt(body) == ["k gave", "aborted"]


def test_an_abort_that_a_finally_block_kept_is_an_error_when_its_prompt_is_gone():
    """A finally block captures what is left of the way out; gone on with later, it has nobody to go to, and says so."""
    p, q, kept = PromptTag("p"), PromptTag("q"), Log()

    def body():
        try:
            abort(q, "out")
        finally:
            call_cc(lambda k: kept.append(k) if not kept else None, p)

    assert prompt(lambda: prompt(body, p), q) == "out"
    with pytest.raises(BaseException) as caught:
        prompt(lambda: kept[0](None), p)
    assert caught.type is PromptNotFoundError


@pytest.mark.parametrize("capture", [control, shift, control0])
def test_that_error_can_be_caught_around_the_call_of_what_was_kept(capture):
    """It is raised where the kept frames end: for their caller it is what the call comes to."""
    p, q, kept = PromptTag("p"), PromptTag("q"), Log()

    def body():
        try:
            abort(q, "out")
        finally:
            capture(lambda k: kept.append(k), p)

    def again():
        try:
            return kept[0](None)
        except PromptNotFoundError as error:
            return "q" in str(error)

    prompt(lambda: prompt(body, p), q)
    assert prompt(again, p) is True


@pytest.mark.parametrize("kind", [Fiber, generator])
def test_an_abort_that_a_suspension_kept_is_an_error_when_its_prompt_is_gone(kind):
    """The same where a fiber suspends, or a generator yields, in its finally block."""

    def body():
        try:
            abort(None, "out")
        finally:
            (suspend if kind is Fiber else yield_)("held back")

    fiber = Fiber(body) if kind is Fiber else generator(body)()
    go_on = fiber.resume if kind is Fiber else fiber.__next__
    assert prompt(go_on) == "held back"
    with pytest.raises(PromptNotFoundError, match="default"):
        go_on()
    assert fiber.status == "dead" if kind is Fiber else list(fiber) == []


@pytest.mark.no_leakcheck("a fiber that a copy stands for is kept to the test's end")
def test_an_abort_that_a_suspension_kept_goes_to_the_prompt_that_is_there():
    """Whoever resumes the fiber next has made it."""

    def body():
        try:
            abort(None, "out")
        finally:
            suspend("held back")

    fiber = Fiber(body)
    assert [prompt(fiber.resume)] == ["held back"]
    fiber = travelled(fiber)
    assert prompt(lambda: ["never", fiber.resume()]) == "out"


def test_an_abort_that_a_finally_block_kept_goes_to_the_prompt_that_is_there():
    """Gone on with beneath another prompt with its tag, it ends at that."""
    p, q, kept = PromptTag("p"), PromptTag("q"), Log()

    def body():
        try:
            abort(q, "out")
        finally:
            call_cc(lambda k: kept.append(k) if not kept else None, p)

    assert prompt(lambda: prompt(body, p), q) == "out"
    assert prompt(lambda: [prompt(lambda: kept[0](None), p)], q) == "out"


def test_the_value_of_an_abort_may_be_anything():
    """Also an exception, a continuation, a thunk to be called: Racket's handlers are called by whoever has the prompt."""
    assert prompt(lambda: abort(None, lambda: 11))() == 11
    assert isinstance(prompt(lambda: abort(None, KeyError("value"))), KeyError)
    assert prompt(lambda: abort()) is None


def test_a_value_in_the_place_of_the_tag_is_an_error():
    """The likeliest slip: the value comes second."""
    with pytest.raises(TypeError, match=r"a tag is a PromptTag, not 'value': abort\(tag, value\)"):
        prompt(lambda: abort("value"))
