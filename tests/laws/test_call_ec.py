"""The laws of call_ec."""

import pytest

from laws.operators import Log, shift
from stackful import Fiber, PromptNotFoundError, call_ec, prompt, suspend

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


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


def test_escapes_pass_each_other():
    """Racket: an escape within an escape's argument; the first to be called wins."""
    assert call_ec(lambda a: a(call_ec(lambda b: b(1)) + 1)) == 2
    assert call_ec(lambda a: [a("first"), a("second")]) == "first"


def test_an_escape_is_not_stopped_by_except_exception():
    """It is no Exception; finally blocks run on its way, innermost first."""
    log = Log()

    def body(out):
        try:
            try:
                out("left")
            except Exception:
                log.append("except")
            finally:
                log.append("inner")
        finally:
            log.append("outer")

    assert call_ec(body) == "left"
    assert log == ["inner", "outer"]


def test_an_escape_from_another_escape_s_finally_block_wins():
    """The later jump replaces the one on its way, as a return in finally does."""

    def body(a, b):
        try:
            a("first")
        finally:
            b("second")

    assert call_ec(lambda a: ["a", call_ec(lambda b: body(a, b))]) == ["a", "second"]
