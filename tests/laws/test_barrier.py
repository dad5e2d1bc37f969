"""The laws of barrier."""

import pytest

from laws.operators import Log, call_cc, control, control0, shift
from stackful import BarrierError, Fiber, PromptNotFoundError, PromptTag, abort, barrier, call_ec, prompt, run, suspend

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
