"""Importing Stackful on an interpreter that it does not support says so, and does nothing else."""

import os
import subprocess
import sys

import pytest

import stackful
from stackful import _core
from stackful.interpreter import SUPPORTED, check_interpreter


def import_after(change):
    """What `import stackful` says on the last line of its traceback, in a process where `change` was made before."""
    program = f"import sys, types\n{change}\nimport stackful"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.returncode, (done.stderr.strip().splitlines() or [""])[-1]


OTHERS = {
    "another implementation": ("sys.implementation.name = 'pypy'", "This is pypy"),
    "an older version": ("sys.version_info = (3, 10, 4, 'final', 0)", "This is cpython 3.10.4: it is not one of them"),
    "a newer version": ("sys.version_info = (3, 99, 0, 'final', 0)", "This is cpython 3.99.0: it is not one of them"),
    "free threads": ("sys.abiflags = 't'", "it is a free-threaded build"),
    "trace-refs": ("sys.getobjects = None", "it was built with --with-trace-refs"),
    "an enabled JIT": ("sys._jit = types.SimpleNamespace(is_enabled=lambda: True)", "its JIT is enabled; PYTHON_JIT=0"),
    "a missing core": ("sys.modules['stackful._core'] = None", "the compiled core was not built for it"),
}


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("other", OTHERS)
def test_an_unsupported_interpreter_is_refused_at_import(other):
    """The message names what is supported and what this interpreter is instead; nothing crashes."""
    change, reason = OTHERS[other]
    status, last = import_after(change)
    assert status == 1, last
    assert last.startswith("ImportError: stackful supports CPython 3.11 to "), last
    assert reason in last


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.skipif(
    not (hasattr(sys, "_jit") and sys._jit.is_available()), reason="this interpreter was built without the JIT"
)
def test_an_interpreter_whose_jit_is_on_is_refused():
    """The JIT takes for granted that a call returns to its caller; the message says how to go on, and so does the core's own."""
    environment = {**os.environ, "PYTHON_JIT": "1"}
    for module, reason in (
        ("stackful", "PYTHON_JIT=0 disables it"),
        ("stackful._core", "start Python without PYTHON_JIT=1"),
    ):
        program = (
            f"import sys, types; package = types.ModuleType('stackful'); package.__path__ = {stackful.__path__!r}\n"
        )
        program += "sys.modules['stackful'] = package\n" if module != "stackful" else ""
        command = [sys.executable, "-c", program + f"import {module}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "ImportError: stackful" in done.stderr
        assert reason in done.stderr


def test_this_interpreter_is_supported():
    """The interpreter that runs the tests is within the range that is promised."""
    assert SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]
    check_interpreter()


def test_a_layout_that_does_not_fit_is_seen():
    """The check compares what it reads from a frame with the truth: a wrong marker is noticed, and the right one accepted."""

    def probe(marker, shown):
        return _core.check_layout(shown)

    def caller(marker, shown):
        return probe(marker, shown)

    mine, other = object(), object()
    assert caller(mine, mine) is None
    assert "laid out otherwise (locals)" in caller(mine, other)
