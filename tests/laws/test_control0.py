"""The laws of control0/prompt0, beside those of all captures (test_capture.py)."""

import pytest

from laws.operators import Log, control0
from stackful import PromptNotFoundError, PromptTag, abort, prompt0

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_control0_takes_its_prompt_away():
    """F is called outside of it: a second capture there ends at the next prompt out, and after the last one there is none."""
    assert prompt0(lambda: ["a", prompt0(lambda: ["b", control0(lambda k: control0(lambda j: "c"))])]) == "c"
    with pytest.raises(PromptNotFoundError):
        prompt0(lambda: control0(lambda k: control0(lambda j: 1)))


def test_control0_brings_no_prompt_back():
    """What runs in k is above the prompt of whoever called it: an abort there leaves k's caller too."""
    k = prompt0(lambda: ["in", control0(lambda k: k)()])
    assert k(lambda: 1) == ["in", 1]
    assert prompt0(lambda: ["around", k(lambda: abort(None, "out"))]) == "out"


def test_control0_climbs_prompt_by_prompt():
    """Each takes one prompt more; put back in order, the frames are what they were."""

    def climb(rest):
        if rest == 0:
            return "top"
        return control0(lambda k: k(climb(rest - 1)))

    def nested(n, thunk):
        return thunk() if n == 0 else prompt0(lambda: [n, nested(n - 1, thunk)])

    assert nested(3, lambda: climb(3)) == [3, [2, [1, "top"]]]


def test_a_frame_is_lifted_out_of_a_stack_by_control0():
    """Shan: the frames between two prompts are taken out of the middle, and what was above and beneath them meets."""
    inner, middle = PromptTag("inner"), PromptTag("middle")
    log = Log()

    def lift():
        return control0(lambda above: control0(lambda taken: [log.append("taken"), above("value")][1], middle), inner)

    def body():
        return prompt0(lambda: ["dropped", prompt0(lambda: ["above", lift()], inner)], middle)

    assert ["beneath", body()] == ["beneath", ["above", "value"]]
    assert log == ["taken"]
