"""`python -m stackful program.py` is `python program.py`, with a prompt around it."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from stackful import call_cc

count = []
k = call_cc(lambda k: k)
count.append(1)
if len(count) < 3:
    k(k)
print(len(count), sys.argv[1:], __name__)
"""


def run(path, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "stackful", path, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.fixture
def script(tmp_path):
    def write(text):
        path = tmp_path / "program.py"
        path.write_text(text)
        return path

    return write


def test_a_script_can_go_back_into_itself(script):
    """Its top level is a continuation."""
    done = run(script(PROGRAM), "a", "b")
    assert (done.stdout, done.stderr, done.returncode) == ("3 ['a', 'b'] __main__\n", "", 0)


def test_an_error_is_shown_as_python_shows_it(script):
    """Without the frames of Stackful."""
    path = script("def f():\n    1 / 0\n\nf()\n")
    plain = subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=False)
    done = run(path)
    assert (done.stderr, done.returncode) == (plain.stderr, plain.returncode)


def test_an_exit_status_passes_through(script):
    """And what cannot be read is one message."""
    assert run(script("raise SystemExit(7)\n")).returncode == 7
    missing = run("/nowhere/program.py")
    assert missing.returncode == 66
    assert "cannot be read" in missing.stderr
