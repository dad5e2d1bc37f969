"""An SQLite file that is a store: opened, brought up to date, and written to in transactions that end on the disk."""

from __future__ import annotations

import _thread
import os
import sqlite3
import time
from contextlib import contextmanager

from stackful.durable.sqlite.schema import APPLICATION_ID, MIGRATIONS, statements
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

__all__ = ["Database"]

# Seconds to wait for another process's transaction.
_PATIENCE = 10.0

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

# These say that it can perhaps be read all the same.
_DENIED = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")

# These say that the database is well, and what was to be written is not.
_FINAL = ("SQLITE_TOOBIG", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH")


class Database:
    """The file, and one connection to it that threads take turns with.

    Args:
        path: the file; made when ``create`` is true and it is not there.
        create: False to require an existing store.

    Attributes:
        path: the file.
        is_read_only: whether this process may only read it.

    Raises:
        StoreError: the file is damaged, belongs to another program or to a later Stackful, or cannot be opened.
    """

    def __init__(self, path: str | PathLike[str], create: bool = True) -> None:
        self.path = os.fspath(path)
        self._lock = _thread.RLock()
        self._synchronous = ""
        if not create and not os.path.exists(path):
            raise StoreError(f"there is no store of runs at {path}; start a run first, or name the store with --store")
        self._how = ""
        self._open()

    @property
    def is_read_only(self) -> bool:
        """Whether this process may only read it."""
        return bool(self._how) or not os.access(self.path, os.W_OK)

    def _open(self) -> None:
        try:
            self._open_so("")
        except StoreError as error:
            if not _is_denied(error) or _may_write(self.path):
                raise
            self._open_to_read()

    def _open_so(self, how: str) -> None:
        self._how = how
        self._db = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _open_to_read(self) -> None:
        """Readers take part in the log, for which they need its index; where that cannot be made the file alone must be all that there is."""
        try:
            self._open_so("mode=ro")
        except StoreError as error:
            if not _is_denied(error):
                raise
            if _size(f"{self.path}-wal"):
                raise StoreError(
                    f"the store {self.path} cannot be read here: the log beside it, {self.path}-wal, has to be written into it first;"
                    " open it once where it can be written, or copy both files to where you may write"
                ) from error
            self._open_so("immutable=1")

    def now(self) -> float:
        """The clock of this machine, which all processes that use the file share."""
        return time.time()

    def close(self) -> None:
        """Let go of the file."""
        with self._lock, self._explained():
            self._db.close()

    def _connect(self) -> sqlite3.Connection:
        with self._explained():
            # No isolation level: transactions begin where _transaction says, not where sqlite3 guesses.
            name = f"{_uri(self.path)}?{self._how}" if self._how else self.path
            return sqlite3.connect(
                name, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, uri=bool(self._how)
            )

    def _prepare(self) -> None:
        """Look before writing anything: a file of somebody else's stays untouched to the byte."""
        with self._explained():
            self._db.execute("BEGIN")  # all three at one moment: another process may be making the store
            owner = self._pragma("application_id")
            tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            version = self._pragma("user_version")
            self._db.execute("COMMIT")
        if owner != APPLICATION_ID and (owner or tables or version):
            raise StoreError(f"{self.path} is an SQLite file of another program; choose another path with --store")
        if version > len(MIGRATIONS):
            raise StoreError(f"{self.path} was made by a later version of Stackful; upgrade this one")
        if self._how:
            if version < len(MIGRATIONS):
                raise StoreError(
                    f"{self.path} was made by an earlier version of Stackful and has to be brought up to date, but is read-only; open it once"
                    " where it can be written"
                )
            return
        with self._explained():
            # Takes effect in a new file only, and would be a write, and a wait for the disk, in every other.
            if not version:
                self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA journal_size_limit = 67108864")
        if version < len(MIGRATIONS):
            self._migrate()
        with self._explained():
            self._db.execute("PRAGMA foreign_keys = ON")

    def _migrate(self) -> None:
        with self._transaction():
            # Another process may have been first: only inside the transaction is the version certain.
            for number, script in list(enumerate(MIGRATIONS))[self._pragma("user_version") :]:
                for statement in statements(script):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {number + 1}")
            self._db.execute(f"PRAGMA application_id = {APPLICATION_ID}")

    def _pragma(self, name: str) -> int:
        value: int = self._db.execute(f"PRAGMA {name}").fetchone()[0]
        return value

    @contextmanager
    def _transaction(self, is_durable: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing; and what is durable is on the disk when this ends, with all that came before it."""
        with self._lock, self._explained():
            self._be("FULL" if is_durable else "NORMAL")
            self._db.execute("BEGIN IMMEDIATE")
            with self._all_or_nothing():
                yield self._db

    @contextmanager
    def _first_transaction(self) -> Iterator[sqlite3.Connection]:
        """One that need not be durable, most often the first in a new log: it leaves it to the next durable one to wait for the new file.

        Only where nobody has written to the log: in one that is begun anew from the start, an order of writes that nobody waited for could damage
        the database. (SQLite 3.40.1 src/wal.c, sqlite3WalFrames: on syncHeader.) Nobody writes between the look and our commit.
        """
        with self._lock, self._explained():
            self._be("OFF")  # cannot be said within a transaction
            try:
                self._db.execute("BEGIN IMMEDIATE")
                if not self._is_log_empty():
                    self._db.execute("ROLLBACK")
                    self._be("NORMAL")
                    self._db.execute("BEGIN IMMEDIATE")
                with self._all_or_nothing():
                    yield self._db
            finally:
                self._be("NORMAL")

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # SQLite may have rolled back on its own
                self._db.execute("ROLLBACK")
            raise

    def _is_log_empty(self) -> bool:
        return _size(f"{self.path}-wal") == 0  # there is none where the file system cannot have one

    def _be(self, synchronous: str) -> None:
        if self._synchronous != synchronous:
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            self._synchronous = synchronous

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Read with one statement. Several threads may not have cursors at work on one connection."""
        with self._lock, self._explained():
            yield self._db

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one sentence what SQLite says in a code."""
        try:
            yield
        except sqlite3.Error as error:
            is_final = (getattr(error, "sqlite_errorname", "") or "").startswith(_FINAL)
            raise StoreError(f"the store {self.path} cannot be used: {_reason(error)}", is_final=is_final) from error


def _size(path: str) -> int | None:
    try:
        return os.path.getsize(path)
    except OSError:
        return None


def _uri(path: str) -> str:
    return "file:" + path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _is_denied(error: StoreError) -> bool:
    return (getattr(error.__cause__, "sqlite_errorname", "") or "").startswith(_DENIED)


def _may_write(path: str) -> bool:
    """Whether the file can be written, and others be made beside it."""
    return os.access(path, os.W_OK) and os.access(os.path.dirname(os.path.abspath(path)), os.W_OK)


def _reason(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "") or ""
    for prefix, reason in _REASONS.items():
        if name.startswith(prefix):
            return reason
    return f"SQLite says: {error}"
