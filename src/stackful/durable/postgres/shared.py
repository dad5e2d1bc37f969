"""A transaction that a run's own code shares with the store.

While that code is at work the setting ``stackful.shared`` is on: triggers refuse it the store's tables, and a row in ``guards`` makes a
commit fail that is not the store's. A rollback cannot be refused; it shows by the transaction's number, and the state is not saved then.
"""

from __future__ import annotations

from typing import NoReturn, Self

import psycopg

from stackful.durable.postgres.saving import save_all
from stackful.durable.postgres.scripts import add_checkpoint
from stackful.durable.postgres.statements import Batch, Session
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from stackful.durable.postgres.sessions import Sessions
    from stackful.durable.records import Change, Save
    from stackful.durable.store import Checkpoint, SavedState

__all__ = ["SharedConnection", "SharedTransaction"]

_ENDED = (
    "{} is not for the code within transaction(): the store commits what it did together with the state of the run; "
    "return to commit, raise to roll back"
)
# What the triggers raise; see `schema.py`.
_REFUSALS = {
    "SF001": "the code within transaction() may not write to the tables of the store",
    "SF002": _ENDED.format("COMMIT"),
}


class SharedConnection(Session):
    """What the code of a run gets: psycopg's connection, that does not end its transaction."""

    def commit(self) -> NoReturn:
        """Refused."""
        raise StoreError(_ENDED.format("COMMIT"))

    def rollback(self) -> NoReturn:
        """Refused."""
        raise StoreError(_ENDED.format("ROLLBACK"))

    def end(self, how: str) -> None:
        """End the transaction, by the store."""
        self.execute(how)


class SharedTransaction:
    """One transaction on a connection of its own.

    Args:
        sessions: where the connection comes from.
    """

    connection: SharedConnection

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._is_saved = False
        self.connection = sessions.connect_as(SharedConnection)
        try:
            with sessions.explained():
                self.connection.execute("INSERT INTO stackful.guards DEFAULT VALUES; SET LOCAL stackful.shared = 'on'")
                self._number = self._transaction()
        except BaseException:
            self.connection.close()
            raise

    def save(self, save: Save) -> bool:
        """Put a state in, to be committed with all the rest; False if the fence is lost."""
        with self._sessions.explained():
            self._end_sharing()
            batch = Batch(self.connection)
            lost = save_all(batch, [save])
            batch.sync()
            self._is_saved = not lost()
        return self._is_saved

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """The same for a script's run."""
        with self._sessions.explained():
            self._end_sharing()
            batch = Batch(self.connection)
            added = add_checkpoint(batch, run_id, state, change)()
            batch.sync()
        self._is_saved = True
        return added

    def _end_sharing(self) -> None:
        if self._transaction() != self._number:
            raise StoreError(_ENDED.format("ROLLBACK"))
        self.connection.execute("SET LOCAL stackful.shared = 'off'")
        self.connection.execute("DELETE FROM stackful.guards")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if error is None:
                with self._sessions.explained():
                    self._commit()
        finally:
            self.connection.close()
        if isinstance(error, psycopg.Error) and error.sqlstate in _REFUSALS:
            raise StoreError(_REFUSALS[error.sqlstate]) from error

    def _commit(self) -> None:
        if not self._is_saved:
            if self.connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE:
                raise StoreError(_ENDED.format("ROLLBACK"))
            return
        try:
            self.connection.end("COMMIT")
        except psycopg.OperationalError:
            if not self._sessions.was_committed(self._number, self.connection.info.backend_pid):
                raise

    def _transaction(self) -> str:
        row = self.connection.execute("SELECT pg_current_xact_id_if_assigned()::text").fetchone()
        return str(row and row[0])
