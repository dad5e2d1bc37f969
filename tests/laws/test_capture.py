"""The laws that control/prompt, shift/reset, control0/prompt0 and shift0/reset0 have in common: what is captured, and what it is then."""

import copy
import gc
import sys

import pytest

from laws.operators import Log, call_cc, control, control0, shift, shift0
from leakcheck import blocks_kept
from stackful import (
    BarrierError,
    Fiber,
    PromptNotFoundError,
    PromptTag,
    abort,
    prompt,
    prompt0,
    reset,
    reset0,
    run,
    suspend,
)

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]

OPERATORS = {
    "control": (prompt, control),
    "shift": (reset, shift),
    "control0": (prompt0, control0),
    "shift0": (reset0, shift0),
}
each_operator = pytest.mark.parametrize(("delimit", "capture"), OPERATORS.values(), ids=OPERATORS)
places = [
    lambda thunk: thunk(),
    lambda thunk: Fiber(thunk).resume(),
    lambda thunk: Fiber(lambda: max([thunk()], key=lambda x: 0)).resume(),
]
everywhere = pytest.mark.parametrize("place", places, ids=["top level", "fiber", "operand"])


@everywhere
@each_operator
def test_reset_of_a_value_is_the_value(delimit, capture, place):
    """#v = v."""
    assert place(lambda: delimit(lambda: 5)) == 5


@everywhere
@each_operator
def test_a_continuation_that_is_not_called_is_dropped(delimit, capture, place):
    """#E[Ck.v] = v."""
    assert place(lambda: 1 + delimit(lambda: 10 + capture(lambda k: 100))) == 101


@everywhere
@each_operator
def test_a_continuation_called_once_is_the_context(delimit, capture, place):
    """#E[Ck.k v] = E[v]."""
    assert place(lambda: 1 + delimit(lambda: 10 + capture(lambda k: k(100)))) == 111


@each_operator
def test_a_continuation_can_be_called_twice(delimit, capture):
    """Multi-shot: the context runs once for each call."""
    assert delimit(lambda: 2 * capture(lambda k: k(3) + k(4))) == 14


@each_operator
def test_a_continuation_composes(delimit, capture):
    """k(k(v)) applies the context twice."""
    assert delimit(lambda: 1 + 2 * capture(lambda k: k(k(10)))) == 43


@each_operator
def test_a_continuation_outlives_its_prompt(delimit, capture):
    """It can be called after the prompt has returned, anywhere, any number of times."""
    k = delimit(lambda: ["in", capture(lambda k: k)])
    assert [k(1), k(2)] == [["in", 1], ["in", 2]]
    assert Fiber(k, 3).resume() == ["in", 3]
    assert sorted([2, 1], key=lambda x: k(x)) == [1, 2]


@each_operator
def test_an_error_can_be_raised_where_the_capture_waits(delimit, capture):
    """k(error=...) is a capture that raises."""

    def body():
        try:
            capture(lambda k: k(error=KeyError("given")))
        except KeyError as error:
            return f"caught {error}"

    assert delimit(body) == "caught 'given'"


@each_operator
def test_what_f_raises_comes_out_of_the_prompt(delimit, capture):
    """The captured frames are away: their except blocks see nothing of it."""

    def body():
        try:
            capture(lambda k: 1 / 0)
        except ZeroDivisionError:
            return "wrong"

    with pytest.raises(ZeroDivisionError):
        delimit(body)


@each_operator
def test_loops_go_on_independently_in_each_call(delimit, capture):
    """Running iterators belong to the frames: each call of k sees the rest of the loop."""

    def body():
        seen = ()
        for i, letter in enumerate("abc"):
            seen += ((i, letter, capture(lambda k: [k, seen])),)
        return seen

    k, _ = delimit(body)
    for _ in range(2):
        j, seen = delimit(lambda: k("x"))
        assert seen == ((0, "a", "x"),)
        j, seen = delimit(lambda: j("y"))
        assert seen == ((0, "a", "x"), (1, "b", "y"))
        assert delimit(lambda: j("z")) == ((0, "a", "x"), (1, "b", "y"), (2, "c", "z"))


@each_operator
def test_comprehensions_are_re_entered(delimit, capture):
    """The half-built list is each call's own."""
    k = delimit(lambda: [capture(lambda k: k) if x == 1 else x for x in range(3)])
    assert [k("a"), k("b"), k("a")] == [[0, "a", 2], [0, "b", 2], [0, "a", 2]]


