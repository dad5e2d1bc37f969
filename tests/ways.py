"""Three ways to run a test: cold as it comes, warm after many runs, and traced. What is suspended where must not depend on it (D2).

A module asks for them with ``pytestmark = pytest.mark.three_ways``.
"""

import contextlib
import sys

WAYS = ("cold", "warm", "traced")
WARM_UP = 20


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
