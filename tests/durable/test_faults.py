"""What goes wrong around runs: a disk that is full, rows that are damaged, clocks that are set, stores that are locked, ends that are asked for at a
bad moment. Others go on, and each run either goes on later or ends by name.
"""

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from durable.commands import SOURCES
from durable.engines import PATIENCE, until
from durable.ledger import PROGRAMS
from durable.test_functions import failure
from stackful import SnapshotError, StoreError, durable
from stackful.durable import Status
from stackful.durable.records import NewSignal
from stackful.durable.sqlite import SqliteStore
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


def test_a_worker_that_cannot_say_goodbye_leaves_its_runs_all_the_same(tmp_path, monkeypatch):
    """The disk is full as it is closed: who comes next takes its runs over, in the same process, too."""
    monkeypatch.chdir(tmp_path)
    with durable.connect(tmp_path / "runs.db") as engine:
        handle = durable.start(troubled.holds, id="h")
        until(lambda: (tmp_path / "held").exists())
        assert handle.status is Status.RUNNING
        engine.store._db.execute("PRAGMA query_only = ON")
    (tmp_path / "held").unlink()
    with durable.connect(tmp_path / "runs.db"):
        until(lambda: (tmp_path / "held").exists())
        (tmp_path / "go").touch()
        assert durable.Handle("h").result(PATIENCE) == "done"


def test_a_state_is_stored_once_though_nobody_can_be_told(engine, monkeypatch, caplog):
    """There is no file descriptor left for that: others hear of it later, and nothing is sent a second time."""
    other = SqliteStore(engine.store.path)
    end = other.listen(lambda *_: None)  # its socket is one that is told
    listener = waiting(troubled.hears_all, 2)

    def none_left(*args, **options):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("stackful.durable.sqlite.wakeups._Folder.__enter__", none_left)
    with caplog.at_level(logging.WARNING, "stackful.durable"):
        assert durable.start(troubled.tells, listener.id, 2).result(PATIENCE) == "told"
        assert listener.result(PATIENCE) == [0, 1]
    assert "Too many open files" in caplog.text
    end()
    other.close()


def test_a_callback_that_raises_harms_no_commit(engine, caplog):
    """A waiter's own code is no reason to store a state twice."""
    listener = waiting(troubled.hears_all, 2)
    engine.when_ended("t", lambda: 1 / 0)
    assert durable.start(troubled.tells, listener.id, 2, id="t").result(PATIENCE) == "told"
    assert listener.result(PATIENCE) == [0, 1]
    assert "ZeroDivisionError" in caplog.text


def test_who_listens_is_known_though_the_clock_of_files_is_coarse(engine):
    """Two things that happen to a folder within one tick of the kernel leave it with the same time."""
    wakeups, folder = engine.store._wakeups, os.path.dirname(engine.store.path)
    wakeups._listeners()
    before = os.stat(folder)
    other = SqliteStore(engine.store.path)
    end = other.listen(lambda *_: None)
    os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(wakeups._listeners()) == 1
    end()
    other.close()


# --- rows that are damaged --------------------------------------------------------------------------------------------


def spoil(engine, query, *values):
    """Change what the store has, as a broken disk might."""
    db = sqlite3.connect(engine.store.path, timeout=PATIENCE)
    with db:
        assert db.execute(query, values).rowcount == 1
    db.close()


def sleeping(run_id):
    """A run that sleeps, of which nothing is left in memory but what the store has."""
    handle = durable.start(troubled.naps, 0.5, id=run_id)
    until(lambda: handle.status is Status.SLEEPING)
    return handle


FLIP = "UPDATE states SET data = CAST(substr(data, 1, ?) || x'00' || substr(data, ? + 2) AS BLOB) WHERE run = 'bad'"


@pytest.mark.parametrize("place", [0, 8, 60, 300])
def test_a_run_whose_state_is_damaged_fails_by_name(tmp_path, monkeypatch, place):
    """Wherever a byte of it was changed, nothing of it is unpickled; others go on, and the rest of it is there still."""
    monkeypatch.chdir(tmp_path)
    with durable.connect("runs.db"):
        sleeping("bad"), sleeping("good")
    with durable.connect("runs.db", work=False) as engine:
        spoil(engine, FLIP, place, place)
        engine.work()
        assert durable.Handle("good").result(10) >= 0.5
        error = failure(durable.Handle("bad"))
        assert isinstance(error.__cause__, SnapshotError)
        assert engine.store.state("bad") is not None


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE states SET data = 'text' WHERE run = 'bad'",
        "UPDATE states SET data = x'' WHERE run = 'bad'",
        "UPDATE runs SET attributes = '{' WHERE id = 'bad'",
        "UPDATE runs SET status = 'sleepinh' WHERE id = 'bad'",
        "UPDATE states SET data = CAST(x'FF' AS TEXT) WHERE run = 'bad'",
        "UPDATE states SET steps = 'many', seq = x'00' WHERE run = 'bad'",
    ],
)
def test_a_run_whose_row_is_damaged_stops_no_other(tmp_path, monkeypatch, damage):
    """It fails by name, and the others go on."""
    monkeypatch.chdir(tmp_path)
    with durable.connect("runs.db"):
        sleeping("bad"), sleeping("good")
    with durable.connect("runs.db", work=False) as engine:
        spoil(engine, damage)
        engine.work()
        assert durable.Handle("good").result(10) >= 0.5
        until(lambda: engine.store.outcomes(["bad"])[0].status is Status.FAILED)
        assert engine.store.outcomes(["bad"])[0].error
        assert [run.id for run in engine.runs()] == ["good", "bad"]