@each_operator
def test_an_iterator_shared_by_two_frames_is_shared_in_each_copy(delimit, capture):
    """Frames that share what must be forked are copied together."""

    def inner(iterator):
        for x in iterator:
            capture(lambda k: k) if x == 2 else None
            return next(iterator)

    def body():
        iterator = iter([2, 3, 4, 5])
        return [inner(iterator), *iterator]

    k = delimit(body)
    assert [k(), k(), k()] == [[3, 4, 5]] * 3


@each_operator
def test_generators_that_are_running_loops_are_forked(delimit, capture):
    """A loop over a generator goes on from the same element in each call."""

    def body():
        out = []
        for x in (i * i for i in range(4)):
            out = [*out, x]
            if x == 1:
                capture(lambda k: k)
        return out

    k = delimit(body)
    assert [k(), k()] == [[0, 1, 4, 9]] * 2


@each_operator
def test_deep_recursion_is_captured_and_re_entered(delimit, capture):
    """Five hundred frames, twice."""

    def deep(n):
        return capture(lambda k: k) if n == 0 else 1 + deep(n - 1)

    k = delimit(lambda: deep(200))
    assert [k(0), k(1000)] == [200, 1200]


@each_operator
def test_finally_blocks_run_once_for_each_way_through(delimit, capture):
    """Capturing is not leaving: finally runs when the frames end."""
    log = Log()

    def body():
        try:
            return capture(lambda k: k)
        finally:
            log.append("finally")

    k = delimit(body)
    assert log == []
    k(1)
    k(2)
    assert log == ["finally"] * 2


@each_operator
def test_the_nearest_prompt_with_the_tag_is_meant(delimit, capture):
    """Prompts with other tags in between are captured as well, and are there again when k is called."""
    outer, inner = PromptTag("outer"), PromptTag("inner")

    def body():
        a = delimit(lambda: [capture(lambda k: k, outer), capture(lambda j: ["j", j(1)], inner)], inner)
        return ["outer", a]

    k = delimit(body, outer)
    assert delimit(lambda: k(0), outer)[0] == "outer"
    assert delimit(lambda: k(0), outer)[1] == ["j", [0, 1]]


@each_operator
def test_a_missing_prompt_is_an_error_that_names_the_others(delimit, capture):
    """The error says which prompts are there, and the caller goes on."""
    tag, other = PromptTag("wanted"), PromptTag("other")

    def body():
        with pytest.raises(PromptNotFoundError, match="wanted.*innermost first: PromptTag\\('other'\\)"):
            capture(lambda k: k, tag)
        return "went on"

    assert delimit(body, other) == "went on"
    with pytest.raises(PromptNotFoundError, match="There is no prompt in reach"):
        capture(lambda k: k)


@each_operator
def test_a_prompt_outside_of_a_fiber_is_out_of_reach(delimit, capture):
    """A fiber that is resumed within the prompt is a boundary, and the error says so."""
    with pytest.raises(PromptNotFoundError, match="is outside of <Fiber"):
        delimit(lambda: Fiber(lambda: capture(lambda k: k)).resume())


@each_operator
def test_a_c_call_in_between_is_a_barrier(delimit, capture):
    """What C code has called is not captured; the error names the call."""
    with pytest.raises(BarrierError, match="sorted"):
        delimit(lambda: sorted([1, 2], key=lambda _: capture(lambda k: k)))
    with pytest.raises(BarrierError, match="C call"):
        delimit(lambda: sorted([1, 2], key=lambda _: capture(lambda k: k)))


@each_operator
def test_a_fiber_suspends_with_a_continuation_on_its_stack(delimit, capture):
    """Continuations called in a fiber are part of its stack: suspended, copied, resumed."""
    fiber = Fiber(lambda: delimit(lambda: ["x", suspend(capture(lambda k: [k(1), k(2)]))]))
    assert fiber.resume() == 1
    twin = copy.copy(fiber)
    assert [fiber.resume("a"), fiber.resume("b")] == [2, [["x", "a"], ["x", "b"]]]
    assert [twin.resume("c"), twin.resume("d")] == [2, [["x", "c"], ["x", "d"]]]


@each_operator
def test_what_was_handled_at_the_capture_is_handled_again(delimit, capture):
    """The exception that the captured frames handle travels with them, and stays out of the frames around."""

    def body():
        try:
            raise KeyError("inside")
        except KeyError:
            capture(lambda k: k)
            return repr(sys.exc_info()[1])

    k = delimit(body)
    assert sys.exc_info()[1] is None
    try:
        raise ValueError("around")
    except ValueError:
        assert k() == "KeyError('inside')"
        assert repr(sys.exc_info()[1]) == "ValueError('around')"


