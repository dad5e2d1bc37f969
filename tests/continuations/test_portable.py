"""Continuations, and fibers with several levels, through copy, deepcopy and pickle."""

import copy
import pickle
import sys

import pytest

from leakcheck import blocks_kept
from stackful import (
    Coroutine,
    Fiber,
    PromptTag,
    SnapshotFormatError,
    _core,
    call_cc,
    control,
    dynamic_wind,
    prompt,
    reset,
    run,
    shift,
    snapshot,
    suspend,
    transfer,
)

# Growth of a few blocks a run is a cache of CPython, which pickle fills with names; test_nothing_is_kept looks at many runs.
pytestmark = pytest.mark.three_ways

TAG = PromptTag("of the module")
ROADS = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "snapshot": lambda value: snapshot.loads(snapshot.dumps(value)),
    "twice": lambda value: pickle.loads(pickle.dumps(copy.deepcopy(value))),
}
each_road = pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)


def wait(name):
    return shift(lambda k: k, TAG) if name is None else [name, shift(lambda k: k, TAG)]


def loop(items):
    seen = []
    for x in items:
        seen = [*seen, (x, shift(lambda k: k, TAG))]
    return seen


def guarded():
    try:
        raise KeyError("handled")
    except KeyError:
        wait(None)
        return repr(sys.exc_info()[1])


def nested():
    return prompt(lambda: ["inner", prompt(lambda: wait("deep")), shift(lambda k: k(2))])


@each_road
def test_a_continuation_travels(road):
    """It runs at the end of the road as it would have here, any number of times."""
    k = road(reset(lambda: wait("name"), TAG))
    assert [k(1), k(2)] == [["name", 1], ["name", 2]]


@each_road
def test_running_loops_travel(road):
    """With their iterators, which each call has for itself."""
    k = reset(lambda: loop(iter([1, 2, 3])), TAG)
    k = road(k("a"))
    assert road(k("b"))("c") == [(1, "a"), (2, "b"), (3, "c")]
    assert k("x")("y") == [(1, "a"), (2, "x"), (3, "y")]


@each_road
def test_what_is_handled_travels(road):
    """The exception that captured frames handle."""
    assert road(reset(guarded, TAG))() == "KeyError('handled')"


@each_road
def test_levels_in_between_travel(road):
    """Prompts with other tags are there again, and can be captured up to."""
    k = road(reset(nested, TAG))
    assert [k(1), k(5)] == [["inner", ["deep", 1], 2], ["inner", ["deep", 5], 2]]


@each_road
def test_an_abortive_continuation_travels(road):
    """To another run of the prompt."""
    k = road(run(lambda: ["got", call_cc(lambda k: k)])[1])
    assert run(lambda: [k("value"), "never"]) == ["got", "value"]


@each_road
def test_winders_travel(road):
    """They are entered and left where the continuation goes on."""
    k = reset(lambda: dynamic_wind(note_in, lambda: wait("w"), note_out), TAG)
    NOTES.clear()
    assert road(k)(1) == ["w", 1]
    assert NOTES == ["in", "out"]


NOTES = []


def note_in():
    NOTES.append("in")


def note_out():
    NOTES.append("out")


def body():
    return [prompt(lambda: ["level", suspend("one"), prompt(lambda: suspend("two"), TAG)]), suspend("three")]


@each_road
def test_a_fiber_with_levels_travels(road):
    """At each of its suspensions."""
    fiber = Fiber(body)
    assert fiber.resume() == "one"
    fiber = road(fiber)
    assert fiber.resume(1) == "two"
    fiber = road(fiber)
    assert [frame.code.co_name for frame in fiber.frames].count("prompt") == 2
    assert fiber.resume(2) == "three"
    assert road(fiber).resume(3) == [["level", 1, 2], 3]


def shifting():
    return ["outer", prompt(lambda: [suspend("s"), shift(lambda k: [k(1), k(2)], TAG)], TAG)]


@each_road
def test_prompts_of_a_fiber_that_travelled_are_found(road):
    """A tag that a module holds is itself at the end of the road."""
    fiber = Fiber(shifting)
    fiber.resume()
    assert road(fiber).resume(0) == ["outer", [[0, 1], [0, 2]]]