def test_a_signal_that_is_damaged_fails_its_run(engine):
    """The run that waits for it is told, and no other."""
    handle, other = waiting(troubled.hears_all, 1, id="bad"), waiting(troubled.hears_all, 1)
    engine.store.send([NewSignal("bad", "s", b"no seal")])
    durable.send(other, "s", 1)
    assert other.result(PATIENCE) == [1]
    assert isinstance(failure(handle).__cause__, SnapshotError)


def test_a_schedule_whose_arguments_are_damaged_stops_nothing_else(engine):
    """Its runs fail by name; other schedules and runs go on."""
    pytest.importorskip("cronsim")
    durable.schedule(troubled.gets, "* * * * *", 1, name="bad")
    durable.schedule(troubled.gets, "* * * * *", 2, name="good")
    spoil(engine, "UPDATE schedules SET next = 1, arguments = x'00' WHERE name = 'bad'")
    spoil(engine, "UPDATE schedules SET next = 1 WHERE name = 'good'")
    assert durable.start(troubled.gets, 3).result(PATIENCE) == 3
    until(lambda: len(engine.runs()) == 3)
    found = {run.id.partition("-")[0]: durable.Handle(run.id) for run in engine.runs()}
    assert found["good"].result(PATIENCE) == 2
    assert isinstance(failure(found["bad"]).__cause__, SnapshotError)
    assert all(schedule.next > time.time() for schedule in engine.store.schedules())


def test_a_schedule_whose_time_zone_is_not_here_stops_nothing_else(engine, caplog):
    """It waits for a worker that has the time zone; its worker says so once, goes on with all else, and does not spin."""
    pytest.importorskip("cronsim")
    durable.schedule(troubled.gets, "* * * * *", 1, name="away")
    spoil(engine, "UPDATE schedules SET next = 1, zone = 'Mars/Olympus' WHERE name = 'away'")
    durable.schedule(troubled.gets, "* * * * *", 2, name="here")
    spoil(engine, "UPDATE schedules SET next = 1 WHERE name = 'here'")
    assert durable.start(troubled.gets, 3).result(PATIENCE) == 3
    assert durable.start(troubled.gets, 4, queue="q").result(PATIENCE) == 4
    until(lambda: len(engine.runs()) == 3)
    looks = engine.store.now()
    until(lambda: engine.alarms._next is not None and engine.alarms._next > looks - 60)
    assert [r.getMessage().count("Mars/Olympus") for r in caplog.records if "away" in r.getMessage()] == [1]
    spoil(engine, "UPDATE schedules SET zone = 'UTC' WHERE name = 'away'")
    durable.start(troubled.gets, 5, queue="q").result(PATIENCE)
    until(lambda: any(run.id.startswith("away-") for run in engine.runs()))


# --- a disk that is full ----------------------------------------------------------------------------------------------

FULL = """
import logging, os, resource, sys, threading
import troubled
from stackful import StoreError, durable
from stackful.durable.starting import new_run

class Warnings(logging.Handler):
    def emit(self, record):
        print(record.getMessage(), file=sys.stderr)
        came.set()

came = threading.Event()
logging.getLogger("stackful.durable").addHandler(Warnings())
with durable.connect("runs.db") as engine:
    durable.start(troubled.grows, 1, 10).result(60)
    size = max(os.path.getsize(name) for name in ("runs.db", "runs.db-wal"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 200_000, resource.RLIM_INFINITY))
    begun = engine.start_all([new_run(engine, troubled.grows, (20, 20_000), {}, f"r{n}") for n in range(8)])
    print(came.wait(60) and sum(handle.run.steps for handle in begun) < 160)
    try:
        durable.start(troubled.gets, os.urandom(500_000))
    except StoreError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print([handle.result(60) for handle in begun])
    print([handle.run.steps for handle in begun])
"""


def test_a_full_disk_is_waited_for(tmp_path):
    """States that cannot be stored wait; when there is room again all runs go on, and come to their end."""
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}"}
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    waited, refused, results, steps = done.stdout.splitlines()
    assert waited == "True"
    assert "the disk" in refused
    assert results == str([20_000] * 8)
    assert steps == str([20] * 8)
    assert "are not stored yet, their runs wait" in done.stderr
    assert "Traceback" not in done.stderr


