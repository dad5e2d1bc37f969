"""Runs the leak checker (leakcheck.py) on the tests of the core and of fibers, and on those marked `leakcheck`; and those marked
`three_ways` or `five_ways` in each of these ways (ways.py).
"""

import contextlib
import gc
import os
import signal
import sys
import time
from pathlib import Path

import pytest

import ways
from leakcheck import LATE_ROUNDS, find_leaks
from postgresql import postgres_server, postgres_url  # noqa: F401 - fixtures
from ways import ROADS, WARM_UP, WAYS, traced

TOO_SLOW = 2.0  # seconds of a test's first run beyond which it is not repeated; such tests are counted in the summary

FREEZE_EVERY = 25  # tests

HERE = Path(__file__).parent
FOLDERS = {HERE / "core", HERE / "fibers"}

checked: dict[str, int] = {}  # verdict or excuse -> number of tests, for the summary
finished = 0  # tests


def pytest_configure():
    """Take SIGINT as a program in the foreground does: a shell starts its background jobs with the signal ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc):
    """A test marked `three_ways` is three tests, one marked `five_ways` five."""
    if metafunc.definition.get_closest_marker("three_ways"):
        metafunc.parametrize("way", WAYS, indirect=True)
    if metafunc.definition.get_closest_marker("five_ways"):
        metafunc.parametrize("way", WAYS + ROADS, indirect=True)


@pytest.fixture(autouse=True)
def way(request):
    """How the test is run (ways.py)."""
    chosen = ways.current = getattr(request, "param", "cold")
    if chosen == "warm":
        names = [name for name in request.node._fixtureinfo.argnames if name != "way"]
        arguments = {name: request.getfixturevalue(name) for name in names}
        if "way" in request.node._fixtureinfo.argnames:
            arguments["way"] = chosen
        for _ in range(WARM_UP):
            request.function(**arguments)
    with traced() if chosen == "traced" else contextlib.nullcontext():
        yield chosen
    ways.current = "cold"
    ways.kept.clear()


def _excuse(item, seconds):
    """Why a test is not repeated, or None."""
    if not (item.get_closest_marker("leakcheck") or FOLDERS & set(item.path.parents)):
        return "elsewhere"
    if marker := item.get_closest_marker("no_leakcheck"):
        return f"excused: {marker.args[0]}"
    if os.environ.get("STACKFUL_LEAKCHECK") == "0":
        return "switched off"
    if ways.current == "pickled":
        return "pickled"  # the pickler fills caches of CPython with names
    if hasattr(item.obj, "hypothesis"):
        return "property test"
    if sys.gettrace() is not None or sys.getprofile() is not None:
        return "run under a tracer"
    return "too slow" if seconds > TOO_SLOW else None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """Run the test; when it passed, run it again and look for growth."""
    start = time.perf_counter()
    result = yield
    excuse = _excuse(pyfuncitem, time.perf_counter() - start)
    if excuse:
        checked[excuse] = checked.get(excuse, 0) + 1
        return result
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

    def again():
        ways.kept.clear()
        pyfuncitem.obj(**arguments)

    try:
        leaks = find_leaks(again)
    except Exception as error:
        error.add_note("The test passed once and failed when the leak checker ran it again (see tests/leakcheck.py).")
        raise
    checked["checked"] = checked.get("checked", 0) + 1
    if pyfuncitem.get_closest_marker("fails_leakcheck"):
        if not leaks:
            pytest.fail("marked fails_leakcheck, but no longer leaks: remove the marker", pytrace=False)
    elif leaks:
        pytest.fail(f"leaks: {leaks} (growth in each of the last {LATE_ROUNDS} rounds)", pytrace=False)
    return result


def pytest_runtest_logfinish():
    """Put what pytest keeps of each test out of the collector's sight: a collection takes as long in the last test as in the first."""
    global finished
    if finished % FREEZE_EVERY == 0:
        gc.collect()
        gc.freeze()
    finished += 1


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were checked, and why the others were not."""
    counts = {excuse: count for excuse, count in sorted(checked.items()) if excuse != "elsewhere"}
    if counts:
        terminalreporter.write_line("leak check: " + ", ".join(f"{count} {excuse}" for excuse, count in counts.items()))
