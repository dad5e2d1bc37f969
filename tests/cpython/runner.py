"""Runs one module of CPython's tests in one way, in a process of its own, and writes down what came of each test.

    python runner.py MODULE WAY FILE

FILE gets a line of JSON when a test begins and one for each thing that it comes to, so that a crash leaves the name of the test behind.
The ways come in two groups; within a group the code that runs is the same, and only who runs it differs:

    outside       no fiber at all                     outside, pointed    the module calls `point` before each statement
    inside        each test is a fiber                everywhere          each test is a fiber; `point` suspends it
    parked        ... parked before and after each    relayed             ... and other fibers resume it in turn
                  set-up, test, tear-down, clean-up   threads             ... and other threads do
"""

import copy
import doctest
import json
import os
import sys
import threading
import types
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from cpython import instrument
from stackful import Fiber, is_suspendable, suspend

OFTEN = (
    400  # suspensions of a test that come at every point; then they become rare, for there are loops of a million turns
)
SELDOM = 97

# Way -> (may `point` suspend, does the module call it everywhere).
WAYS = {
    "outside": (False, False),
    "inside": (False, False),
    "parked": (True, False),
    "outside, pointed": (False, True),
    "everywhere": (True, True),
    "relayed": (True, True),
    "threads": (True, True),
    "shown": (True, True),
    "copied": (True, True),
}


class Points:
    """Counts the points that a test passes and the suspensions that it made of them."""

    def __init__(self):
        self.passed = self.suspended = 0
        self.suspends = False

    def due(self):
        self.passed += 1
        return self.suspends and (self.passed <= OFTEN or self.passed % SELDOM == 0)


POINTS = Points()


def stay(value=None):
    """What a point calls that does not suspend: as `suspend` looks to tracers and profilers."""
    return value in ()


def point():
    """Suspend, where that is possible and the way of running wants it."""
    wanted = POINTS.due()
    if is_suspendable() and wanted:
        POINTS.suspended += 1
        suspend()
    else:
        stay()


# --- who runs a test --------------------------------------------------------------------------------------------------


def innermost(run, test, result):
    point()
    try:
        return run(test, result)
    finally:
        point()


def middle(run, test, result):
    value = innermost(run, test, result)
    point()
    return value


def outermost(run, test, result):
    """The function of the fiber: these three frames lie beneath every test, in every way of running."""
    point()
    return middle(run, test, result)


def _fiber(run, test, result):
    return Fiber(outermost, run, test, result)


def _run_inside(run, test, result):
    fiber = _fiber(run, test, result)
    value = fiber.resume()
    while fiber.status == "suspended":
        value = fiber.resume()
    return value


def _resume(fiber):
    return fiber.resume()


def _run_relayed(run, test, result):
    """Every other resumption comes from another fiber."""
    fiber = _fiber(run, test, result)
    value, relayed = fiber.resume(), False
    while fiber.status == "suspended":
        relayed = not relayed
        value = Fiber(_resume, fiber).resume() if relayed else fiber.resume()
    return value


def _run_in_threads(run, test, result):
    """Every other resumption comes from another thread, which this one waits for."""
    fiber = _fiber(run, test, result)
    values, elsewhere = [fiber.resume()], False
    while fiber.status == "suspended":
        elsewhere = not elsewhere
        if elsewhere:
            thread = threading.Thread(target=lambda: values.append(fiber.resume()))
            thread.start()
            thread.join()
        else:
            values.append(fiber.resume())
    return values[-1]


def _run_shown(run, test, result):
    """At every suspension somebody looks at the frames."""
    fiber = _fiber(run, test, result)
    value = fiber.resume()
    while fiber.status == "suspended":
        repr((fiber, [(frame.line, frame.locals.keys(), frame.stack and len(frame.stack)) for frame in fiber.frames]))
        value = fiber.resume()
    return value


REPLACED = []  # fibers whose copies went on; they stay as they are to the end of the process


def _run_copied(run, test, result):
    """At every suspension a copy takes over."""
    fiber = _fiber(run, test, result)
    value = fiber.resume()
    while fiber.status == "suspended":
        REPLACED.append(fiber)
        fiber = copy.copy(fiber)
        value = fiber.resume()
    return value


RUNNERS = {
    "shown": _run_shown,
    "copied": _run_copied,
    "outside": outermost,
    "outside, pointed": outermost,
    "relayed": _run_relayed,
    "threads": _run_in_threads,
}


def _suspending_steps():
    """Let the steps of `TestCase.run` suspend before and after. Their calls are written out: on 3.11, f(*args) is a barrier."""
    set_up, test_method = unittest.TestCase._callSetUp, unittest.TestCase._callTestMethod
    tear_down, clean_up = unittest.TestCase._callTearDown, unittest.TestCase._callCleanup

    def call_set_up(self):
        point()
        set_up(self)
        point()

    def call_test_method(self, method):
        point()
        test_method(self, method)
        point()

    def call_tear_down(self):
        point()
        tear_down(self)
        point()

    def call_clean_up(self, function, /, *arguments, **keywords):
        point()
        clean_up(self, function, *arguments, **keywords)
        point()

    unittest.TestCase._callSetUp, unittest.TestCase._callTestMethod = call_set_up, call_test_method
    unittest.TestCase._callTearDown, unittest.TestCase._callCleanup = call_tear_down, call_clean_up


def _exec_as_a_call(code, namespace):
    """An example of a doctest is called, as a function is: the built-in `exec` is C."""
    types.FunctionType(code, namespace)()


def prepare(way):
    """Change unittest and doctest so that tests are run this way."""
    runner, run = RUNNERS.get(way, _run_inside), unittest.TestCase.run
    suspends = WAYS[way][0]

    def run_one(self, result=None):
        POINTS.passed = 0
        POINTS.suspends = suspends
        try:
            return runner(run, self, result)
        finally:
            POINTS.suspends = False

    _suspending_steps()
    unittest.TestCase.run = run_one
    doctest.exec = _exec_as_a_call


# --- what came of it --------------------------------------------------------------------------------------------------


class Record(unittest.TestResult):
    """Writes each outcome down at once."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def write(self, test, outcome, details=""):
        self.file.write(json.dumps([test.id(), outcome, details]) + "\n")
        self.file.flush()

    def startTest(self, test):
        super().startTest(test)
        self.write(test, "begun")

    def addSuccess(self, test):
        self.write(test, "ok")

    def addError(self, test, error):
        self.write(test, "error", self._exc_info_to_string(error, test))

    def addFailure(self, test, error):
        self.write(test, "failure", self._exc_info_to_string(error, test))

    def addSkip(self, test, reason):
        self.write(test, "skipped", reason)

    def addExpectedFailure(self, test, error):
        self.write(test, "expected failure")

    def addUnexpectedSuccess(self, test):
        self.write(test, "unexpected success")

    def addSubTest(self, test, subtest, error):
        if error is not None:
            failed = "failure" if issubclass(error[0], test.failureException) else "error"
            self.write(subtest, failed, self._exc_info_to_string(error, test))


def main(module, way, path):
    prepare(way)
    if WAYS[way][1]:
        instrument.install(module, point)
        doctest.compile = instrument.compiled_example
    suite = unittest.defaultTestLoader.loadTestsFromName(module)
    with open(path, "w") as file:
        suite.run(Record(file))
        file.write(json.dumps(["", "suspensions", POINTS.suspended]) + "\n")
    if REPLACED:
        os._exit(0)  # their frames would unwind now, and their tests end a second time


if __name__ == "__main__":
    main(*sys.argv[1:])