# --- clocks that are set ----------------------------------------------------------------------------------------------


@pytest.fixture
def clock(engine, monkeypatch):
    """The clock of the store: what is added to the time."""
    added, plain = [0.0], engine.store.now
    monkeypatch.setattr(engine.store, "now", lambda: plain() + added[0])

    def set_by(seconds):
        added[0] += seconds
        engine.alarms.hear("due")  # as any event does, and the hour that it looks at least

    return set_by


def test_a_sleep_whose_time_has_come_by_a_leap_of_the_clock_is_over(engine, clock):
    """The clock is set forward by a day."""
    handle = durable.start(troubled.naps, 86_000)
    until(lambda: handle.status is Status.SLEEPING)
    clock(86_400)
    assert handle.result(PATIENCE) < 10


def test_a_clock_that_is_set_back_makes_sleeps_longer_and_stops_nothing(engine, clock):
    """A sleep ends by the clock of the wall; what does not sleep goes on."""
    handle, deadline = durable.start(troubled.naps, 0.3), waiting(troubled.hears_all, 1, deadline=0.3)
    clock(-3600)
    assert durable.start(troubled.grows, 3, 10).result(PATIENCE) == 10
    time.sleep(0.5)
    assert handle.status is Status.SLEEPING
    assert deadline.status is Status.WAITING
    clock(3600)
    assert handle.result(PATIENCE) < PATIENCE
    assert deadline.wait(PATIENCE) is Status.CANCELLED


def test_a_queue_with_a_rate_goes_on_when_the_clock_is_set_back(engine, clock):
    """Runs that began in what is the future now count for as long as the rate says, and no run is begun twice."""
    engine.put_queue(durable.Queue("q", rate=(1, 60.0)))
    first, second = (durable.start(troubled.gets, number, queue="q") for number in range(2))
    assert first.result(PATIENCE) == 0
    clock(-30)
    time.sleep(0.2)
    assert second.status is Status.PENDING
    clock(100)
    assert second.result(PATIENCE) == 1


# --- what comes twice -------------------------------------------------------------------------------------------------


def test_a_signal_that_is_delivered_again_and_again_is_taken_in_once(engine):
    """By several senders at once, before and after it was consumed."""
    handle = waiting(troubled.hears_all, 3)
    taken = []

    def send(number):
        taken.append(engine.send(handle.id, "s", number, f"k{number}"))

    for number in range(3):
        senders = [threading.Thread(target=send, args=[number]) for _ in range(4)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        assert taken.count(True) == number + 1
    assert handle.result(PATIENCE) == [0, 1, 2]
    assert engine.send(handle.id, "s", 0, "k0") is False


def test_of_two_workers_that_have_one_run_one_commits_it(tmp_path, monkeypatch):
    """The first is late: the second has taken its run over while its step was under way, and what it does in the end is refused."""
    monkeypatch.chdir(tmp_path)
    with durable.connect("runs.db") as late:
        handle = late.start(new_run(late, troubled.holds, (), {}, "h"))
        until(lambda: (tmp_path / "held").exists())
        (tmp_path / "held").unlink()
        with durable.connect("runs.db") as other:
            with other.store._transaction() as db:
                other.store._free(db, late.worker)  # as when it is taken for dead
            other.alarms.hear("due")
            until(lambda: (tmp_path / "held").exists())
            assert handle.run.owner == other.worker
            commits = counted(monkeypatch, late.store, "commit")
            (tmp_path / "go").touch()
            assert handle.result(PATIENCE) == "done"
            until(lambda: commits and not late.active)
            assert handle.run.steps == 1


def test_a_worker_that_was_taken_for_dead_goes_on_with_nothing(engine, tmp_path):
    """As soon as it knows: the step that was under way is done again elsewhere, and the next one is not done here, too."""
    handle = durable.start(troubled.marks)
    until(lambda: (tmp_path / "held").exists())
    (tmp_path / "held").unlink()
    with engine.store._transaction() as db:
        engine.store._free(db, engine.worker)
    engine.taken_for_dead()  # and is another worker from now on, who takes the run up
    until(lambda: (tmp_path / "held").exists())
    (tmp_path / "go").touch()
    assert handle.result(PATIENCE) == "done"
    time.sleep(0.2)
    assert (tmp_path / "marks").read_text() == "m"


def test_a_run_that_is_cancelled_while_it_is_being_started_is_told(engine, monkeypatch):
    """Another process was so quick that the run was in the store already, and not in memory yet."""
    add_runs, looks = engine.store.add_runs, counted(monkeypatch, engine.store, "cancelled")

    def slow(*args):
        added = add_runs(*args)
        engine.store.cancel(added[0][0])
        until(lambda: looks)
        time.sleep(0.05)
        return added

    monkeypatch.setattr(engine.store, "add_runs", slow)
    assert durable.start(troubled.grows, 3, 10).wait(PATIENCE) is Status.CANCELLED
