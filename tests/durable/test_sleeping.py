"""Runs that sleep: claimed before their time, held until it comes, and not held up by the commits of others."""

import sys
import threading
from pathlib import Path

import pytest

from durable.engines import PATIENCE, engine, folder, until  # noqa: F401 - two of them fixtures
from stackful import durable
from stackful.durable import Status, alarms

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop


@pytest.fixture
def early(monkeypatch):
    """Runs are claimed long before their time."""
    monkeypatch.setattr(alarms, "_LEAD", 1000.0)
    monkeypatch.setattr(alarms, "_AHEAD", 1000.0)


def held(seconds):
    """A run that sleeps, and is claimed already."""
    handle = durable.start(shop.sleeper, seconds)
    until(lambda: handle.run.seq == 1 and handle.status is Status.RUNNING)
    return handle


@pytest.mark.usefixtures("early")
def test_a_run_that_was_claimed_early_goes_on_when_its_time_has_come(engine):
    """Not before: then it would fall asleep again, in another state."""
    began = engine.store.now()
    handle = held(0.3)
    assert handle.result(PATIENCE) == "slept"
    assert engine.store.now() - began >= 0.3
    assert handle.run.seq == 1


@pytest.mark.usefixtures("early")
def test_a_run_that_is_held_for_its_time_can_be_cancelled(engine):
    """It ends at once."""
    handle = held(1000)
    handle.cancel()
    with pytest.raises(durable.RunFailedError):
        handle.result(PATIENCE)
    assert handle.status is Status.CANCELLED


@pytest.mark.usefixtures("early")
def test_a_run_that_is_held_for_its_time_has_a_deadline(engine):
    """Which comes before."""
    handle = durable.start(shop.sleeper, 1000, deadline=0.3)
    with pytest.raises(durable.RunFailedError, match="deadline"):
        handle.result(PATIENCE)


@pytest.mark.usefixtures("early")
def test_runs_that_are_held_for_their_time_are_given_back(tmp_path):
    """A worker that drains has no step in flight, and owns none of them any more."""
    engine = durable.connect(tmp_path / "runs.db")
    handles = [held(1000) for _ in range(3)]
    assert engine.drain(PATIENCE) == 0
    with durable.connect(tmp_path / "runs.db", work=False) as other:
        assert [other.store.run(handle.id).owner for handle in handles] == [None] * 3


def test_a_run_that_falls_asleep_while_others_are_claimed_is_not_forgotten(engine):
    """What is due next may have been looked up before it was stored."""
    look, slept = engine.store.next_due, []

    def look_and_wait(reach=None):
        found = look(reach)
        if not slept:
            engine.alarms.hear = lambda kind: None  # the store tells nothing more
            slept.append(durable.start(shop.sleeper, 0.01))
            until(lambda: slept[0].status is Status.SLEEPING)
        return found

    engine.store.next_due = look_and_wait
    engine.alarms.hear("due")
    until(lambda: slept)
    assert slept[0].result(PATIENCE) == "slept"


def test_a_run_goes_on_while_the_state_of_another_is_being_committed(engine):
    """And its own state is committed after that one, by whoever is there."""
    commit, is_committing, go_on = engine.store.commit, threading.Event(), threading.Event()

    def slow(saves):
        if any(save.run == "slow" for save in saves) and not go_on.is_set():
            is_committing.set()
            assert go_on.wait(PATIENCE)
        return commit(saves)

    engine.store.commit = slow
    first = durable.start(shop.named_step, "a", id="slow")
    assert is_committing.wait(PATIENCE)
    before = engine.threads.turns
    others = [durable.start(shop.named_step, name) for name in "bcdefgh"]
    until(lambda: engine.threads.turns == before + len(others))
    assert len(engine.threads._threads) == 2
    go_on.set()
    assert [handle.result(PATIENCE) for handle in [first, *others]] == list("abcdefgh")


@pytest.mark.usefixtures("early")
def test_a_run_that_others_took_over_is_not_gone_on_with_when_its_time_comes(engine):
    """Nor is any code of it run here."""
    handle = held(1000)
    run = engine.active.pop(handle.id)
    turns = engine.threads.turns
    engine.alarms.let_go(are_all_due=True)
    assert run.fiber is None
    assert (engine.threads.turns, engine.alarms.held_for()) == (turns, None)