def test_captured_frames_are_freed_with_the_continuation(way):
    """A cycle through a continuation in its own captured frame is garbage like any other."""
    gone = []

    class Thing:
        def __del__(self):
            gone.append(1)

    def body(thing):
        holder = []
        holder.append(shift(lambda k: [holder.append(k), k][1]))
        return holder

    reset(lambda: body(Thing()))
    gc.collect()
    assert gone == [1] * (2 if way == "pickled" else 1)  # the pickled thing is another one


def test_memory_does_not_grow_with_the_number_of_captures():
    """A loop that captures again and again in the same place holds no more than its stack."""

    def body():
        total = 0
        for i in range(1000):
            total += shift0(lambda k: reset0(lambda: k(i)))
        return total

    def driver(n):
        step = reset(lambda: ticker(n))
        while step is not None:
            step = step()
        return "done"

    def ticker(n):
        for _ in range(n):
            shift(lambda k: k)

    assert driver(300) == "done"
    assert blocks_kept(lambda: driver(3000), rounds=3) < 500


# Racket's heading "composable continuations"


def empty(delimit, capture):
    """The empty continuation: what it is given, it calls."""
    return delimit(lambda: capture(lambda k: k)())


@each_operator
def test_the_empty_continuation_is_the_identity(delimit, capture):
    """However often it is composed with itself."""
    k = delimit(lambda: capture(lambda k: k))
    assert [k(12), k(k(k(k(13)))), k((12, 13))] == [12, 13, (12, 13)]


@each_operator
def test_captures_in_composed_continuations(delimit, capture):
    """Continuations of continuations, four deep, each time within another call of the first."""
    one, two = empty(delimit, capture), empty(delimit, capture)
    assert one(lambda: two(lambda: 1000)) == 1000
    three = delimit(lambda: one(lambda: capture(lambda k: k)()))
    assert three(lambda: 1001) == delimit(lambda: one(lambda: three(lambda: 1001))) == 1001
    five = delimit(lambda: one(lambda: capture(lambda k: k)))
    assert five(lambda: 1004)() == 1004
    six = delimit(lambda: one(lambda: one(lambda: [capture(lambda k: k)])))
    assert [six(1), six(six(2))] == [[1], [[2]]]


@each_operator
def test_an_abort_in_a_composed_continuation(delimit, capture):
    """It leaves for a prompt around the call; those that brought their own prompt end at that."""
    tag = PromptTag("outer")
    k = empty(delimit, capture)
    assert prompt(lambda: 99 + k(lambda: abort(tag, 8)), tag) == 8
    own = capture in (shift, shift0)
    assert prompt(lambda: 99 + k(lambda: abort(None, 8))) == (107 if own else 8)


@each_operator
def test_an_escape_drops_what_was_composed(delimit, capture):
    """A jump out of the frames that k has brought: they never return."""
    tag = PromptTag("composed")
    k = delimit(lambda: [capture(lambda k: k, tag)(), 1 / 0], tag)
    assert run(lambda: call_cc(lambda out: 1 / k(lambda: out(0)))) == 0


@each_operator
def test_a_long_chain_of_composed_continuations(delimit, capture):
    """Each is captured within a call of the one before, and called in the end: all frames run, innermost first."""
    k = empty(delimit, capture)
    for _ in range(40):
        k = delimit(lambda k=k: k(lambda: capture(lambda j: j)()))
    assert k(lambda: 17) == 17
    with pytest.raises(ZeroDivisionError):
        k(lambda: 1 / 0)


@each_operator
def test_a_capture_that_cuts_a_called_continuation_in_half(delimit, capture):
    """Racket's "nested half": an outer tag between the frames that k brought and those beneath it."""
    a, b = PromptTag("a"), PromptTag("b")
    says = Log()

    def inner():
        thunk = capture(lambda k: k, b)
        says.append("b called")
        value = thunk()
        says.append("b returns")
        return value

    def outer():
        bk = delimit(inner, b)
        return delimit(lambda: ["above b", bk(lambda: [capture(lambda k: k, a), says.append("a returns")][0])], b)

    ak = delimit(outer, a)
    assert says == ["b called"]
    assert ak("x") == ["above b", "x"]
    assert says == ["b called", "a returns", "b returns"]
    assert ak("y") == ["above b", "y"]
