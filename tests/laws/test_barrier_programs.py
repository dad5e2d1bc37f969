"""A capture is refused where a C call stands in between, in the same words however warm or observed the code is.

That `suspend` is not refused there: test_hard_programs.py.
"""

import linecache
import re
import threading
from pathlib import Path

import pytest

from corpus import BARRIERS
from corpus.points import SCHEDULE, point
from laws import harness
from laws.harness import OBSERVERS, outcome_of, refusals
from stackful import Fiber, suspend

ALL = sorted(BARRIERS)


def plain_outcome(name):
    SCHEDULE.disarm()
    return outcome_of(BARRIERS[name], point)


@pytest.mark.parametrize("name", ALL)
def test_a_capture_beneath_a_c_call_is_refused_by_name(name):
    """The error names the C operation."""
    _, met = refusals(name)
    assert met
    for kind, text in met:
        assert kind == "BarrierError"
        assert any(part in text for part in BARRIERS[name].names), text


@pytest.mark.parametrize("name", ALL)
def test_a_refusal_names_the_python_frame_that_called(name):
    """The error names the Python function that began the C operation, with its file and line."""
    _, met = refusals(name)
    for _, text in met:
        function, file, line = re.search(r'in frame "(.+)" \((.+):(\d+)\);', text).groups()
        assert function.rpartition(".")[2] in linecache.getline(file, int(line)) or Path(file).is_file()


@pytest.mark.parametrize("name", ALL)
def test_a_refused_program_goes_on_undamaged(name):
    """A program that catches the refusal where it is raised ends as under plain Python."""
    outcome, _ = refusals(name)
    assert outcome == plain_outcome(name)


@pytest.mark.parametrize("name", ALL)
def test_a_refusal_may_leave_through_the_c_call(name, monkeypatch):
    """The error leaves through the C operation like any other, and the program can capture again after it."""
    monkeypatch.setattr("sys.unraisablehook", lambda unraisable: None)
    first, last, result = harness.attempted(name)
    assert (first, last) == ("before", "after")
    if not BARRIERS[name].swallowed:
        _, met = refusals(name)
        assert result == met[0][1]


@pytest.mark.parametrize("name", ALL)
def test_is_capturable_says_so_beforehand(name):
    """Beneath a C call `is_capturable()` is False, and `is_suspendable()` is True."""
    assert harness.answers(name) == {(False, True)}


@pytest.mark.parametrize("name", ALL)
def test_the_refusal_is_the_same_on_cold_code_and_on_warm(name, cold_worker):
    """Specialisation changes neither the answer nor its words."""
    cold = cold_worker.ask("refuse", name)
    for _ in range(50):
        plain_outcome(name)
    assert refusals(name) == cold
    for _ in range(50):
        refusals(name)
    assert refusals(name) == cold


@pytest.mark.parametrize("observer", OBSERVERS)
@pytest.mark.parametrize("name", ALL)
def test_the_refusal_is_the_same_under_observation(name, observer):
    """Tracing, profiling and monitoring change neither the answer nor its words."""
    unobserved = refusals(name)
    with OBSERVERS[observer]():
        observed = refusals(name)
    assert observed == unobserved == refusals(name)


def suspend_in_a_thread():
    """Call `suspend` in another thread while this one waits for it."""
    results = []
    thread = threading.Thread(target=lambda: results.append(outcome_of(suspend, 1)))
    thread.start()
    thread.join()
    return results


def test_another_thread_is_outside_of_the_fiber():
    """A thread that a fiber starts is no part of it: `suspend` there is a misuse, and the fiber goes on."""
    ((kind, text),) = Fiber(suspend_in_a_thread).resume()
    assert kind == "raised"
    assert text.startswith("FiberError('suspend() outside of any fiber")
