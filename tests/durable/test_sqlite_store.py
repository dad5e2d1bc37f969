"""The store in one SQLite file: its records, its refusals, and what survives."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing

import pytest

from durable.commands import SOURCES
from stackful.durable.records import Worker
from stackful.durable.sqlite import SqliteStore
from stackful.durable.store import Run, SavedState, Status
from stackful.errors import RunNotFoundError, StoreError

STATE = SavedState(b"environment", b"program")


def a_run(run_id="one", **changes):
    values = dict(
        program="/s.py", argv=("s.py", "--x", ""), cwd="/", every=None, python="3.13.0", created=1.0, updated=1.0
    )
    return Run(run_id, **{**values, **changes})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture
def store(path):
    store = SqliteStore(path)
    yield store
    store.close()


def test_a_run_comes_back_as_it_was_added(path, store):
    """Another connection reads every field of a run, its source too."""
    store.add_run(a_run(every=2.5), b"\x00source")
    other = SqliteStore(path)
    assert other.run("one") == a_run(every=2.5)
    assert other.source(other.run("one")) == b"\x00source"
    other.close()


def test_runs_are_listed_newest_first(store):
    """The list begins with the run that was started last."""
    for number in range(3):
        store.add_run(a_run(f"r{number}", created=float(number)), b"")
    assert [run.id for run in store.runs()] == ["r2", "r1", "r0"]


def test_the_beginning_of_an_id_names_a_run(store):
    """A prefix will do when it fits one run, and a whole id fits even when it is the prefix of another."""
    for run_id in ("count-a", "count-b", "count"):
        store.add_run(a_run(run_id), b"")
    assert store.run("count-b").id == "count-b"
    assert store.run("count").id == "count"
    with pytest.raises(RunNotFoundError, match="'count-' is the start of several runs"):
        store.run("count-")


def test_an_unknown_id_is_refused_by_name(path, store):
    """The message names what was asked for, where it was sought, and the command that lists the runs."""
    with pytest.raises(RunNotFoundError, match=r"no run 'nine' in .*runs\.db; `stackful ps`"):
        store.run("nine")


def test_an_id_can_be_taken_once(store):
    """A second run of the same name is refused, and the first is as it was."""
    store.add_run(a_run(), b"first")
    with pytest.raises(StoreError, match="already a run called one"):
        store.add_run(a_run(), b"second")
    assert store.source(a_run()) == b"first"


def test_checkpoints_are_numbered_and_the_newest_two_kept(store):
    """Old checkpoints go in the transaction that brings a new one."""
    store.add_run(a_run(), b"")
    for number in range(1, 5):
        assert store.add_checkpoint("one", SavedState(b"e", b"p" * number)).seq == number
    kept = store.checkpoints("one")
    assert [(c.seq, c.size) for c in kept] == [(4, 5), (3, 4)]
    assert store.load(kept[0]) == SavedState(b"e", b"pppp")


def test_a_finished_run_keeps_no_checkpoints(store):
    """What has finished cannot be resumed, and its checkpoints take no room; a failed run keeps them."""
    for run_id, status in (("one", Status.FINISHED), ("two", Status.FAILED)):
        store.add_run(a_run(run_id), b"")
        store.add_checkpoint(run_id, STATE)
        store.set_status(run_id, status, 3)
    assert (store.checkpoints("one"), len(store.checkpoints("two"))) == ([], 1)
    assert (store.run("two").status, store.run("two").exit_status) == (Status.FAILED, 3)


def test_a_missing_store_is_made_only_when_wanted(path):
    """Asking about runs leaves no file behind."""
    with pytest.raises(StoreError, match="no store of runs"):
        SqliteStore(path, create=False)
    assert not path.exists()


def test_an_empty_file_becomes_a_store(path):
    """A crash between making the file and its first transaction is no damage."""
    path.touch()
    SqliteStore(path).close()
    SqliteStore(path, create=False).close()


def test_opening_a_store_writes_nothing(path):
    """Once it is made, a store is read before a run is recorded: nothing goes to the disk, and nobody waits for it."""
    SqliteStore(path).close()
    with closing(SqliteStore(path)):
        assert path.with_name("runs.db-wal").stat().st_size == 0
    with closing(sqlite3.connect(path)) as looked_at:
        assert looked_at.execute("PRAGMA auto_vacuum").fetchone() == (2,)  # incremental


def flushes(store, operation):
    """Whether a commit of this operation waited until it was on the disk."""
    seen = []
    store._synchronous = ""
    store._db.set_trace_callback(seen.append)
    operation()
    store._db.set_trace_callback(None)
    return [text.endswith("FULL") for text in seen if text.startswith("PRAGMA synchronous")]


def test_what_can_be_resumed_is_on_the_disk(path, store):
    """A checkpoint, and how a run that has one stands, survive a power cut; a run without one has nothing to lose."""
    assert flushes(store, lambda: store.add_run(a_run(), b"")) == [False]
    assert flushes(store, lambda: store.set_status("one", Status.INTERRUPTED)) == [False]
    assert flushes(store, lambda: store.add_checkpoint("one", STATE)) == [True]
    assert flushes(store, lambda: store.set_status("one", Status.FINISHED, 0)) == [True]


def test_a_text_file_is_refused_and_left_alone(path):
    """What is no database is named as such and keeps its bytes."""
    path.write_bytes(b"dear diary, " * 1000)
    with pytest.raises(StoreError, match="it is no SQLite file"):
        SqliteStore(path)
    assert path.read_bytes() == b"dear diary, " * 1000


def test_another_programs_database_is_refused_and_left_alone(path):
    """An SQLite file with other tables is not ours, and keeps its bytes."""
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE friends (name)")
    foreign.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="an SQLite file of another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_later_versions_store_is_refused(path, store):
    """A store with migrations that this version does not know is not touched."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="a later version of Stackful"):
        SqliteStore(path)


