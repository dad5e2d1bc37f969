"""A transaction that a run's own code shares with the store."""

from __future__ import annotations

import sqlite3

from stackful.durable.sqlite.schema import OWN_TABLES
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Self

    from stackful.durable.records import Change, Save
    from stackful.durable.store import Checkpoint, SavedState

__all__ = ["SharedTransaction"]

_WRITES = {sqlite3.SQLITE_INSERT: "insert into", sqlite3.SQLITE_UPDATE: "update", sqlite3.SQLITE_DELETE: "delete from"}
_CHANGES = frozenset(
    {sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_TRIGGER}
)


class SharedTransaction:
    """One transaction on a connection of its own.

    Args:
        db: the connection; it is closed at the end.
        save_all: writes states with it, as `Claims.commit` does; tells whom to wake.
        add_checkpoint: writes a script's state, as `Store.add_checkpoint` does.
        explained: turns what SQLite raises into StoreError.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        save_all: Callable[[sqlite3.Connection, list[Save], list[tuple[str, str]]], list[str]],
        add_checkpoint: Callable[..., Checkpoint],
        explained: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.connection = db
        self.told: list[tuple[str, str]] = []
        self.refusal: str | None = None
        self._save_all, self._add_checkpoint, self._explained = save_all, add_checkpoint, explained
        self._is_saved = False

    def __enter__(self) -> Self:
        with self._explained():
            self.connection.execute("PRAGMA foreign_keys = ON")
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.set_authorizer(self._authorize)
        return self

    def save(self, save: Save) -> bool:
        """Put a state in, to be committed with all the rest; False if the fence is lost."""
        with self._explained():
            self.connection.set_authorizer(None)
            self._is_saved = not self._save_all(self.connection, [save], self.told)
        return self._is_saved

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """The same for a script's run."""
        with self._explained():
            self.connection.set_authorizer(None)
            added = self._add_checkpoint(self.connection, run_id, state, change, self.told)
        self._is_saved = True
        return added

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            with self._explained():
                self.connection.set_authorizer(None)
                if self._is_saved and error is None:
                    self.connection.execute("COMMIT")
                else:
                    self.told.clear()
                    if self.connection.in_transaction:
                        self.connection.execute("ROLLBACK")
        finally:
            self.connection.close()
        if isinstance(error, sqlite3.DatabaseError) and self.refusal:
            raise StoreError(self.refusal) from error

    def _authorize(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_TRANSACTION:
            self.refusal = (
                f"{first} is not for the code within transaction(): the store commits what it did together with the"
                " state of the run; return to commit, raise to roll back"
            )
        elif action in _WRITES and first in OWN_TABLES:
            self.refusal = (
                f"the code within transaction() may not {_WRITES[action]} the table {first}: it belongs to the store"
            )
        elif action in _CHANGES and (first in OWN_TABLES or second in OWN_TABLES):
            self.refusal = "the code within transaction() may not change the tables of the store"
        else:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY
