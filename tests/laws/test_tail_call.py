"""The equations of tail calls: whatever a program computes with calls, it computes with tail calls, in constant stack."""

import sys

import pytest

from stackful import tail_call, trampolined

pytestmark = pytest.mark.three_ways


def test_returning_a_tail_call_is_returning_the_call():
    """Return tail_call(f, x) = return f(x)."""

    def double(x):
        return 2 * x

    @trampolined
    def with_tail_call(x):
        return tail_call(double, x + 1)

    assert with_tail_call(3) == (lambda x: double(x + 1))(3) == 8


def test_tail_calls_compose():
    """A chain of functions, each calling the next: the composition of all."""

    def composed(*functions):
        @trampolined
        def run(index, value):
            return value if index == len(functions) else tail_call(run, index + 1, functions[index](value))

        return lambda value: run(0, value)

    assert composed(str, len, float, abs)(12345) == 5.0


def test_a_loop_is_a_tail_call():
    """While = goto with arguments, for far longer than any stack."""
    turns = 50_000 if sys.gettrace() is None else 1_000

    @trampolined
    def loop(n, total):
        return total if n == 0 else tail_call(loop, n - 1, total + n)

    assert loop(turns, 0) == turns * (turns + 1) // 2


def test_direct_style_and_continuation_passing_style_agree():
    """Reynolds, "Definitional Interpreters" (1972): Ackermann's function both ways."""

    def ackermann(m, n):
        if m == 0:
            return n + 1
        return ackermann(m - 1, 1 if n == 0 else ackermann(m, n - 1))

    @trampolined
    def in_cps(m, n, k):
        if m == 0:
            return tail_call(k, n + 1)
        if n == 0:
            return tail_call(in_cps, m - 1, 1, k)
        return tail_call(in_cps, m, n - 1, lambda inner: tail_call(in_cps, m - 1, inner, k))

    for m in range(3):
        for n in range(5):
            assert in_cps(m, n, lambda result: result) == ackermann(m, n)