def test_a_damaged_store_is_recognised(path):
    """Overwritten pages are reported as damage, in one sentence."""
    store = SqliteStore(path)
    store.add_run(a_run(), b"x" * 100_000)
    store.close()
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)
    with pytest.raises(StoreError, match="the file is damaged"), closing(SqliteStore(path)) as damaged:
        damaged.runs()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """The message says what to check."""
    with pytest.raises(StoreError, match="cannot be opened; check that its folder exists"):
        SqliteStore(tmp_path / "nowhere" / "runs.db")


def test_a_store_that_stays_locked_is_reported(path, store, monkeypatch):
    """Another program's endless transaction ends the patience, not the last good state."""
    store.add_run(a_run(), b"")
    store.add_checkpoint("one", STATE)
    monkeypatch.setattr("stackful.durable.sqlite.database._PATIENCE", 0.05)
    hasty = SqliteStore(path)
    store._db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another program holds it locked"):
        hasty.add_checkpoint("one", STATE)
    store._db.execute("ROLLBACK")
    assert hasty.add_checkpoint("one", STATE).seq == 2
    hasty.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a file immutable for itself, others use permissions")
def test_a_read_only_database_is_reported(path, store):
    """A connection that may not write says so."""
    store.add_run(a_run(), b"")
    store._db.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="it is read-only"):
        store.add_checkpoint("one", STATE)


