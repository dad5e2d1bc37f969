"""Whole programs, each in a process of its own: none may end in a signal, whatever it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

PROGRAMS = sorted(Path(__file__).with_name("programs").glob("*.py"))
KNOWN: dict[str, str] = {}  # program -> the fault that was reported

SOURCE = Path(stackful.__file__).parents[1]


def parameter(path):
    marks = [pytest.mark.xfail(strict=True, reason=KNOWN[path.stem])] if path.stem in KNOWN else []
    return pytest.param(path, id=path.stem, marks=marks)


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("path", [parameter(path) for path in PROGRAMS])
def test_program_ends_without_a_signal_and_without_an_error(path):
    """The program comes to its end: exit code 0."""
    if path.stem.startswith("greenlets") and os.environ.get("STACKFUL_SANITIZE"):
        pytest.skip("greenlet copies C stacks, which the address sanitiser takes for an overflow")
    environment = {"PYTHONMALLOC": "debug", **os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
