"""States that CPython could not have made are refused before anything is written."""

import dis
import itertools
import types
import weakref

import pytest

from stackful import Fiber, FiberError, SnapshotFormatError, _core, suspend
from stackful.fibers import guard


def body(a):
    total = [a]
    for x in (1, 2):
        total = [*total, suspend(x)]
    return total


def with_cell(a):
    def inner():
        return a

    return suspend(inner)


def generator(a):
    for x in (1, 2):
        yield x + a


def state_of(function, *arguments):
    fiber = Fiber(function, *arguments)
    fiber.resume()
    state = _core.capture(fiber)
    fiber.close()
    return state


def changed_frame(state, index, value):
    """The state with one field of its innermost frame replaced."""
    frame = list(state[-1][0])
    frame[index] = value
    return (*state[:-1], [tuple(frame)])


FUNCTION, CODE, OFFSET, NAMESPACE, LOCALS, STACK = range(6)

WRONG_FRAMES = {
    "function is no function": (FUNCTION, print),
    "code is no code": (CODE, None),
    "code of a generator": (CODE, generator.__code__),
    "code of another function": (CODE, with_cell.__code__),
    "offset of no call": (OFFSET, 0),
    "offset in between": (OFFSET, 1),
    "negative offset": (OFFSET, -2),
    "offset beyond the end": (OFFSET, 10_000),
    "offset beyond any number": (OFFSET, 2**80),
    "a namespace where there is none": (NAMESPACE, {}),
    "the globals where there is no namespace": (NAMESPACE, True),
    "too few locals": (LOCALS, ()),
    "too many locals": (LOCALS, (1,) * 50),
    "locals in a list": (LOCALS, []),
    "an empty stack": (STACK, ()),
    "a full stack": (STACK, (1,) * 100),
    "no iterator on the stack": (STACK, (1, [])),
    "NULL on the stack": (STACK, (_core.NULL, _core.NULL)),
    "no stack": (STACK, None),
}


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_a_malformed_frame_is_refused(name):
    """A frame with this fault raises, and leaves the blank fiber blank."""
    state = changed_frame(state_of(body, 1), *WRONG_FRAMES[name])
    blank = _core.blank(Fiber)
    with pytest.raises((SnapshotFormatError, TypeError, OverflowError)):
        _core.reinstate(blank, state)
    assert (blank.status, blank.frames, blank.function) == ("dead", (), None)


@pytest.mark.parametrize("name", WRONG_FRAMES)
def test_a_malformed_frame_is_refused_after_a_good_one(name):
    """What the core remembers of a good frame at the same place lets nothing else through."""
    state = state_of(body, 1)
    for _ in range(2):
        _core.reinstate(_core.blank(Fiber), state).close()
        with pytest.raises((SnapshotFormatError, TypeError, OverflowError)):
            _core.reinstate(_core.blank(Fiber), changed_frame(state, *WRONG_FRAMES[name]))


def holds_a_list(a):
    return [*a, suspend(), *a]


def holds_a_set(a):
    return {*a, suspend(), *a}


def holds_a_dict(a):
    return {**a, **suspend()}


def holds_a_null(a):
    return max(a, suspend())


def handles_an_exception(a):
    try:
        raise ValueError(a)
    except ValueError:
        return suspend()


def loops_in_a_closure(a):
    for x in a:
        suspend(lambda: x)


CANDIDATES = (
    _core.NULL, None, 1, [1], (1,), {1}, {1: 2}, iter([1]), ValueError(), types.CellType(1), body, body.__code__, list, ValueError,
)  # fmt: skip


