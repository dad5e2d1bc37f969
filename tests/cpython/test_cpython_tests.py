"""What CPython's own tests say of generators, frames, exceptions, tracing and garbage holds inside of a fiber as it does outside.

Each module is run in a process of its own, once for each way that runner.py knows; what every test comes to is compared.
"""

import functools
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import stackful
from cpython.modules import DIFFERENCES, LEFT_OUT, MODULES, QUICK, QUICK_WAYS

RUNNER = Path(__file__).with_name("runner.py")
SOURCE = Path(stackful.__file__).parents[1]
TIMEOUT = 270  # seconds for one module in one way; they take 0.2 to 10

# Way -> the way without fibers that runs the same code.
OUTSIDE = {
    "inside": "outside",
    "parked": "outside",
    "everywhere": "outside, pointed",
    "relayed": "outside, pointed",
    "shown": "outside, pointed",
    "threads": "outside, pointed",
    "copied": "outside, pointed",
}

if importlib.util.find_spec("test") is None or importlib.util.find_spec("test.test_generators") is None:
    pytest.skip(
        f"CPython's tests are not installed with {sys.executable} (Debian has them in libpython3.x-testsuite): NOT RUN",
        allow_module_level=True,
    )


def cases():
    """Each module in each way; those that are not quick are marked slow."""
    for way in OUTSIDE:
        for module, since in MODULES.items():
            if module not in LEFT_OUT[way] and sys.version_info >= since:
                quick = module in QUICK and way in QUICK_WAYS
                yield pytest.param(module, way, id=f"{module}-{way}", marks=[] if quick else [pytest.mark.slow])


def told(path):
    """What the runner has written: (test, outcome, details)."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@functools.cache
def outcomes(module, way):
    """Test -> its outcomes; the details of those that failed; how many suspensions there were."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes"
        path.touch()
        command = [sys.executable, "-X", "faulthandler", RUNNER, f"test.{module}", way, path]
        environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, cwd=folder, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired:
            pytest.fail(f"{module}, {way}: no end after {TIMEOUT} seconds, in {told(path)[-1:]}")
        lines = told(path)
    if done.returncode != 0 or not lines or lines[-1][1] != "suspensions":
        pytest.fail(f"{module}, {way}: status {done.returncode} in {lines[-1:]}\n{done.stderr[-3000:]}")
    found, details = {}, {}
    for test, outcome, detail in lines[:-1]:
        found.setdefault(test.removeprefix(f"test.{module}."), [])
        if outcome != "begun":
            found[test.removeprefix(f"test.{module}.")].append(outcome)
            details[test.removeprefix(f"test.{module}."), outcome] = detail
    return {test: sorted(all_of_it) for test, all_of_it in found.items()}, details, lines[-1][2]


@pytest.mark.parametrize("module, way", list(cases()))
def test_a_test_comes_to_the_same_in_a_fiber(module, way):
    """Each test of the module has the outcome that it has outside, but for those of which DIFFERENCES says why."""
    expected, _, _ = outcomes(module, OUTSIDE[way])
    actual, details, suspensions = outcomes(module, way)
    assert len(expected) >= 15 and any("ok" in outcome for outcome in expected.values())
    assert (suspensions > 0) == (way != "inside")
    differ = {test for test in expected.keys() | actual.keys() if expected.get(test) != actual.get(test)}
    excused = {test for one, other, test in DIFFERENCES if (one, other) == (module, way)} & expected.keys()
    for test in sorted(differ - excused):
        print(f"{test}: {expected.get(test)} outside, {actual.get(test)} {way}")
        print(*(details[test, outcome] for outcome in actual.get(test, [])), sep="\n")
    assert differ == excused
