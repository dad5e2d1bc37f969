"""Runs of functions, killed at every commit: nothing is lost, nothing is recorded twice, repeats are where the documentation says."""

import os
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from durable.commands import SOURCES

PROGRAMS = Path(__file__).parent / "programs"


def play(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}"}
    command = [sys.executable, PROGRAMS / "killed.py", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def check(folder, steps_in_flight):
    """What must be true when the run is over, however often it was killed."""
    done = Counter((folder / "effects.log").read_text().splitlines())
    assert set(done) == {"one begins", "child one", "one was approved by me", "one ends"}
    assert sum(done.values()) - len(done) <= steps_in_flight, done
    with sqlite3.connect(folder / "runs.db") as db:
        assert db.execute("SELECT text FROM notes").fetchall() == [("one",)]  # exactly once
        assert db.execute("SELECT id, status FROM runs ORDER BY number").fetchall() == [
            ("main", "finished"),
            ("main.2", "finished"),
        ]
    db.close()


def kill_at(folder, number, when):
    """Kill once, then go on to the end; whether it came to the kill."""
    first = play(folder, number, when)
    if first.returncode == 0:
        check(folder, 0)
        return False
    assert first.returncode == -9, first.stderr
    second = play(folder, 0, "never")
    assert (second.returncode, second.stdout) == (0, "child of one\n"), second.stderr
    check(folder, 2)  # the step in flight of the run, and of its child
    return True


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_a_run_survives_a_kill_at_some_commits(tmp_path, number, when):
    """Killed before or after a commit, the run ends in another process as if nothing had been."""
    assert kill_at(tmp_path, number, when)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_survives_a_kill_at_each_commit(tmp_path, when):
    """The same for every commit that there is."""
    number = 1
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        if not kill_at(folder, number, when):
            break
        number += 1
    assert number > 8


@pytest.mark.slow
def test_a_run_survives_being_killed_again_and_again(tmp_path):
    """Killed at the sixth commit of each process, it comes to its end, and each step is repeated at most once for each kill."""
    kills = 0
    while play(tmp_path, 6, "after").returncode == -9:
        kills += 1
        assert kills < 50
    check(tmp_path, 2 * kills)
