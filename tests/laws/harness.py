"""Runs a program of the corpus: plainly, in a fiber, copied, saved, restored, observed."""

import contextlib
import copy
import functools
import pickle
import sys
from collections import ChainMap

from corpus import BARRIERS, PROGRAMS
from corpus.points import ANSWERS, REFUSALS, SCHEDULE, ask, capturing_point, point, probe
from stackful import BarrierError, Fiber, FiberExit, snapshot, suspend
from ways import traced

CASES = 40
EVERY = ChainMap(PROGRAMS, BARRIERS)


def outcome_of(function, *arguments):
    """What a call did, as a value that compares and pickles."""
    try:
        return ("returned", function(*arguments))
    except (Exception, FiberExit, BaseExceptionGroup) as error:
        return ("raised", *chain_of(error))


def chain_of(error):
    """An error and its contexts, as text."""
    chain = []
    while error is not None and len(chain) < 20:
        chain.append(repr(error))
        error = error.__context__
    return chain


def plain_outcome(program, **schedule):
    """What plain Python makes of the program."""
    SCHEDULE.arm(**schedule)
    try:
        return outcome_of(program, point)
    finally:
        SCHEDULE.disarm()


@functools.cache
def expected_outcome(name):
    return plain_outcome(EVERY[name])


@functools.cache
def count_points(name):
    """How many calls of `point` the program makes."""
    SCHEDULE.arm()
    outcome_of(EVERY[name], point)
    return SCHEDULE.count


def sampled_points(name, limit=CASES):
    """The points to suspend at: all of them, or `limit` spread evenly."""
    count = count_points(name)
    if count <= limit:
        return range(1, count + 1)
    return sorted({1 + index * (count - 1) // (limit - 1) for index in range(limit)})


def suspended_fiber(name, at):
    """The program, stopped at its `at`-th point; from there on it meets no other suspension."""
    SCHEDULE.arm({at})
    fiber = Fiber(EVERY[name], point)
    fiber.resume()
    SCHEDULE.disarm()
    assert fiber.status == "suspended"
    return fiber


def finished_outcome(fiber, operation="resume", *arguments):
    """Resume (or throw, or close) once, which has to end the fiber."""
    outcome = outcome_of(getattr(fiber, operation), *arguments)
    assert fiber.status == "dead", f"not at its end but {fiber.status}: {outcome}"
    return outcome


def unwind(*fibers):
    """Close fibers for good: a program may ignore FiberExit and suspend again, and has nothing to say of what it raises."""
    for fiber in fibers:
        for _ in range(100):
            if fiber.status == "suspended":
                outcome_of(fiber.close)
        assert fiber.status == "dead"


def stepped_outcome(name, change=None):
    """Suspend at every point; `change` replaces the fiber at each suspension, by a copy for instance.

    What it replaces lives on to the end: a fiber that is dropped unwinds.
    """
    replaced = []
    SCHEDULE.arm(everywhere=True)
    try:
        fiber = Fiber(EVERY[name], point)
        outcome = outcome_of(fiber.resume)
        while fiber.status == "suspended":
            if change is not None:
                replaced.append(fiber)
                fiber = change(fiber)
            outcome = outcome_of(fiber.resume)
        return outcome
    finally:
        SCHEDULE.disarm()
        unwind(*replaced)


def echoed_outcome(name, change=None):
    """Let `suspend` itself be the program's `point`, and resume with what it gave.

    `change` replaces the fiber and that value together, for they may share objects.
    """
    replaced = []
    fiber = Fiber(EVERY[name], suspend)
    outcome = outcome_of(fiber.resume)
    while fiber.status == "suspended":
        value = outcome[1]
        if change is not None:
            replaced.append(fiber)
            fiber, value = change((fiber, value))
        outcome = outcome_of(fiber.resume, value)
    unwind(*replaced)
    return outcome


def saved(fiber):
    """The bytes of a fiber that is not needed any more."""
    data = pickle.dumps(fiber)
    unwind(fiber)
    return data


def restored_outcome(data):
    """Restore a fiber and run it to its end."""
    return finished_outcome(pickle.loads(data))


def saved_and_restored(fiber):
    return pickle.loads(pickle.dumps(fiber))


def saved_together(pair):
    """A fiber and a value that it shares objects with: a pickled fiber alone is closed in itself, a snapshot is one."""
    return snapshot.loads(snapshot.dumps(pair))


def copies_at_every_point(name):
    """The outcomes of the program and of the copies made at each of its suspensions."""
    copies = []

    def keep_a_copy(fiber):
        copies.append(copy.copy(fiber))
        return fiber

    outcome = stepped_outcome(name, keep_a_copy)
    return [outcome, *(finished_outcome(fiber) for fiber in copies)]


def alternating_outcomes(name):
    """Copy at the first point, then resume the two in turn, suspending at every point."""
    first = suspended_fiber(name, 1)
    pair = {0: first, 1: copy.copy(first)}
    SCHEDULE.arm(everywhere=True)
    outcomes = {}
    try:
        while len(outcomes) < 2:
            for index, fiber in pair.items():
                if fiber.status == "suspended":
                    outcome = outcome_of(fiber.resume)
                    if fiber.status == "dead":
                        outcomes[index] = outcome
    finally:
        SCHEDULE.disarm()
    return list(outcomes.values())


def refusals(name):
    """What a barrier program came to, and the (kind, text) of each refusal that it met."""
    REFUSALS.clear()
    outcome = finished_outcome(Fiber(BARRIERS[name], probe))
    met = [(type(error).__name__, str(error)) for error in REFUSALS]
    REFUSALS.clear()
    return outcome, met


def answers(name):
    """What `is_capturable` and `is_suspendable` say beneath the C operation of a barrier program."""
    ANSWERS.clear()
    finished_outcome(Fiber(BARRIERS[name], ask))
    return set(ANSWERS)


def attempt(program, point):
    """Run a barrier program between two captures and catch its error."""
    point("before")
    try:
        result = program(point)
    except BarrierError as error:
        result = str(error)
    point("after")
    return result


def attempted(name):
    """The number of suspensions before and after the operation, and what `attempt` returned."""
    SCHEDULE.arm(everywhere=True)
    try:
        fiber = Fiber(attempt, BARRIERS[name], capturing_point)
        values = [fiber.resume()]
        while fiber.status == "suspended":
            values.append(fiber.resume())
        return values
    finally:
        SCHEDULE.disarm()


@contextlib.contextmanager
def profiled():
    previous = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: None)
    try:
        yield
    finally:
        sys.setprofile(previous)


MONITOR = 4


@contextlib.contextmanager
def monitored():
    """Every event of `sys.monitoring` is on."""
    monitoring = sys.monitoring
    events = [value for name, value in vars(monitoring.events).items() if name.isupper()]
    monitoring.use_tool_id(MONITOR, "laws")
    try:
        for event in events:
            if event:
                monitoring.register_callback(MONITOR, event, lambda *details: None)
        monitoring.set_events(MONITOR, functools.reduce(int.__or__, events))
        yield
    finally:
        monitoring.set_events(MONITOR, 0)
        monitoring.free_tool_id(MONITOR)


OBSERVERS = {"settrace": traced, "setprofile": profiled}
if sys.version_info >= (3, 12):
    OBSERVERS["monitoring"] = monitored
