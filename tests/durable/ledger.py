"""What must be true of the runs of programs/acts.py, however often those who drove them were killed."""

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from durable.commands import SOURCES
from stackful.durable import Status

PROGRAMS = Path(__file__).parent / "programs"
PATIENCE = 120  # seconds

ENDED = {Status.FINISHED, Status.FAILED, Status.CANCELLED}


class Warm:
    """A process that forks workers at once, for it has loaded all that they need."""

    def __init__(self):
        environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}"}
        command = [sys.executable, "-u", PROGRAMS / "warm.py"]
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )

    def close(self):
        self._process.stdin.close()
        assert self._process.wait(PATIENCE) == 0
        self._process.stdout.close()

    def worker(self, address, folder, kind="", number=0):
        """A new worker, which dies when something of this kind happens for the n-th time."""
        order = [str(address), str(folder / "effects.log"), kind, number]
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        return Worker(self._process.stdout)


class Worker:
    """A worker that a warm process has forked. There is one at a time."""

    def __init__(self, told):
        self._told = told
        self._pid = int(self._line())
        self.ended = None  # how, once it has been noticed

    def _line(self):
        """One line: what is written is short, and read as it was written."""
        assert select.select([self._told], [], [], PATIENCE)[0], "the worker does not end"
        return self._told.readline()

    def has_ended(self):
        """Whether it has."""
        if self.ended is None and select.select([self._told], [], [], 0)[0]:
            self.ended = int(self._line())
        return self.ended is not None

    def end(self, number):
        """End it by a signal, if it has not ended already; how it ended."""
        if not self.has_ended():
            os.kill(self._pid, number)
            self.ended = int(self._line())
        return self.ended

    def work(self, engine):
        """Wait until it has died, or all runs have come to where only others can help them; whether it lives."""
        for _ in range(PATIENCE * 200):
            if self.has_ended():
                return False
            if is_quiet(engine):
                return True
            time.sleep(0.005)
        raise AssertionError(f"it never came to rest: {engine.runs()}")


def is_quiet(engine):
    """Whether all runs have ended, or wait for something that is not there."""
    return all(run.status in ENDED or (run.status is Status.WAITING and run.wake is None) for run in engine.runs())


def make_notes(address):
    """The table that acts "book" in."""
    text = "CREATE TABLE IF NOT EXISTS notes (run TEXT, place INTEGER, token TEXT)"
    if str(address).startswith("postgresql"):
        import psycopg

        with psycopg.connect(address, autocommit=True) as db:
            db.execute(text)
        return
    db = sqlite3.connect(address)
    db.execute(text)
    db.commit()
    db.close()


def notes(address):
    """What was booked: run and place to tokens."""
    query = "SELECT run, place, token FROM notes"
    if str(address).startswith("postgresql"):
        import psycopg

        with psycopg.connect(address) as db:
            rows = db.execute(query).fetchall()
    else:
        db = sqlite3.connect(address)
        rows = db.execute(query).fetchall()
        db.close()
    found = defaultdict(list)
    for run, place, token in rows:
        found[run, place].append(token)
    return found


def effects(folder):
    """What was done outside of the store: run to (place, what was known before, token), in the order of time."""
    found = defaultdict(list)
    log = folder / "effects.log"
    for line in log.read_text().splitlines() if log.exists() else ():
        run, place, before, token = json.loads(line)
        found[run].append((place, before, token))
    return found


def check_lines(lines, deaths):
    """What holds of a run at any time: only the step in flight is repeated, once for each death, and what was recorded once does not change."""
    places = [place for place, _, _ in lines]
    assert places == sorted(places), lines
    assert len(places) - len(set(places)) <= deaths, lines
    for (_, known, _), (_, known_later, _) in zip(lines, lines[1:], strict=False):
        assert known_later[: len(known)] == known, lines


def check_result(run_id, acts, got, lines, booked, own=()):
    """What holds of a run that has finished: all was done, and what it knows is what was done.

    Args:
        own: places that were done by the run itself; those before were done by the one that it was forked from. Empty: all.
    """
    assert len(got) == len(acts), got
    done = {place for place, _, _ in lines}
    for place, act in enumerate(acts):
        if own and place not in own:
            continue
        if act == "step":
            assert place in done, (run_id, place)
        elif act == "book":
            assert booked[run_id, place] == [got[place]], (run_id, place)
    for place, before, token in lines:
        assert before == got[:place], (run_id, place)
        if acts[place] == "step":
            assert got[place] in {found for at, _, found in lines if at == place}, (run_id, token)
