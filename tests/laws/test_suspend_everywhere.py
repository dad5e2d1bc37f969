"""Suspended at any point, and resumed, copied, or saved and restored there, a program ends as under plain Python."""

import copy
import gc
import pickle
import sys

import pytest

from corpus import PROGRAMS
from corpus.points import ASSERTS_TRACEBACKS, Interruption
from laws import harness
from laws.harness import OBSERVERS, expected_outcome, finished_outcome, sampled_points, suspended_fiber
from stackful import FiberExit
from stackful.errors import UnsaveableError

ALL = sorted(PROGRAMS)
COPYABLE = [name for name in ALL if not PROGRAMS[name].shares_heap]
NOT_IN_DEBUG_BUILDS = pytest.mark.skipif(
    ASSERTS_TRACEBACKS, reason="this debug build aborts at except* without a traceback"
)
SAVEABLE = [
    pytest.param(name, marks=NOT_IN_DEBUG_BUILDS if PROGRAMS[name].splits_a_group else ())
    for name in ALL
    if not PROGRAMS[name].unsaveable
]
UNSAVEABLE = [name for name in ALL if PROGRAMS[name].unsaveable]


def wrong_outcomes(name, law, limit=harness.CASES):
    """The points at which a law gives something else than plain Python, with what it gives."""
    expected = expected_outcome(name)
    outcomes = {at: law(suspended_fiber(name, at)) for at in sampled_points(name, limit)}
    return {at: outcome for at, outcome in outcomes.items() if outcome != expected}


def copied_then_original_first(fiber):
    """Both outcomes, as one where they agree."""
    other = copy.copy(fiber)
    return merged(finished_outcome(fiber), finished_outcome(other))


def copied_then_copy_first(fiber):
    other = copy.copy(fiber)
    return merged(finished_outcome(other), finished_outcome(fiber))


def merged(first, second):
    return first if first == second else ("differ", first, second)


@pytest.mark.parametrize("name", ALL)
def test_a_program_resumed_at_any_point_ends_as_under_plain_python(name):
    """One suspension anywhere changes nothing."""
    assert wrong_outcomes(name, finished_outcome) == {}


@pytest.mark.parametrize("name", ALL)
def test_a_program_suspended_at_every_point_ends_as_under_plain_python(name):
    """Suspensions at all points of one run change nothing."""
    assert harness.stepped_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_a_program_that_calls_suspend_itself_ends_as_under_plain_python(name):
    """The innermost suspended frame may be any, the fiber's first one too, and gets what resume is given."""
    assert harness.echoed_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("kind", [Interruption, FiberExit])
@pytest.mark.parametrize("name", ALL)
def test_an_error_thrown_at_any_point_does_what_point_raising_it_does(name, kind):
    """`throw` at a suspension is what raising there is in plain Python."""
    for at in sampled_points(name):
        expected = harness.plain_outcome(PROGRAMS[name], raise_at=at, error=kind(at))
        assert (at, finished_outcome(suspended_fiber(name, at), "throw", kind(at))) == (at, expected)


@pytest.mark.parametrize("name", ALL)
def test_a_program_closed_or_dropped_at_any_point_unwinds(name, monkeypatch):
    """`close` and the fiber's end raise FiberExit at the suspension, and report only what the program itself raises."""
    unraisable = []
    monkeypatch.setattr(sys, "unraisablehook", unraisable.append)
    for at in sampled_points(name):
        expected = harness.plain_outcome(PROGRAMS[name], raise_at=at, error=FiberExit())
        is_clean = expected[:2] == ("raised", "FiberExit()") or expected[0] == "returned"
        closed = finished_outcome(suspended_fiber(name, at), "close")
        assert (at, closed) == (at, ("returned", None) if is_clean else expected)
        unraisable.clear()
        suspended_fiber(name, at)
        assert (at, len(unraisable)) == (at, 0 if is_clean else 1)


@pytest.mark.parametrize("law", [copied_then_original_first, copied_then_copy_first])
@pytest.mark.parametrize("name", COPYABLE)
def test_a_copy_and_its_original_end_alike(name, law):
    """A shallow copy made at any point and its original both end as under plain Python, in either order."""
    assert wrong_outcomes(name, law) == {}


@pytest.mark.parametrize("name", COPYABLE)
def test_copies_made_at_every_point_end_alike(name):
    """Copies made along one run end as it does, however many there are."""
    outcomes = harness.copies_at_every_point(name)
    assert outcomes == [expected_outcome(name)] * len(outcomes)


@pytest.mark.parametrize("name", COPYABLE)
def test_a_copy_and_its_original_can_take_turns(name):
    """Two copies resumed alternately do not disturb one another."""
    assert harness.alternating_outcomes(name) == [expected_outcome(name)] * 2


@pytest.mark.parametrize("name", COPYABLE)
def test_a_copy_of_a_copy_replaces_its_original(name):
    """A run whose fiber is replaced by a copy at every suspension ends as under plain Python."""
    assert harness.stepped_outcome(name, copy.copy) == expected_outcome(name)