def test_a_full_disk_leaves_the_last_checkpoint_intact(tmp_path):
    """When the file may not grow, the checkpoint fails with one sentence and the earlier one is still there."""
    program = """
        import resource, sys
        from pathlib import Path
        from stackful.durable.sqlite import SqliteStore
        from stackful.durable.store import Run, SavedState
        from stackful.errors import StoreError
        store = SqliteStore(Path("runs.db"))
        store.add_run(Run("one", "s", (), "/", None, "3", 1.0), b"")
        store.add_checkpoint("one", SavedState(b"good", b"state"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        for attempt in range(2):
            try:
                store.add_checkpoint("one", SavedState(b"e", bytes(1_000_000)))
            except StoreError as error:
                print(error)
        store.add_checkpoint("one", SavedState(b"small", b"fits"))
        print([store.load(c) for c in store.checkpoints("one")])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": SOURCES}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, second, states = done.stdout.splitlines()
    assert first == second
    assert "the disk" in first
    small = SavedState(b"small", b"fits")
    assert states == repr([small, SavedState(b"good", b"state")])


def test_migrations_lead_from_every_version_to_the_newest(path, monkeypatch):
    """A store of an earlier version is brought up to date when it is opened, with its runs."""
    store = SqliteStore(path)
    store.add_run(a_run(), b"kept")
    store.close()
    from stackful.durable.sqlite import database

    monkeypatch.setattr(database, "MIGRATIONS", [*database.MIGRATIONS, "ALTER TABLE runs ADD COLUMN note TEXT; "])
    newer = SqliteStore(path)
    assert newer.run("one") == a_run()
    assert newer._db.execute("SELECT note FROM runs").fetchall() == [(None,)]
    newer.close()


def test_a_store_of_scripts_alone_is_brought_up_to_date(path):
    """Runs and checkpoints that the first version of the store holds are there afterwards, bytes and all."""
    from stackful.durable.sqlite import schema

    old = sqlite3.connect(path)
    old.executescript(schema.MIGRATIONS[0])
    old.execute(
        "INSERT INTO runs VALUES ('one', '/s.py', ?, '/', 2.5, '3.13.0', 1.0, 'failed', 1, 2.0, x'00ff')", ["s.py\0--x"]
    )
    old.execute("INSERT INTO checkpoints VALUES ('one', 3, 1.5, 5, x'00', x'ff00ff00')")
    old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    with closing(SqliteStore(path)) as store:
        run = store.run("one")
        assert (run.program, run.argv, run.every, run.kind) == ("/s.py", ("s.py", "--x"), 2.5, "script")
        assert (run.status, run.exit_status, run.updated) == (Status.FAILED, 1, 2.0)
        assert store.source(run) == b"\x00\xff"
        (checkpoint,) = store.checkpoints("one")
        assert store.load(checkpoint) == SavedState(b"\x00", b"\xff\x00\xff\x00")
        assert store._db.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_store_that_another_process_is_making_is_no_file_of_another_program(tmp_path, monkeypatch):
    """What says whose file it is, is read at one moment."""
    path = tmp_path / "runs.db"
    plain = SqliteStore._pragma
    others = []

    def make():
        SqliteStore(path).close()

    def pragma(store, name):
        value = plain(store, name)
        if not others:
            others.append(threading.Thread(target=make))
            others[0].start()
            others[0].join(1)  # it has to wait where all is well
        return value

    monkeypatch.setattr(SqliteStore, "_pragma", pragma)
    SqliteStore(path).close()
    others[0].join()
    assert path.exists()


def test_writers_in_several_processes_wait_for_one_another(tmp_path):
    """Processes that write at once all get through."""
    program = """
        import sys
        from pathlib import Path
        from stackful.durable.sqlite import SqliteStore
        from stackful.durable.store import Run, SavedState
        store = SqliteStore(Path("runs.db"))
        store.add_run(Run(sys.argv[1], "s", (), "/", None, "3", 1.0), b"")
        for _ in range(20):
            store.add_checkpoint(sys.argv[1], SavedState(b"e", b"p"))
    """
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    processes = [subprocess.Popen([*command, f"r{n}"], cwd=tmp_path, env=environment) for n in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    store = SqliteStore(tmp_path / "runs.db")
    assert [store.checkpoints(f"r{n}")[0].seq for n in range(3)] == [20, 20, 20]
    store.close()


def test_a_worker_joins_without_waiting_for_the_disk_only_where_the_log_is_empty(tmp_path, monkeypatch):
    """Whatever comes after it waits for the disk again."""
    said = []
    plain = SqliteStore._be

    def be(self, synchronous):
        said.append(synchronous)
        plain(self, synchronous)

    monkeypatch.setattr(SqliteStore, "_be", be)
    with closing(SqliteStore(tmp_path / "runs.db")):
        pass  # the tables are made
    said.clear()
    with closing(SqliteStore(tmp_path / "runs.db")) as store, closing(SqliteStore(tmp_path / "runs.db")) as other:
        store.join(Worker("w1", "here", 1, store.now()))
        assert said == ["OFF", "NORMAL"]
        other.join(Worker("w2", "here", 1, store.now()))
        assert said[2:] == ["OFF", "NORMAL", "NORMAL"]
        assert [store._pragma("synchronous"), other._pragma("synchronous")] == [1, 1]
        assert [worker.id for worker in store.workers()] == ["w1", "w2"]
