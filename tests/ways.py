"""The ways to run a test. What is suspended where must not depend on them (D2).

Three ways: cold as it comes, warm after many runs, and traced. A module asks for them with ``pytestmark = pytest.mark.three_ways``.

Five ways: those, and with every continuation copied, and pickled, before it is used: laws/operators.py does it. ``pytest.mark.five_ways``.
"""

import contextlib
import sys

WAYS = ("cold", "warm", "traced")
ROADS = ("copied", "pickled")
WARM_UP = 20

current = "cold"  # set by conftest.py
kept = []  # what a copy stands for in this test: not dropped, hence not closed, before its end


def trace_nothing(frame, event, argument):
    return trace_nothing


@contextlib.contextmanager
def traced():
    previous = sys.gettrace()
    sys.settrace(trace_nothing)
    try:
        yield
    finally:
        sys.settrace(previous)
