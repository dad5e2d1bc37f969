"""Many runs, and workers that are killed again and again, at random and at commits: nothing is lost, and nothing is done twice but where the
documentation says so.
"""

import random
import signal
import sys
import time
from collections import Counter

import pytest

from durable.ledger import PROGRAMS, Warm, check_lines, check_result, effects, is_quiet, make_notes, notes
from stackful import durable

sys.path.insert(0, str(PROGRAMS))
import acts

ACTS = ["step", "step", "step", "book", "sleep", "child", "step"]


@pytest.fixture
def warm(monkeypatch):
    """Forks workers."""
    monkeypatch.setenv("STACKFUL_KEY", "00" * 32)
    warm = Warm()
    yield warm
    warm.close()


def fuses(chance, count):
    """At the n-th commit, before and after it, in the n-th step, and at a random time."""
    number = 0
    while True:
        number += 1
        yield "before", number
        yield "after", number
        yield "step", chance.randint(1, 30 + count // 10)
        yield "", 0


def play(folder, warm, address, count, kills, chance):
    """Start many runs, kill workers so often, and check everything; how many steps were repeated."""
    deaths = Counter()
    with durable.connect(address, work=False) as engine:
        make_notes(address)
        for number in range(count):
            durable.start(acts.play, ACTS, id=f"r{number}")
        for (kind, number), _ in zip(fuses(chance, count), range(kills), strict=False):
            worker = warm.worker(address, folder, kind, number)
            if kind:
                worker.work(engine)
            else:
                time.sleep(chance.random() * 0.1)
            assert worker.end(signal.SIGKILL) == -signal.SIGKILL
            deaths[kind] += 1
            if is_quiet(engine):
                break
        worker = warm.worker(address, folder)
        assert worker.work(engine)
        assert worker.end(signal.SIGTERM) == 0
        lines, booked = effects(folder), notes(address)
        parents = {f"r{number}": durable.Handle(f"r{number}").result() for number in range(count)}
        children = {run.id: durable.Handle(run.id).result() for run in engine.runs() if run.parent}
    assert len(children) == count
    for run, got in parents.items():
        check_result(run, ACTS, got, lines[run], booked)
    for child, got in children.items():
        assert parents[child.partition(".")[0]][5] == got
        check_result(child, ["step"], got, lines[child], booked)
    assert set(lines) == {*parents, *children}
    for done in lines.values():
        check_lines(done, deaths.total())
    assert len(booked) == count
    return sum(len(done) for done in lines.values()) - 5 * count, deaths


def test_runs_whose_workers_are_killed_lose_nothing_and_repeat_only_the_step_in_flight(tmp_path, warm):
    """Thirty runs and eight kills; what shares the store's transaction is never repeated."""
    repeated, deaths = play(tmp_path, warm, tmp_path / "runs.db", 30, 8, random.Random(1))
    assert deaths["before"] == deaths["after"] == 2
    assert repeated > 0  # or nothing was tested


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_thousand_runs_survive_workers_that_are_killed_again_and_again(tmp_path, warm, request, store):
    """The same with more of both, on both stores: fifty kills, or as many as it takes until all runs are done."""
    address = tmp_path / "runs.db" if store == "sqlite" else request.getfixturevalue("postgres_url")
    repeated, deaths = play(tmp_path, warm, address, 1000, 50, random.Random())
    print(f"{store}: {deaths.total()} kills, {repeated} steps repeated")
    assert deaths["before"] > 3
    assert deaths["after"] > 3
