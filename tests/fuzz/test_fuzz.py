"""A short fuzz with fixed seeds, the programs that once failed, and the fuzzer itself: what is wrong does not get past it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful
from fuzz import programs, reduce
from fuzz.run import Fuzzer

HERE = Path(__file__).parent
SEEDS = sorted(HERE.glob("seeds/*.py"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parents[1])}

# It counts its calls, so that no run of it is like another.
UNSTEADY = """\
# {"seed": "0", "shares": true, "stars": false}
calls = 0

def program(point):
    global calls
    unused = [point(number) for number in range(3)]
    calls += 1
    return point(calls)
"""


def run(*command):
    """A script of this folder in a process of its own."""
    command = [sys.executable, *map(str, command)]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.stem)
def test_a_program_that_failed_once_ends_as_under_plain_python(path):
    """What a fuzzer has found stays found."""
    done = run(HERE / "programs.py", "--check", path)
    assert done.returncode == 0, done.stderr[-3000:]


def test_some_made_programs_and_some_attacks_do_no_harm():
    """The same few every time; `make fuzz` makes others."""
    done = run(HERE / "run.py", "--programs", 15, "--attacks", 1000, "--seed", "always")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "; 0 failures" in done.stdout


def test_a_program_is_made_again_from_its_seed():
    """A number and a seed are enough to have a failure again."""
    assert programs.shown("seed", 7) == programs.shown("seed", 7) != programs.shown("seed", 8)


@pytest.mark.parametrize("end, how", [("os.kill(os.getpid(), 9)", "SIGKILL"), ("sys.exit(3)", "3"), ("1 / 0", "1")])
def test_a_worker_that_dies_is_a_failure(tmp_path, capsys, end, how):
    """However it ends, the number that it had come to is reported, and the next one is gone on with."""
    worker = tmp_path / "worker.py"
    worker.write_text(f"import os, sys\nopen(sys.argv[4], 'r+b').write((7).to_bytes(8, 'little'))\n{end}\n")
    fuzzer = Fuzzer("seed", tmp_path)
    assert fuzzer.batch(str(worker), first=0, count=10) == 8
    assert fuzzer.failures == [(str(worker), 7)]
    assert (
        f"number 7 (in a process that began at 0): {'signal ' if how == 'SIGKILL' else ''}{how}"
        in capsys.readouterr().out
    )


def test_a_program_with_another_outcome_is_a_failure(tmp_path):
    """A program that does not end as under plain Python is not let past."""
    path = tmp_path / "unsteady.py"
    path.write_text(UNSTEADY)
    done = run(HERE / "programs.py", "--check", path)
    assert done.returncode == 1
    assert "Violation: suspended everywhere" in done.stderr


@pytest.mark.slow
def test_a_failing_program_is_made_smaller(tmp_path, monkeypatch):
    """What has no part in the failure is taken out."""
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    path = tmp_path / "unsteady.py"
    path.write_text(UNSTEADY)
    reduce.reduce(path)
    assert "unused" not in path.read_text()
    assert "calls += 1" in path.read_text()
