"""The laws of shift0/reset0, beside those of all captures (test_capture.py)."""

import pytest

from laws.operators import shift0
from stackful import PromptNotFoundError, reset0

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_shift0_without_prompt_left_says_so():
    """After the last prompt is taken, there is none."""
    with pytest.raises(PromptNotFoundError):
        reset0(lambda: shift0(lambda k: shift0(lambda j: 1)))
