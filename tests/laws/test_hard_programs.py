"""Suspended beneath a C call, with the C stack kept, and resumed there, a program ends as under plain Python."""

import contextlib
import copy
import gc
import pickle
import sys

import pytest

from corpus import BARRIERS
from corpus.points import SCHEDULE, Interruption, point
from laws import harness
from laws.harness import OBSERVERS, expected_outcome, finished_outcome, outcome_of, sampled_points, suspended_fiber
from stackful import Fiber, FiberError, FiberExit

ALL = sorted(BARRIERS)
INDEPENDENT = [name for name in ALL if not BARRIERS[name].shares_state]


@pytest.fixture(autouse=True)
def unraisable(monkeypatch):
    """What could not be raised, for some of these operations drop exceptions; no program sees what another one left."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: seen.append(repr(report.exc_value)))
    return seen


def wrong_outcomes(name, law):
    """The points at which a law gives something else than plain Python, with what it gives."""
    expected = expected_outcome(name)
    outcomes = {at: law(suspended_fiber(name, at)) for at in sampled_points(name)}
    return {at: outcome for at, outcome in outcomes.items() if outcome != expected}


@pytest.mark.parametrize("name", ALL)
def test_a_program_resumed_at_any_point_ends_as_under_plain_python(name):
    """One hard suspension anywhere changes nothing."""
    assert wrong_outcomes(name, finished_outcome) == {}


@pytest.mark.parametrize("name", ALL)
def test_a_program_suspended_at_every_point_ends_as_under_plain_python(name):
    """Hard suspensions at all points of one run change nothing."""
    assert harness.stepped_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_a_program_that_calls_suspend_itself_ends_as_under_plain_python(name):
    """C code may call `suspend` itself, and gets what resume is given."""
    assert harness.echoed_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_what_is_suspended_hard_cannot_leave_and_goes_on(name):
    """It can be neither copied nor pickled; the reason names the C operation; and refusing harms nothing."""

    def law(fiber):
        reason = fiber.why_not_portable()
        assert any(part in reason for part in BARRIERS[name].names), reason
        for act in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(FiberError, match="behind a C call"):
                act(fiber)
        return finished_outcome(fiber)

    assert wrong_outcomes(name, law) == {}


@pytest.mark.parametrize("kind", [Interruption, FiberExit])
@pytest.mark.parametrize("name", ALL)
def test_an_error_thrown_at_any_point_does_what_point_raising_it_does(name, kind, unraisable):
    """`throw` at a hard suspension is what raising there is in plain Python."""
    for at in sampled_points(name):
        unraisable.clear()
        expected = harness.plain_outcome(BARRIERS[name], raise_at=at, error=kind(at)), unraisable[:]
        unraisable.clear()
        thrown = finished_outcome(suspended_fiber(name, at), "throw", kind(at)), unraisable[:]
        assert (at, thrown) == (at, expected)


def guarded(program, point, log):
    """A program with something to be done at the end, beyond its C code."""
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(log.append, "callback")
            return program(point)
    finally:
        log.append("finally")


def guarded_outcome(name, end, **schedule):
    """What `end` makes of the guarded program, and what its end logs."""
    log = []
    SCHEDULE.arm(**schedule)
    try:
        return end(guarded, BARRIERS[name], point, log), log
    finally:
        SCHEDULE.disarm()


def closed(*call):
    fiber = Fiber(*call)
    fiber.resume()
    return finished_outcome(fiber, "close")


def dropped(*call):
    Fiber(*call).resume()


def dropped_in_a_cycle(*call):
    cycle = [Fiber(*call)]
    cycle[0].resume()
    cycle.append(cycle)
    del cycle
    gc.collect()


@pytest.mark.parametrize("name", ALL)
def test_a_program_closed_or_dropped_at_any_point_unwinds(name, unraisable):
    """FiberExit is raised at the suspension, and `finally` blocks and context managers run, within the C code and beyond it."""
    for at in sampled_points(name):
        unraisable.clear()
        outcome, log = guarded_outcome(name, lambda *call: outcome_of(*call), raise_at=at, error=FiberExit())
        lost = unraisable[:]
        is_clean = outcome[:2] == ("raised", "FiberExit()") or outcome[0] == "returned"
        assert log == ["callback", "finally"]
        unraisable.clear()
        assert guarded_outcome(name, closed, suspend_at={at}) == (("returned", None) if is_clean else outcome, log)
        assert unraisable == lost
        for drop in (dropped, dropped_in_a_cycle):
            unraisable.clear()
            assert guarded_outcome(name, drop, suspend_at={at}) == (None, log)
            assert (at, len(unraisable)) == (at, len(lost) + (not is_clean))


def outcomes_in_turn(names, order):
    """The outcomes of several programs at a time, each suspended at every point; `order` says who is next."""
    fibers = {index: Fiber(BARRIERS[name], point) for index, name in enumerate(names)}
    outcomes = {}
    SCHEDULE.arm(everywhere=True)
    try:
        while len(outcomes) < len(fibers):
            for index in order([index for index in fibers if index not in outcomes]):
                outcome = outcome_of(fibers[index].resume)
                if fibers[index].status == "dead":
                    outcomes[index] = outcome
    finally:
        SCHEDULE.disarm()
    return [outcomes[index] for index in fibers]


@pytest.mark.parametrize("order", [list, lambda waiting: waiting[::-1]], ids=["in turn", "in reverse"])
@pytest.mark.parametrize("name", INDEPENDENT)
def test_copies_of_a_program_take_turns(name, order):
    """Fibers that wait in the same C function, each on its own stack, do not disturb one another, whatever the order."""
    assert outcomes_in_turn([name] * 3, order) == [expected_outcome(name)] * 3


@pytest.mark.parametrize("order", [list, lambda waiting: waiting[::-1]], ids=["in turn", "in reverse"])
def test_all_programs_take_turns(order):
    """All of them at once, each in the midst of its C call, end as under plain Python."""
    assert outcomes_in_turn(INDEPENDENT, order) == [expected_outcome(name) for name in INDEPENDENT]


@pytest.mark.parametrize("name", ALL)
def test_a_program_that_never_ran_can_be_suspended_everywhere(name, cold_worker):
    """Cold code, in a fresh process, is suspended like any other."""
    assert cold_worker.ask("run", name) == expected_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_a_warm_program_can_be_suspended_everywhere(name):
    """Code that CPython has specialised is suspended like any other."""
    for _ in range(50):
        harness.plain_outcome(BARRIERS[name])
    assert wrong_outcomes(name, finished_outcome) == {}
    assert harness.stepped_outcome(name) == expected_outcome(name)


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("name", ALL)
def test_an_observed_program_can_be_suspended_everywhere(name, observer):
    """Tracing, profiling and monitoring change nothing."""
    expected = expected_outcome(name)
    with OBSERVERS[observer]():
        assert wrong_outcomes(name, finished_outcome) == {}
        assert harness.stepped_outcome(name) == expected
        assert harness.echoed_outcome(name) == expected
    assert wrong_outcomes(name, finished_outcome) == {}


def observed_by_turns(name, observer, first):
    """The outcome of a program that is observed in every other stretch between its suspensions."""
    observe = first
    SCHEDULE.arm(everywhere=True)
    try:
        fiber = Fiber(BARRIERS[name], point)
        while fiber.status != "dead":
            with OBSERVERS[observer]() if observe else contextlib.nullcontext():
                outcome = outcome_of(fiber.resume)
            observe = not observe
        return outcome
    finally:
        SCHEDULE.disarm()


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("name", ALL)
def test_observation_may_begin_and_end_while_a_program_is_suspended(name, observer):
    """An observer that comes or goes while the C stack is kept changes nothing."""
    for first in (False, True):
        assert (first, observed_by_turns(name, observer, first)) == (first, expected_outcome(name))
