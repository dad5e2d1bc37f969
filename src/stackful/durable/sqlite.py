"""Runs in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager

from stackful.durable.store import Checkpoint, Run, SavedState, Status
from stackful.errors import RunNotFoundError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from typing import Any

__all__ = ["SqliteStore"]

# "Stkf": says in the file's header whose it is.
_APPLICATION_ID = 0x53746B66

# Seconds to wait for another process's transaction.
_PATIENCE = 10.0

# How many checkpoints a run keeps: one more than needed, should the newest prove damaged.
_KEPT = 2

# The n-th entry leads from user_version n to n + 1. Published entries never change.
_MIGRATIONS = [
    """
    CREATE TABLE runs (
        id TEXT PRIMARY KEY, script TEXT NOT NULL, argv TEXT NOT NULL, cwd TEXT NOT NULL, every REAL,
        python TEXT NOT NULL, created REAL NOT NULL, status TEXT NOT NULL, exit_status INTEGER,
        updated REAL NOT NULL, source BLOB NOT NULL
    );
    CREATE TABLE checkpoints (
        run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, taken REAL NOT NULL,
        size INTEGER NOT NULL, environment BLOB NOT NULL, program BLOB NOT NULL, PRIMARY KEY (run, seq)
    );
    """,
]

_RUN_COLUMNS = "id, script, argv, cwd, every, python, created, status, exit_status, updated"

_REASONS = {
    "SQLITE_FULL": "the disk is full; free some space",
    "SQLITE_IOERR": "the disk refused a read or a write (is it full, or is there a limit on file sizes?)",
    "SQLITE_READONLY": "it is read-only; make the file and its folder writable, or choose another with --store",
    "SQLITE_BUSY": "another program holds it locked; try again when that has ended",
    "SQLITE_LOCKED": "another program holds it locked; try again when that has ended",
    "SQLITE_CANTOPEN": "it cannot be opened; check that its folder exists and is writable",
    "SQLITE_NOTADB": "it is no SQLite file; choose another path with --store",
    "SQLITE_CORRUPT": "the file is damaged; move it away, or restore it from a backup",
    "SQLITE_TOOBIG": "the checkpoint is larger than SQLite can hold (1 GB)",
    "SQLITE_PERM": "access is denied; check the permissions of the file and its folder",
    "SQLITE_AUTH": "access is denied; check the permissions of the file and its folder",
}


class SqliteStore:
    """A :class:`stackful.durable.store.Store` in one file, safe against power loss and used by many processes.

    Args:
        path: the file; made when ``create`` is true and it is not there.
        create: False to require an existing store.

    Raises:
        StoreError: the file is damaged, belongs to another program or to a later Stackful, or cannot be opened.

    Example:
        >>> store = SqliteStore(Path(".stackful/runs.db"))  # doctest: +SKIP
        >>> [run.id for run in store.runs()]  # doctest: +SKIP
        ['crossref-k3f9']
    """

    def __init__(self, path: str | PathLike[str], create: bool = True) -> None:
        self.path = os.fspath(path)
        if not create and not os.path.exists(path):
            raise StoreError(f"there is no store of runs at {path}; start a run first, or name the store with --store")
        with self._explained():
            # No isolation level: transactions begin where _transaction says, not where sqlite3 guesses.
            self._db = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def close(self) -> None:
        """Let go of the file."""
        with self._explained():
            self._db.close()

    def add_run(self, run: Run, source: bytes) -> None:
        """Record a new run of a script with this source; StoreError if its id is taken."""
        row = [*_row_of(run), source]
        with self._transaction(is_durable=False):  # until there is a checkpoint, there is nothing to be lost
            if self._db.execute("SELECT 1 FROM runs WHERE id = ?", [run.id]).fetchone():
                raise StoreError(f"there is already a run called {run.id} in {self.path}; choose another --name")
            self._db.execute(f"INSERT INTO runs ({_RUN_COLUMNS}, source) VALUES ({', '.join('?' * len(row))})", row)

    def source(self, run: Run) -> bytes:
        """The script as it was when the run started."""
        with self._explained():
            source: bytes = self._db.execute("SELECT source FROM runs WHERE id = ?", [run.id]).fetchone()[0]
        return source

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts so."""
        found = [run for run in self.runs() if run.id.startswith(run_id)]
        exact = [run for run in found if run.id == run_id]
        if len(found) > 1 and not exact:
            names = ", ".join(run.id for run in found)
            raise RunNotFoundError(f"{run_id!r} is the start of several runs: {names}; give more of the id")
        if not found:
            raise RunNotFoundError(f"there is no run {run_id!r} in {self.path}; `stackful ps` lists them all")
        return (exact or found)[0]

    def runs(self) -> list[Run]:
        """All runs, the newest first."""
        with self._explained():
            rows = self._db.execute(f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY created DESC, rowid DESC").fetchall()
        return [_run_of(row) for row in rows]

    def set_status(self, run_id: str, status: Status, exit_status: int | None = None) -> None:
        """Record how a run stands; a finished run's checkpoints are of no use and dropped."""
        with self._transaction(is_durable=bool(self.checkpoints(run_id))):
            self._db.execute(
                "UPDATE runs SET status = ?, exit_status = ?, updated = ? WHERE id = ?",
                [status.value, exit_status, time.time(), run_id],
            )
            if status is Status.FINISHED:
                self._db.execute("DELETE FROM checkpoints WHERE run = ?", [run_id])
        with self._explained():
            # A step frees a page and yields a row without columns, which a cursor cannot read (debug builds of CPython abort).
            self._db.executescript("PRAGMA incremental_vacuum")

    def add_checkpoint(self, run_id: str, state: SavedState) -> Checkpoint:
        """Record a state and drop those that are too old, in one transaction."""
        now = time.time()
        with self._transaction():
            (last,) = self._db.execute("SELECT max(seq) FROM checkpoints WHERE run = ?", [run_id]).fetchone()
            seq = (last or 0) + 1
            row = [run_id, seq, now, state.size, state.environment, state.program]
            self._db.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?)", row)
            self._db.execute("DELETE FROM checkpoints WHERE run = ? AND seq <= ?", [run_id, seq - _KEPT])
            self._db.execute("UPDATE runs SET updated = ? WHERE id = ?", [now, run_id])
        return Checkpoint(run_id, seq, now, state.size)

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """The checkpoints of a run, the newest first."""
        query = "SELECT run, seq, taken, size FROM checkpoints WHERE run = ? ORDER BY seq DESC"
        with self._explained():
            return [Checkpoint(*row) for row in self._db.execute(query, [run_id]).fetchall()]

    def load(self, checkpoint: Checkpoint) -> SavedState:
        """The bytes of a checkpoint."""
        query = "SELECT environment, program FROM checkpoints WHERE run = ? AND seq = ?"
        with self._explained():
            row = self._db.execute(query, [checkpoint.run, checkpoint.seq]).fetchone()
        if row is None:
            raise StoreError(f"checkpoint {checkpoint.seq} of {checkpoint.run} is no longer in {self.path}")
        return SavedState(*row)

    def _prepare(self) -> None:
        """Look before writing anything: a file of somebody else's stays untouched to the byte."""
        with self._explained():
            self._db.execute("BEGIN")  # all three at one moment: another process may be making the store
            owner = self._pragma("application_id")
            tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            version = self._pragma("user_version")
            self._db.execute("COMMIT")
        if owner != _APPLICATION_ID and (owner or tables or version):
            raise StoreError(f"{self.path} is an SQLite file of another program; choose another path with --store")
        if version > len(_MIGRATIONS):
            raise StoreError(f"{self.path} was made by a later version of Stackful; upgrade this one")
        with self._explained():
            if (
                not version
            ):  # takes effect in a new file only, and would be a write, and a wait for the disk, in every other
                self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._configure()
        if version < len(_MIGRATIONS):
            self._migrate()

    def _configure(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA journal_size_limit = 67108864")

    def _migrate(self) -> None:
        with self._transaction():
            # Another process may have been first: only inside the transaction is the version certain.
            for number, script in list(enumerate(_MIGRATIONS))[self._pragma("user_version") :]:
                for statement in script.split(";"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number + 1}")
            self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")

    def _pragma(self, name: str) -> int:
        value: int = self._db.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self, is_durable: bool = True) -> Iterator[None]:
        """All or nothing; and what is durable is on the disk when this ends, with all that came before it."""
        with self._explained():
            self._db.execute(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # SQLite may have rolled back on its own
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one sentence what SQLite says in a code."""
        try:
            yield
        except sqlite3.Error as error:
            raise StoreError(f"the store {self.path} cannot be used: {_reason(error)}") from error


def _reason(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, reason in _REASONS.items():
        if name.startswith(prefix):
            return reason
    return f"SQLite says: {error}"


def _row_of(run: Run) -> list[Any]:
    return [
        run.id, run.program, "\0".join(run.argv), run.cwd, run.every, run.python, run.created, run.status.value,
        run.exit_status, run.updated or run.created,
    ]  # fmt: skip


def _run_of(row: tuple[Any, ...]) -> Run:
    run_id, script, argv, cwd, every, python, created, status, exit_status, updated = row
    arguments = tuple(argv.split("\0"))
    return Run(run_id, script, arguments, cwd, every, python, created, Status(status), exit_status, updated)
