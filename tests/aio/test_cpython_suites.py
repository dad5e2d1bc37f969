"""CPython's own tests of locks, queues, sockets and selectors, in a portal with `patched`."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import stackful

pytestmark = pytest.mark.skipif(
    not (find_spec("test") and find_spec("test.lock_tests")), reason="this Python comes without its tests: NOT RUN"
)

PROGRAM = Path(__file__).with_name("cpython_suites.py")


def wrong(folder, *arguments):
    """What is wrong with which test; the program must have run them all."""
    environment = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parents[1])}
    command = [sys.executable, PROGRAM, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert outcome["run"] > 3
    return outcome["wrong"]


@pytest.mark.parametrize("way", ["threads", "tasks"])
def test_locks_pass_cpythons_tests(way, tmp_path):
    """Locks, conditions, events, semaphores and barriers, between a task and threads, and between tasks of one thread."""
    assert wrong(tmp_path, way, "locks") == {}


@pytest.mark.slow
def test_sockets_pass_cpythons_tests(tmp_path):
    """A task on one side, a thread on the other."""
    assert wrong(tmp_path, "threads", "test.test_socket") == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["test_select", "test_poll", "test_selectors", "test_queue", "test_socketserver"])
def test_selectors_and_queues_pass_cpythons_tests(tmp_path, name):
    """Selectors and what they are made of, queues of both kinds, and servers."""
    assert wrong(tmp_path, "threads", f"test.{name}") == {}
