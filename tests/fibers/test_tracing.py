"""Trace functions, profilers, monitoring, coverage and pdb see fibers as the ordinary calls that they are."""

import copy
import cProfile
import io
import pdb  # noqa: T100 - the debugger is the subject
import pstats
import sys

import pytest

from stackful import Fiber, suspend


def inner(x):
    y = suspend(x)
    return y + 1


def outer(x):
    return inner(x) + 1


def run(fiber):
    return [fiber.resume(), fiber.resume(10)]


@pytest.fixture(params=["settrace", "setprofile"])
def switch(request):
    old_trace, old_profile = sys.gettrace(), sys.getprofile()
    yield getattr(sys, request.param)
    sys.settrace(old_trace)
    sys.setprofile(old_profile)


@pytest.mark.no_leakcheck("tracing allocates per code object")
def test_a_fiber_runs_the_same_under_a_callback(switch):
    """Values and results do not change when every event calls Python code."""

    def callback(frame, event, arg):
        str((frame.f_lineno, frame.f_locals, event))
        return callback

    switch(callback)
    results = run(Fiber(outer, 1))
    switch(None)
    assert results == [1, 12]


def test_a_callback_switched_on_while_suspended(switch):
    """A fiber begun without a callback goes on with one."""
    fiber = Fiber(outer, 1)
    fiber.resume()
    switch(lambda *ignored: None)
    result = fiber.resume(10)
    switch(None)
    assert result == 12


def test_a_callback_switched_off_while_suspended(switch):
    """A fiber begun with a callback goes on without."""
    fiber = Fiber(outer, 1)
    switch(lambda *ignored: None)
    fiber.resume()
    switch(None)
    assert copy.copy(fiber).resume(10) == fiber.resume(10) == 12


def test_lines_are_traced_on_both_sides_of_a_suspension():
    """A local trace function gets the line events before and after."""
    lines = []

    def tracer(frame, event, arg):
        if frame.f_code is inner.__code__:
            lines.append((event, frame.f_lineno - frame.f_code.co_firstlineno))
            return tracer

    old = sys.gettrace()
    sys.settrace(tracer)
    run(Fiber(inner, 1))
    sys.settrace(old)
    assert lines == [("call", 0), ("line", 1), ("line", 2), ("return", 2)]


@pytest.mark.no_leakcheck("pstats looks up names by new strings each time: it fills a cache of CPython")
def test_a_profiler_counts_calls():
    """CProfile sees each function called once, however often it was suspended."""
    profile = cProfile.Profile()
    profile.runcall(run, Fiber(outer, 1))
    stats = pstats.Stats(profile, stream=io.StringIO()).stats
    counts = {name: row[0] for (file, line, name), row in stats.items() if file == __file__}
    assert counts["inner"] == counts["outer"] == 1


@pytest.mark.no_leakcheck("pdb fills caches of its own and of CPython, outside of fibers too")
def test_pdb_steps_through_a_fiber():
    """A script of pdb commands stops in a resumed fiber, shows the stack and goes on."""
    output = io.StringIO()
    debugger = pdb.Pdb(stdin=io.StringIO("where\np x\nnext\nnext\ncontinue\n"), stdout=output, readrc=False)
    debugger.use_rawinput = False

    def body():
        x = suspend()
        debugger.set_trace(sys._getframe())
        x += 1
        return x

    fiber = Fiber(body)
    fiber.resume()
    old = sys.gettrace()
    try:
        assert fiber.resume(41) == 42
    finally:
        sys.settrace(old)
    assert "body()" in output.getvalue()
    assert "41" in output.getvalue()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
@pytest.mark.parametrize("when", ["before", "while suspended"])
def test_monitoring_sees_lines(when):
    """sys.monitoring gets the lines of a fiber, set up before it began or while it waits."""
    monitoring, seen, first = sys.monitoring, set(), inner.__code__.co_firstlineno

    def on_line(code, line):
        if code is inner.__code__:
            seen.add(line - first)

    fiber = Fiber(inner, 1)
    if when != "before":
        fiber.resume()
    monitoring.use_tool_id(4, "test")
    try:
        monitoring.register_callback(4, monitoring.events.LINE, on_line)
        monitoring.set_events(4, monitoring.events.LINE)
        if when == "before":
            fiber.resume()
        fiber.resume(1)
    finally:
        monitoring.set_events(4, 0)
        monitoring.register_callback(4, monitoring.events.LINE, None)
        monitoring.free_tool_id(4)
    assert seen == ({1, 2} if when == "before" else {2})


def test_the_stack_is_whole_while_suspend_returns():
    """When suspend is left, and its caller is parked already, the frame beneath it is the resumer's: all the stack sees new events."""
    seen = []

    def profiler(frame, event, arg):
        if event == "return" and frame.f_code is suspend.__code__:
            names = []
            while frame is not None:
                names.append(frame.f_code.co_name)
                frame = frame.f_back
            seen.append(names)

    def deep(n):
        return deep(n - 1) if n else (suspend(1), suspend(2))

    fiber = Fiber(deep, 3)
    fiber.resume()
    sys.setprofile(profiler)
    fiber.resume()
    sys.setprofile(None)
    name = sys._getframe().f_code.co_name
    assert [name in names for names in seen] == [True]


def _raise_outward(stop):
    def inner():
        stop()
        raise ValueError

    def outer():
        try:
            middle()
        except ValueError:
            return "caught"

    def middle():
        inner()

    fiber = Fiber(outer)
    while fiber.status != "dead":
        fiber.resume()


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_an_exception_that_goes_outward_is_no_call(install):
    """Trace and profile functions hear of frames that suspended what they hear of those that did not, when an exception ends them."""

    def events(stop):
        seen = []

        def hear(frame, event, arg):
            if frame.f_code.co_name in ("inner", "middle", "outer") and event in ("call", "return"):
                seen.append((frame.f_code.co_name, event))
            return hear

        install(hear)
        _raise_outward(stop)
        install(None)
        return seen

    assert events(suspend) == events(lambda: None)