@pytest.mark.parametrize("name", COPYABLE)
def test_a_copy_of_a_program_that_calls_suspend_itself_ends_alike(name):
    """Copies of fibers whose innermost frame is any are as good as their originals."""
    assert harness.echoed_outcome(name, lambda pair: (copy.copy(pair[0]), pair[1])) == expected_outcome(name)


@pytest.mark.parametrize("name", COPYABLE)
def test_a_copy_made_while_its_frames_are_on_show_ends_alike(name):
    """Whoever looks at the frames holds what is on their stacks; copies are made all the same."""

    def law(fiber):
        frames = fiber.frames
        other = copy.copy(fiber)
        shown = len(frames)
        return merged(finished_outcome(fiber), finished_outcome(other)) if shown else None

    assert wrong_outcomes(name, law, limit=10) == {}


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_deep_copy_and_its_original_end_alike(name):
    """A deep copy shares nothing with its original: both end as under plain Python, whatever they change."""

    def law(fiber):
        other = copy.deepcopy(fiber)
        return merged(finished_outcome(other), finished_outcome(fiber))

    assert wrong_outcomes(name, law) == {}


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_program_restored_from_a_pickle_ends_alike(name):
    """A pickled fiber and its original both end as under plain Python."""

    def law(fiber):
        other = harness.saved_and_restored(fiber)
        return merged(finished_outcome(other), finished_outcome(fiber))

    assert wrong_outcomes(name, law) == {}


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_program_pickled_at_every_point_ends_alike(name):
    """A run that goes through a pickle at every suspension ends as under plain Python."""
    assert harness.stepped_outcome(name, harness.saved_and_restored) == expected_outcome(name)


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_pickle_of_a_program_that_calls_suspend_itself_ends_alike(name):
    """Pickles of fibers whose innermost frame is any are as good as their originals."""
    assert harness.echoed_outcome(name, harness.saved_together) == expected_outcome(name)


@pytest.mark.parametrize("name", SAVEABLE)
def test_an_error_thrown_into_a_restored_program_does_what_point_raising_it_does(name):
    """A restored fiber unwinds as its original would."""
    for at in sampled_points(name, 10):
        expected = harness.plain_outcome(PROGRAMS[name], raise_at=at, error=Interruption(at))
        fiber = pickle.loads(harness.saved(suspended_fiber(name, at)))
        assert (at, finished_outcome(fiber, "throw", Interruption(at))) == (at, expected)


@pytest.mark.parametrize("name", SAVEABLE)
def test_a_program_resumed_in_another_process_ends_alike(name, worker):
    """A pickled fiber ends as under plain Python in a process that has never run the program."""
    assert wrong_outcomes(name, lambda fiber: worker.ask("resume", harness.saved(fiber)), limit=6) == {}


@pytest.mark.parametrize("name", UNSAVEABLE)
def test_a_value_that_cannot_be_saved_is_refused_and_harms_nothing(name):
    """Where a program holds such a value, saving it works or is an UnsaveableError, and the fiber goes on."""

    def law(fiber):
        try:
            restored = finished_outcome(harness.saved_and_restored(fiber))
        except UnsaveableError:
            return finished_outcome(fiber)
        return merged(restored, finished_outcome(fiber))

    assert wrong_outcomes(name, law) == {}


@pytest.mark.parametrize("name", ALL)
def test_a_program_that_never_ran_can_be_suspended_everywhere(name, cold_worker):
    """Cold code, in a fresh process, is suspended like any other."""
    assert cold_worker.ask("run", name) == expected_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_a_warm_program_can_be_suspended_everywhere(name):
    """Code that CPython has specialised is suspended like any other."""
    for _ in range(50):
        harness.plain_outcome(PROGRAMS[name])
    assert wrong_outcomes(name, finished_outcome, limit=10) == {}
    assert harness.stepped_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("name", ALL)
def test_an_observed_program_can_be_suspended_everywhere(name, observer):
    """Tracing, profiling and monitoring change nothing."""
    expected = expected_outcome(name)
    with OBSERVERS[observer]():
        assert wrong_outcomes(name, finished_outcome, limit=6) == {}
        assert harness.stepped_outcome(name) == expected
        assert harness.echoed_outcome(name) == expected
    assert wrong_outcomes(name, finished_outcome, limit=2) == {}


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("name", SAVEABLE)
def test_an_observed_program_can_be_saved(name, observer):
    """A pickle made under observation is as good as any, and so is one restored under it."""
    with OBSERVERS[observer]():
        saved = [harness.saved(suspended_fiber(name, at)) for at in sampled_points(name, 3)]
    assert {repr(harness.restored_outcome(data)) for data in saved} == {repr(expected_outcome(name))}
    with OBSERVERS[observer]():
        assert {repr(harness.restored_outcome(data)) for data in saved} == {repr(expected_outcome(name))}


@pytest.mark.parametrize("name", ALL)
def test_frames_on_show_do_not_disturb_the_program(name):
    """Reading a suspended fiber's frames, and collecting garbage meanwhile, changes nothing."""

    def law(fiber):
        frames = fiber.frames
        assert frames[0].function is PROGRAMS[name]
        gc.collect(0)
        assert frames[0].locals.get("point", harness.point) is harness.point
        return finished_outcome(fiber)

    assert wrong_outcomes(name, law, limit=4) == {}