def is_taken(state, index, slots):
    try:
        _core.reinstate(_core.blank(Fiber), changed_frame(state, index, slots)).close()
    except SnapshotFormatError:
        return False
    return True


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (body, 1),
        (with_cell, 1),
        (holds_a_list, (1,)),
        (holds_a_set, (1,)),
        (holds_a_dict, {1: 2}),
        (holds_a_null, 1),
        (handles_an_exception, 1),
        (loops_in_a_closure, [1]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_core_takes_nothing_that_the_full_check_refuses(function, argument):
    """With every kind of value in every slot of a frame, the remembered demands never say yes where `verify` says no."""
    state = state_of(function, argument)
    code, offset, slots, stack = (state[-1][0][i] for i in (CODE, OFFSET, LOCALS, STACK))
    for field, held in ((LOCALS, slots), (STACK, stack)):
        for index, value in itertools.product(range(len(held)), CANDIDATES):
            other = (*held[:index], value, *held[index + 1 :])
            _core.reinstate(_core.blank(Fiber), state).close()  # now the core remembers
            taken = is_taken(state, field, other)
            try:
                guard.verify(code, offset, "call", *((other, stack) if field == LOCALS else (slots, other)))
            except SnapshotFormatError:
                assert not taken, (field, index, value)
            else:
                assert taken, (field, index, value)


def test_what_was_captured_is_accepted():
    """The unchanged state goes on where it was."""
    fiber = _core.reinstate(_core.blank(Fiber), state_of(body, 1))
    assert [fiber.resume("x"), fiber.resume("y")] == [2, [1, "x", "y"]]


def test_something_else_in_the_place_of_a_cell_is_refused():
    """A variable that closures share must be a cell."""
    state = state_of(with_cell, 1)
    slots = tuple(5 for _ in state[-1][0][LOCALS])
    with pytest.raises(SnapshotFormatError, match="cell"):
        _core.reinstate(_core.blank(Fiber), changed_frame(state, LOCALS, slots))


@pytest.mark.parametrize("phase", [-1, 0, 2, 3, 4, 99])
def test_a_phase_that_does_not_fit_is_refused(phase):
    """Only a suspended fiber has frames."""
    with pytest.raises(SnapshotFormatError):
        _core.reinstate(_core.blank(Fiber), (phase, *state_of(body, 1)[1:]))


def test_a_result_that_a_suspended_fiber_should_not_have_is_replaced():
    """What it was is dropped."""
    phase, function, arguments, keywords, _, *rest = state_of(body, 1)
    wrong = {1, 2}
    dropped = weakref.ref(wrong)
    fiber = _core.reinstate(_core.blank(Fiber), (phase, function, arguments, keywords, wrong, *rest))
    del wrong
    fiber.resume()
    assert dropped() == {1, 2}
    fiber.resume()
    assert fiber.result == [1, None, None]
    assert dropped() is None


def test_a_suspended_fiber_without_frames_is_refused():
    """The other way round as well."""
    with pytest.raises(SnapshotFormatError):
        _core.reinstate(_core.blank(Fiber), (*state_of(body, 1)[:-1], []))


@pytest.mark.parametrize("keywords", [(1,), ("a", "b"), "a", 3], ids=repr)
def test_keywords_that_do_not_fit_are_refused(keywords):
    """Names of keyword arguments are strings, no more than there are arguments."""
    with pytest.raises(SnapshotFormatError):
        _core.reinstate(_core.blank(Fiber), (0, body, (1,), keywords, _core.NULL, None, None, []))


def test_a_fiber_in_use_is_not_filled():
    """Only a blank fiber takes a state."""
    with pytest.raises(SnapshotFormatError, match="in use"):
        _core.reinstate(Fiber(body, 1), state_of(body, 1))


def test_a_running_fiber_cannot_be_captured():
    """capture() of the running fiber raises."""

    def captures():
        with pytest.raises(FiberError, match="running"):
            _core.capture(_core.current())
        return "refused"

    assert Fiber(captures).resume() == "refused"


WRONG_GENERATORS = {
    "an unknown state": ("odd", 0, None, ()),
    "an offset of no yield": ("suspended", 0, None, ()),
    "an empty stack": ("suspended", None, None, ()),
    "too few locals": ("suspended", None, (), None),
}


@pytest.mark.parametrize("name", WRONG_GENERATORS)
def test_a_malformed_generator_is_refused(name):
    """A generator's state with this fault raises, and the blank generator stays fresh."""
    held = generator(1)
    next(held)
    function, _, offset, slots, stack, *rest = _core.capture_generator(held)
    kind, new_offset, new_slots, new_stack = WRONG_GENERATORS[name]
    fresh = generator(1)
    state = (
        function,
        kind,
        offset if new_offset is None else new_offset,
        slots if new_slots is None else new_slots,
        stack if new_stack is None else new_stack,
        *rest,
    )
    with pytest.raises(SnapshotFormatError):
        _core.reinstate_generator(fresh, state)
    assert list(fresh) == [2, 3]


def test_a_generator_that_has_begun_is_not_filled():
    """Only a fresh generator takes a state."""
    held = generator(1)
    next(held)
    with pytest.raises(SnapshotFormatError, match="has not begun"):
        _core.reinstate_generator(held, _core.capture_generator(held))


def test_a_fresh_generator_needs_what_its_code_takes_for_granted():
    """An unbound argument in the state of a generator that has not begun is refused."""
    fresh = generator(1)
    slots = tuple(_core.NULL for _ in range(2))
    with pytest.raises(SnapshotFormatError):
        _core.reinstate_generator(fresh, (generator, "fresh", 0, slots, (), None, "n", "q"))


@pytest.mark.skipif(
    any(instruction.opname == "GET_ITER" for instruction in dis.get_instructions((x for x in ()).gi_code)),
    reason="the code of this CPython (later ones of 3.13; 3.15) calls iter() on what it was given",
)
@pytest.mark.parametrize("instead", [5, types.CellType(iter([3]))], ids=["number", "cell"])
def test_a_generator_expression_that_has_not_begun_needs_an_iterator(instead):
    """Its code advances what it was given without a look: anything else is refused."""
    function, kind, offset, slots, *rest = _core.capture_generator(x for x in (1, 2))
    fresh = (x for x in (3,))
    with pytest.raises(SnapshotFormatError, match="iterator"):
        _core.reinstate_generator(fresh, (function, kind, offset, (instead, *slots[1:]), *rest))
    assert list(fresh) == [3]


def test_a_blank_generator_expression_is_empty():
    """One that is never filled, because its pickle was changed, iterates over nothing."""
    held = (x for x in (1, 2))
    blank = _core.blank_generator(_core.capture_generator(held)[0], types.GeneratorType)
    assert list(blank) == []
