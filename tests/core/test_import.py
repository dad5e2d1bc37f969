"""Where the core refuses to be imported."""

import os
import subprocess
import sys

import pytest


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.skipif(
    not (hasattr(sys, "_jit") and sys._jit.is_available()), reason="this interpreter was built without the JIT"
)
def test_an_interpreter_whose_jit_is_on_is_refused():
    """The JIT takes for granted that a call returns to its caller; the message says how to go on."""
    done = subprocess.run(
        [sys.executable, "-c", "import stackful"],
        env={**os.environ, "PYTHON_JIT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "ImportError: stackful does not work under CPython's JIT: start Python without PYTHON_JIT=1" in done.stderr
