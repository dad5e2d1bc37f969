"""The laws of barrier."""

import pytest

from laws.operators import Log, call_cc, control, shift
from stackful import (
    BarrierError,
    Fiber,
    PromptNotFoundError,
    PromptTag,
    abort,
    barrier,
    call_ec,
    dynamic_wind,
    prompt,
    run,
    suspend,
)

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


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


# Racket's headings "a barrier met half-way" and "a post thunk that removes the target" (prompt-tests.rktl)


def left_by(escape, kept, log, p):
    """A jump out of an extent; its post thunk keeps what is left of the jump, up to the prompt p."""

    def post():
        call_cc(lambda k: kept.append(k) if not kept else None, p)
        log.append("post")

    return prompt(lambda: dynamic_wind(lambda: None, lambda: escape("out"), post), p)


def test_a_barrier_is_met_after_posts_have_run():
    """A jump that was captured on its way goes on within a barrier: its target is outside now, the posts have run, and it is refused."""
    p, kept, log = PromptTag("p"), Log(), Log()

    def main():
        if call_cc(lambda out: left_by(out, kept, log, p)) == "out":
            with pytest.raises(PromptNotFoundError, match=r"outside of <Fiber"):
                barrier(lambda: prompt(lambda: kept[0](None), p))
        return "end"

    assert run(main) == "end"
    assert log == ["post", "post"]


def test_an_escape_on_its_way_passes_a_barrier():
    """The same by an escape, which passes: its call is running again because its extent was captured as well."""
    p, kept, log = PromptTag("p"), Log(), Log()
    assert call_ec(lambda out: left_by(out, kept, log, p)) == "out"
    assert call_ec(lambda out: barrier(lambda: out(3))) == 3
    assert log == ["post"]


def test_an_escape_whose_target_is_gone_is_an_error_where_its_posts_have_run():
    """Kept by a post thunk and gone on with when call_ec has returned: nobody waits for the value."""
    p, kept, log = PromptTag("p"), Log(), Log()
    call_ec(lambda out: left_by(out, kept, log, p))
    with pytest.raises(PromptNotFoundError):
        barrier(lambda: prompt(lambda: kept[0](None), p))
    assert log == ["post", "post"]


def test_an_abort_whose_prompt_is_gone_is_an_error_where_its_posts_have_run():
    """The same by a prompt."""
    p, q, kept, log = PromptTag("p"), PromptTag("q"), Log(), Log()
    assert prompt(lambda: left_by(lambda value: abort(q, value), kept, log, p), q) == "out"
    with pytest.raises(PromptNotFoundError):
        barrier(lambda: prompt(lambda: kept[0](None), p))
    assert log == ["post", "post"]


def test_a_prompt_is_not_tied_to_the_barrier_that_it_was_made_in():
    """Frames that were captured within one are called within two others, and captured there again."""
    p, q = PromptTag("p"), PromptTag("q")
    k = barrier(lambda: prompt(lambda: prompt(lambda: call_cc(lambda k: lambda: k, q)(), p), q))

    def again():
        j = prompt(lambda: k(lambda: call_cc(lambda j: j, p)), q)
        return prompt(lambda: j(0), p)

    assert barrier(lambda: barrier(again)) == 0


def test_a_continuation_that_jumps_within_the_barrier_it_was_called_in():
    """Its target is inside of the innermost barrier: nothing is crossed."""
    p = PromptTag("p")
    k = barrier(lambda: prompt(lambda: call_cc(lambda k: lambda: k, p)(), p))

    def inner():
        return prompt(lambda: call_cc(lambda out: [prompt(lambda: k(lambda: out(12)), p)]))

    assert barrier(lambda: barrier(lambda: barrier(inner))) == 12


def test_posts_that_stand_outside_of_a_barrier_do_not_run_when_a_jump_is_refused():
    """Those inside may have: the jump is looked at again after each."""
    log = Log()

    def main():
        out = call_cc(lambda k: k)
        if not callable(out):
            return "jumped"
        with pytest.raises(BarrierError):
            log.wind("outside", lambda: barrier(lambda: log.wind("inside", lambda: out("x"))))
        return "stayed"

    assert run(main) == "stayed"
    assert [entry for entry in log if "outside" in entry] == ["in outside", "out outside"]
    assert log.count("out inside") == 1
