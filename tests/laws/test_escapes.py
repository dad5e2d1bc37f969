"""The laws of abort, escape continuations and barriers."""

import pytest

from stackful import (
    BarrierError,
    Fiber,
    PromptNotFoundError,
    PromptTag,
    abort,
    barrier,
    call_cc,
    call_ec,
    control,
    control0,
    prompt,
    run,
    shift,
    suspend,
)

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def test_abort_gives_its_value_to_the_prompt():
    """What is between abort and prompt is left."""
    assert ["around", prompt(lambda: ["never", abort(None, 1)])] == ["around", 1]


def test_abort_runs_finally_blocks_and_is_no_exception():
    """Finally runs, `except Exception` does not."""
    log = []

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


def test_call_ec_returns_early_from_any_depth():
    """A return that works in nested functions and loops."""

    def find(tree, wanted, out):
        for part in tree:
            if isinstance(part, list):
                find(part, wanted, out)
            elif part == wanted:
                out(("found", part))

    assert call_ec(lambda out: find([1, [2, [3]]], 3, out)) == ("found", 3)
    assert call_ec(lambda out: find([1, [2]], 3, out)) is None


def test_call_ec_is_over_when_it_has_returned():
    """The escape continuation then is an error."""
    k = call_ec(lambda k: k)
    with pytest.raises(PromptNotFoundError, match="is over"):
        k(1)


def test_the_outer_escape_leaves_the_inner_call():
    """Escapes nest."""
    assert call_ec(lambda out: [call_ec(lambda inner: out("outer"))]) == "outer"
    assert call_ec(lambda out: [call_ec(lambda inner: inner("inner"))]) == ["inner"]


def test_an_escape_is_valid_again_when_its_extent_is_re_entered():
    """A continuation brings the call of call_ec back."""

    def body():
        return ["ec", call_ec(lambda out: ["not", out(shift(lambda k: k))])]

    k = prompt(body)
    assert [k(1), k(2)] == [["ec", 1], ["ec", 2]]


def test_an_escape_crosses_suspensions():
    """The fiber may suspend within call_ec."""
    fiber = Fiber(lambda: call_ec(lambda out: [suspend(1), out(suspend(2))]))
    assert [fiber.resume(), fiber.resume(), fiber.resume("end")] == [1, 2, "end"]


def test_escapes_work_in_callbacks_of_c_code():
    """A call of C code is no barrier to an escape."""
    assert call_ec(lambda out: sorted([3, 1], key=lambda x: out(x) if x == 1 else x)) == 1


def test_a_barrier_returns_what_its_thunk_returns():
    """And lets exceptions and escapes pass."""
    assert barrier(lambda: 3) == 3
    assert prompt(lambda: barrier(lambda: abort(None, 4))) == 4
    with pytest.raises(KeyError):
        barrier(lambda: {}["missing"])


@pytest.mark.parametrize("capture", [control, shift, call_cc])
def test_nothing_is_captured_across_a_barrier(capture):
    """The error names the barrier, and the prompt outside is as it was."""
    with pytest.raises(BarrierError, match="barrier"):
        prompt(lambda: barrier(lambda: capture(lambda k: k)))


def test_suspend_does_not_cross_a_barrier():
    """As for captures."""
    with pytest.raises(BarrierError, match="barrier"):
        Fiber(lambda: barrier(lambda: suspend())).resume()


def test_a_continuation_does_not_jump_out_of_a_barrier():
    """A barrier met half-way: the jump is refused, and its caller goes on."""

    def main():
        k = call_cc(lambda k: k)
        if not callable(k):
            return "jumped"
        with pytest.raises(BarrierError):
            barrier(lambda: k("out"))
        return "stayed"

    assert run(main) == "stayed"


def test_prompts_inside_of_a_barrier_are_as_usual():
    """What is captured within is within."""
    assert prompt(lambda: barrier(lambda: prompt(lambda: 1 + control(lambda k: k(k(1)))))) == 3