def test_a_tag_of_its_own_travels_with_what_refers_to_it():
    """Its identity is kept within a snapshot."""
    tag = PromptTag("own")
    fiber = Fiber(lambda: prompt(lambda: [suspend("s"), control(lambda k: k(1), tag)], tag))
    fiber.resume()
    assert snapshot.loads(snapshot.dumps(fiber)).resume(0) == [0, 1]
    assert snapshot.loads(snapshot.dumps(TAG)) is TAG


@each_road
def test_successors_travel(road):
    """As a pair, they stay a pair."""
    a = Coroutine(suspend_once)
    b = Coroutine(suspend_once)
    transfer(a)
    transfer(b)
    b.successor = a
    twin = road(b)
    assert type(twin) is Coroutine
    assert transfer(twin, "x") == "x"
    for coroutine in (a, b):
        coroutine.close() if coroutine.status == "suspended" else None


def suspend_once():
    return suspend()


def test_nothing_is_kept():
    """Hundreds of travels leave no block behind for each."""
    k = reset(nested, TAG)
    fiber = Fiber(body)
    fiber.resume()

    def travel():
        for _ in range(40):
            for road in ROADS.values():
                road(k)(1)
                road(fiber)

    travel()
    assert blocks_kept(travel) < 100  # 400 copies of frames, at several blocks each
    fiber.close()


def test_damaged_levels_are_refused():
    """All or nothing: the fiber is as it was."""
    fiber = Fiber(body)
    fiber.resume()
    state = _core.capture(fiber)
    levels, own, successor = _core.capture_levels(fiber)
    _, marks, _ = levels[0]
    wrong_masks = [(*marks[:3], mask) for mask in (5, (1, 2), (0, 0, None), (1, -1, None), (1, 0, 7), ("1", 0, None))]
    for wrong in (
        [5],
        [(10**6, marks, None)],
        [(-1, marks, None)],
        [(1, marks, "no exception")],
        [(1, (TAG,), None)],
        *([(1, wrong_marks, None)] for wrong_marks in wrong_masks),
    ):
        blank = _core.reinstate(_core.blank(Fiber), state)
        with pytest.raises((SnapshotFormatError, TypeError)):
            _core.reinstate_levels(blank, (wrong, own, successor))
        with pytest.raises((SnapshotFormatError, TypeError)):
            _core.reinstate_levels(blank, (levels, wrong, successor))
        _core.reinstate_levels(blank, (levels, own, successor))
        assert blank.resume(1) == "two"
    with pytest.raises(SnapshotFormatError, match="in use"):
        _core.reinstate_levels(fiber, (levels, own, successor))


def test_a_number_of_frames_that_runs_code_is_refused():
    """It could change what is being read: only an int is taken."""

    class Number:
        def __index__(self):
            wrong.clear()
            return 1

    fiber = Fiber(body)
    fiber.resume()
    state = _core.capture(fiber)
    _, own, successor = _core.capture_levels(fiber)
    wrong = [(Number(), [], {})]
    with pytest.raises(SnapshotFormatError):
        _core.reinstate_levels(_core.reinstate(_core.blank(Fiber), state), (wrong, own, successor))
    assert len(wrong) == 1


def test_damaged_continuations_are_refused():
    """All or nothing; one that was never filled cannot be called."""
    captured = reset(lambda: wait("name"), TAG).__self__._captured
    pieces = _core.capture_continuation(captured)
    marks, handled, frames = pieces[0]
    for wrong in (
        [],
        [5],
        [(marks, handled, [])],
        [(marks, 5, frames)],
        [(marks, handled, [5])],
        [(5, handled, frames)],
    ):
        blank = _core.blank_continuation(1)
        with pytest.raises((SnapshotFormatError, TypeError)):
            _core.reinstate_continuation(blank, wrong)
        with pytest.raises(RuntimeError):
            _core.capture_continuation(blank)
        _core.reinstate_continuation(blank, pieces)
        with pytest.raises(SnapshotFormatError, match="in use"):
            _core.reinstate_continuation(blank, pieces)
    for wrong in (0, -1, 10**9):
        with pytest.raises(SnapshotFormatError):
            _core.blank_continuation(wrong)
