"""What goes wrong around runs: a disk that is full, rows that are damaged, clocks that are set, stores that are locked, ends that are asked for at a
bad moment. Others go on, and each run either goes on later or ends by name.
"""

import sqlite3
import sys
import threading
import time

import pytest

from durable.ledger import PROGRAMS
from durable.test_functions import PATIENCE, failure, until
from stackful import StoreError, durable
from stackful.durable import Status
from stackful.durable.starting import new_run

sys.path.insert(0, str(PROGRAMS))
import troubled


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine over a fresh store, connected."""
    monkeypatch.chdir(tmp_path)
    with durable.connect(tmp_path / "runs.db") as engine:
        yield engine


def counted(monkeypatch, thing, name):
    """A list that grows with each call of a method."""
    plain, calls = getattr(thing, name), []

    def call(*args):
        calls.append(args)
        return plain(*args)

    monkeypatch.setattr(thing, name, call)
    return calls


# --- ends that are asked for at a bad moment --------------------------------------------------------------------------


def waiting(function, *args, **options):
    """A run that waits."""
    handle = durable.start(function, *args, **options)
    until(lambda: handle.status is Status.WAITING)
    return handle


def test_a_cancelled_run_sleeps_in_its_clean_up_as_others_do(engine, monkeypatch):
    """It is woken when it is time, not again and again until then."""
    handle = waiting(troubled.tidy, 0.4)
    claims = counted(monkeypatch, engine.store, "claim")
    commits = counted(monkeypatch, engine.store, "commit")
    handle.cancel()
    assert handle.wait(PATIENCE) is Status.CANCELLED
    assert len(commits) == 2
    assert len(claims) < 10


def test_a_late_run_sleeps_in_its_clean_up_as_others_do(engine, monkeypatch):
    """A deadline that has passed wakes it once."""
    commits = counted(monkeypatch, engine.store, "commit")
    handle = durable.start(troubled.tidy, 0.4, deadline=0.1)
    assert handle.wait(PATIENCE) is Status.CANCELLED
    assert len(commits) == 3


def test_a_cancelled_run_waits_in_its_clean_up_as_others_do(engine, monkeypatch):
    """It is where it waits, and nobody's, until the signal comes."""
    handle = waiting(troubled.stubborn)
    handle.cancel()
    until(lambda: handle.run.waits == "signal:more")
    commits = counted(monkeypatch, engine.store, "commit")
    time.sleep(0.3)
    assert not commits
    durable.send(handle, "more")
    assert handle.wait(PATIENCE) is Status.CANCELLED


def test_a_fork_of_a_cancelled_run_can_be_cancelled(engine):
    """It has not been told of its end, as the one that it was forked from has."""
    handle = waiting(troubled.stubborn)
    handle.cancel()
    until(lambda: handle.run.waits == "signal:more")
    fork = engine.fork(handle.id)
    until(lambda: fork.status is Status.WAITING)
    fork.cancel()
    assert fork.wait(PATIENCE) is Status.CANCELLED
    assert handle.status is Status.WAITING


def test_a_run_whose_time_is_up_as_its_transaction_begins_lets_go_of_the_store(engine, monkeypatch):
    """What it does in the end is stored, by its own process and by others: the transaction does not stay open."""
    other = sqlite3.connect(engine.store.path, isolation_level=None, check_same_thread=False)
    transaction = engine.store.transaction

    def delayed():
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(0.8, other.execute, ["ROLLBACK"]).start()
        return transaction()

    monkeypatch.setattr(engine.store, "transaction", delayed)
    handle = durable.start(troubled.booking, deadline=0.4)
    assert handle.wait(8) is Status.CANCELLED
    assert "DeadlineError" in handle.run.error
    other.close()


# --- a store that takes no states, or not all -------------------------------------------------------------------------


def refuse(engine, monkeypatch, error, condition):
    """Have the store raise this when a state is to be committed of which that holds."""
    commit = engine.store.commit

    def refusing(saves):
        if any(save.data and condition(save) for save in saves):
            raise error
        return commit(saves)

    monkeypatch.setattr(engine.store, "commit", refusing)


def test_a_run_that_could_not_be_stored_for_a_moment_is_not_told(engine, monkeypatch):
    """Though others could: it waits, and goes on when it is stored."""
    end = time.monotonic() + 0.3
    refuse(engine, monkeypatch, StoreError("the disk is full"), lambda save: save.run == "b" and time.monotonic() < end)
    runs = [new_run(engine, troubled.grows, (3, 10), {}, name) for name in ("a", "b", "c")]
    assert [handle.result(PATIENCE) for handle in engine.start_all(runs)] == [10, 10, 10]


def test_a_state_that_the_store_can_never_take_is_no_reason_to_wait(engine):
    """Its code is told, even when no other run is there."""
    engine.store._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)
    error = failure(durable.start(troubled.swells, 200_000))
    assert "larger than SQLite can hold" in str(error)
    assert durable.start(troubled.swells, 10).result(PATIENCE) == "small again"


def test_a_signal_is_taken_in_once_though_the_state_behind_it_was_refused(engine, monkeypatch):
    """It was delivered: the next wait does not get it again."""
    refuse(engine, monkeypatch, OverflowError("too large"), lambda save: save.step == "refused" and save.change)
    handle = durable.start(troubled.hears)
    durable.send(handle, "s", 1)
    assert handle.result(PATIENCE) == (1, None)
    assert engine.store.signals(handle.id) == []


def test_a_run_that_asks_a_store_that_is_away_waits_for_it(engine, monkeypatch):
    """It is not told that the store was away, as little as it is when its state is stored."""
    signals, failures = engine.store.signals, iter(range(3))

    def away(*args):
        if next(failures, None) is not None:
            raise StoreError("the server is away")
        return signals(*args)

    monkeypatch.setattr(engine.store, "signals", away)
    handle = durable.start(troubled.hears_all, 1)
    durable.send(handle, "s", 1)
    assert handle.result(PATIENCE) == [1]
