"""The laws of shift/reset, beside those of all captures (test_capture.py)."""

import pytest

from laws.operators import Log, shift
from stackful import reset

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_shift_captures_up_to_the_end_of_k():
    """The same with shift: k runs above a prompt of its own, and what is after k goes on."""
    log = Log()

    def body():
        shift(lambda k: [log.append("first"), k(0), log.append("after k")])
        shift(lambda k: log.append("second"))
        log.append("rest")

    reset(body)
    assert log == ["first", "second", "after k"]


def test_nondeterminism_by_shift():
    """Danvy and Filinski's flip and choose."""

    def choose(options):
        return shift(lambda k: [result for option in options for result in k(option)])

    def triple():
        a, b, c = choose(range(1, 14)), choose(range(1, 14)), choose(range(1, 14))
        return [(a, b, c)] if a * a + b * b == c * c and a < b else []

    assert reset(triple) == [(3, 4, 5), (5, 12, 13), (6, 8, 10)]


def test_state_by_shift():
    """Filinski's state: captured contexts are functions of the state."""

    def get():
        return shift(lambda k: lambda state: k(state)(state))

    def put(new):
        return shift(lambda k: lambda state: k(None)(new))

    def tick():
        put(get() + 1)
        return get()

    def program():
        a = tick()
        b = tick()
        return lambda state: (a, b, state)

    assert reset(program)(10) == (11, 12, 12)


def test_a_tree_walk_becomes_a_generator():
    """Shift turns a recursive walk into a stream; same-fringe by two of them."""

    def walk(tree):
        if isinstance(tree, tuple):
            for part in tree:
                walk(part)
        else:
            shift(lambda k: (tree, k))

    def fringe(tree):
        step = reset(lambda: [walk(tree), None][1])
        while step is not None:
            leaf, k = step
            yield leaf
            step = k()

    assert list(fringe((1, (2, 3), ((4,), 5)))) == [1, 2, 3, 4, 5]
    assert list(fringe(((1, 2), 3, (4, (5,))))) == [1, 2, 3, 4, 5]
