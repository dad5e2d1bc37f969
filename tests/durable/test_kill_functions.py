"""Runs of functions, killed at every commit: nothing is lost, nothing is recorded twice, repeats are where the documentation says."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from durable.commands import SOURCES
from stackful import durable

PROGRAMS = Path(__file__).parent / "programs"


def play(folder, number, when, store="runs.db"):
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}", "STACKFUL_KEY": "00" * 32}
    command = [sys.executable, PROGRAMS / "killed.py", str(number), when, store]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )


def rows(folder, store, query):
    """What is in the store."""
    if "://" in store:
        import psycopg

        with psycopg.connect(store, options="-c search_path=public,stackful") as session:
            return session.execute(query).fetchall()
    with closing(sqlite3.connect(folder / store)) as db:
        return db.execute(query).fetchall()


def check(folder, steps_in_flight, store="runs.db"):
    """What must be true when the run is over, however often it was killed."""
    done = Counter((folder / "effects.log").read_text().splitlines())
    assert set(done) == {"one begins", "child one", "one was approved by me", "one ends"}
    assert sum(done.values()) - len(done) <= steps_in_flight, done
    assert rows(folder, store, "SELECT text FROM notes") == [("one",)]  # exactly once
    assert rows(folder, store, "SELECT id, status FROM runs ORDER BY number") == [
        ("main", "finished"),
        ("main.2", "finished"),
    ]


def kill_at(folder, number, when, store="runs.db"):
    """Kill once, then go on to the end; whether it came to the kill."""
    first = play(folder, number, when, store)
    if first.returncode == 0:
        check(folder, 0, store)
        return False
    assert first.returncode == -9, first.stderr
    second = play(folder, 0, "never", store)
    assert (second.returncode, second.stdout) == (0, "child of one\n"), second.stderr
    check(folder, 2, store)  # the step in flight of the run, and of its child
    return True


@pytest.fixture(params=["sqlite", "postgres"])
def store(request):
    """A fresh store on either database."""
    if request.param == "sqlite":
        return "runs.db"
    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    return request.getfixturevalue("postgres_url")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 4, 7])
def test_a_run_survives_a_kill_at_some_commits(tmp_path, store, number, when):
    """Killed before or after a commit, the run ends in another process as if nothing had been."""
    assert kill_at(tmp_path, number, when, store)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_run_survives_a_kill_at_each_commit(tmp_path, request, when, kind):
    """The same for every commit that there is."""
    number = 1
    while True:
        folder = tmp_path / str(number)
        folder.mkdir()
        store = "runs.db" if kind == "sqlite" else request.getfixturevalue("postgres_server").new_database()
        if not kill_at(folder, number, when, store):
            break
        number += 1
    assert number > 5


@pytest.mark.slow
def test_a_run_survives_being_killed_again_and_again(tmp_path, store):
    """Killed at the sixth commit of each process, it comes to its end, and each step is repeated at most once for each kill."""
    kills = 0
    while play(tmp_path, 6, "after", store).returncode == -9:
        kills += 1
        assert kills < 50
    check(tmp_path, 2 * kills, store)


HELD = """
import shop, sys, time
from stackful import durable

with durable.connect("runs.db"):
    handle = durable.start(shop.held, id="held")
    time.sleep(1000)
"""


def test_the_runs_of_a_killed_process_go_on_in_another_at_once(tmp_path, monkeypatch):
    """The lock that it held tells of its death; nobody waits for a lease or looks now and then."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(PROGRAMS))
    import shop

    monkeypatch.setattr(shop, "LOG", tmp_path / "effects.log")
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}"}
    process = subprocess.Popen([sys.executable, "-c", HELD], cwd=tmp_path, env=environment)
    try:
        for _ in range(3000):
            if "held" in shop.effects():
                break
            time.sleep(0.01)
        with durable.connect(tmp_path / "runs.db") as engine:
            assert engine.store.run("held").status is durable.Status.RUNNING
            process.kill()
            assert durable.Handle("held").result(30) == "done"
            assert shop.effects() == ["first", "held", "held"]
    finally:
        process.kill()
        process.wait()


WAITING = """
import shop
from stackful import durable

with durable.connect("runs.db"):
    durable.start(shop.blocks, 1000, id="blocks")
    durable.start(shop.waiter, "go", id="waits").result()
"""


def test_ctrl_c_ends_a_process_and_gives_its_runs_back(tmp_path, monkeypatch):
    """Even while a step blocks a thread; the runs are due for whoever comes next, and what waited still waits."""
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}"}
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    with durable.connect(tmp_path / "runs.db", work=False) as engine:
        for _ in range(3000):
            found = {run.id: run.status for run in engine.runs()}
            if found == {"blocks": durable.Status.RUNNING, "waits": durable.Status.WAITING}:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
        assert process.returncode == -signal.SIGINT, errors
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert engine.store.run("blocks").wake is not None
        assert engine.store.run("blocks").owner is None
        assert engine.store.run("waits").status is durable.Status.WAITING


ONE_FILE = """
import os, signal, sys
from dataclasses import dataclass
from stackful import durable

@dataclass
class Item:
    name: str

def die(name):
    if os.environ.get("DIE"):
        os.kill(os.getpid(), signal.SIGKILL)

@durable.run
def order(item):
    bought = durable.step(lambda: Item("tea"))
    durable.step(die, "here")
    return isinstance(item, Item), isinstance(bought, Item), (lambda: item.name)()

if __name__ == "__main__":
    with durable.connect("one.db"):
        print(durable.start(order, Item("cup"), id="o").result(60))
"""


def test_a_program_of_one_file_finds_its_functions_and_classes_again(tmp_path):
    """What stands in ``__main__`` is there under its name in the next process: instances are of the class that is there then."""
    (tmp_path / "app.py").write_text(ONE_FILE)
    command = [sys.executable, "app.py"]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    killed = subprocess.run(command, cwd=tmp_path, env={**environment, "DIE": "1"}, timeout=60, check=False)
    assert killed.returncode == -9
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("(True, True, 'cup')\n", "")


CHANGING = """
import sys
from stackful import durable

@durable.run(on_change="{policy}")
def order():
    total = 1
    durable.sleep(1)
    total += {added}
    return total

with durable.connect("one.db"):
    handle = durable.start(order, id="o")
    if len(sys.argv) > 1:
        while handle.status is not durable.Status.SLEEPING:
            pass
    else:
        try:
            print(handle.result(60))
        except durable.RunFailedError as error:
            print(type(error.__cause__).__name__)
"""


@pytest.mark.parametrize(("policy", "told"), [("refuse", "CodeChangedError"), ("keep", "11"), ("move", "21")])
def test_a_run_whose_code_has_changed_does_what_its_policy_says(tmp_path, policy, told):
    """It fails, goes on in the old code, or at the same place of the new code."""
    environment = {**os.environ, "PYTHONPATH": SOURCES}

    def play(added, *arguments):
        (tmp_path / "app.py").write_text(CHANGING.format(policy=policy, added=added))
        command = [sys.executable, "app.py", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, timeout=60, capture_output=True, text=True, check=False
        )

    assert play(10, "start").returncode == 0
    done = play(20)
    assert (done.stdout, done.returncode) == (f"{told}\n", 0), done.stderr
