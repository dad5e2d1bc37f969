"""The laws of control/prompt, beside those of all captures (test_capture.py)."""

import pytest

from laws.operators import Log, control
from stackful import prompt

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_control_captures_up_to_where_k_is_called():
    """Kiselyov: prompt(control(k. 1 + k(0)) ...): the captured context has no prompt of its own, so a later control takes more."""
    log = Log()

    def body():
        control(lambda k: [log.append("first"), k(0), log.append("after k")])
        control(lambda k: log.append("second"))
        log.append("rest")

    prompt(body)
    assert log == ["first", "second"]
