"""Runs in one SQLite file.

`schema` is the tables, `database` the file and its transactions, `rows` the runs, `claims` who works on them, `shared` the transactions that
runs take part in, `workers` the processes, `wakeups` how they hear of one another.
"""

from __future__ import annotations

import time

from stackful.durable.sqlite.rows import SHARED
from stackful.durable.sqlite.workers import Workers
from stackful.durable.store import ENDED, Checkpoint, Run, SavedState, Status
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from sqlite3 import Connection

    from stackful.durable.records import Change, State

__all__ = ["SqliteStore"]

# How many checkpoints a script's run keeps: one more than needed, should the newest prove damaged.
_KEPT = 2


class SqliteStore(Workers):
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

    # --- scripts ------------------------------------------------------------------------------------------------------

    def add_run(self, run: Run, source: bytes) -> None:
        """Record a new run of a script with this source; StoreError if its id is taken."""
        with self._transaction(is_durable=False) as db:  # until there is a checkpoint, there is nothing to be lost
            if db.execute("SELECT 1 FROM runs WHERE id = ?", [run.id]).fetchone():
                raise StoreError(f"there is already a run called {run.id} in {self.path}; choose another --name")
            self._insert_row(db, run, source=source)

    def set_status(self, run_id: str, status: Status, exit_status: int | None = None) -> None:
        """Record how a script's run stands; the checkpoints of one that finished, or was cancelled, are of no use and dropped."""
        told = [("ended", run_id), ("due", "")] if status in ENDED else []
        with self._transaction(is_durable=bool(self.checkpoints(run_id))) as db:
            now = self.now()
            db.execute(
                "UPDATE runs SET status = ?, exit_status = ?, updated = ? WHERE id = ?",
                [status.value, exit_status, now, run_id],
            )
            if status in ENDED - {Status.FAILED}:
                db.execute("DELETE FROM checkpoints WHERE run = ?", [run_id])
                self._drop_blobs(db, run_id, 0, (), is_end=True)
            if status in ENDED:
                self._end(db, run_id, status, now)
        self._shrink()
        self._tell_all(told)

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """Record a script's state, with what else changes, and drop those that are too old, in one transaction."""
        told: list[tuple[str, str]] = []
        with self._transaction() as db:
            added = self._add_checkpoint(db, run_id, state, change, told)
        self._tell_all(told)
        return added

    def _add_checkpoint(
        self, db: Connection, run_id: str, state: SavedState, change: Change | None, told: list[tuple[str, str]]
    ) -> Checkpoint:
        now = time.time()
        (last,) = db.execute("SELECT max(seq) FROM checkpoints WHERE run = ?", [run_id]).fetchone()
        seq = (last or 0) + 1
        db.execute(
            "INSERT INTO checkpoints (run, seq, taken, size, environment, data) VALUES (?, ?, ?, ?, ?, ?)",
            [run_id, seq, now, state.size, state.environment, state.program],
        )
        db.execute("DELETE FROM checkpoints WHERE run = ? AND seq <= ?", [run_id, seq - _KEPT])
        if state.blobs:
            self._keep_blobs(db, run_id, seq, state.blobs)
        self._drop_blobs(db, run_id, seq, state.unused or ())
        db.execute("UPDATE runs SET updated = ? WHERE id = ?", [now, run_id])
        if change is not None:
            self._change_script(db, run_id, change, now, told)
        return Checkpoint(run_id, seq, now, state.size)

    def load(self, checkpoint: Checkpoint) -> SavedState:
        """The bytes of a script's checkpoint."""
        query = "SELECT environment, data FROM checkpoints WHERE run = ? AND seq = ?"
        with self._reading() as db:
            row = db.execute(query, [checkpoint.run, checkpoint.seq]).fetchone()
        if row is None:
            raise StoreError(f"checkpoint {checkpoint.seq} of {checkpoint.run} is no longer in {self.path}")
        return SavedState(*row)

    # --- states -------------------------------------------------------------------------------------------------------

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """The checkpoints of a run, the newest first."""
        query = (
            f"SELECT run, seq, taken, size + {SHARED.format('c')} FROM checkpoints c WHERE run = ? UNION"
            f" SELECT run, seq, taken, length(data) + {SHARED.format('s')} FROM states s WHERE run = ? AND data IS NOT NULL"
            " ORDER BY seq DESC"
        )
        with self._reading() as db:
            found = [Checkpoint(*row) for row in db.execute(query, (run_id, run_id))]
        return list({checkpoint.seq: checkpoint for checkpoint in reversed(found)}.values())[::-1]

    def state(self, run_id: str) -> State | None:
        """The last state of a run, with its data."""
        query = "SELECT run, seq, steps, step, line, taken, data FROM states WHERE run = ? AND data IS NOT NULL"
        with self._reading() as db:
            row = db.execute(query, [run_id]).fetchone()
        return None if row is None else _state_of(row)

    def load_state(self, run_id: str, seq: int) -> State:
        """A checkpoint of a function's run with its data."""
        last = self.state(run_id)
        if last is not None and last.seq == seq:
            return last
        query = "SELECT run, seq, steps, step, line, taken, data FROM checkpoints WHERE run = ? AND seq = ?"
        with self._reading() as db:
            row = db.execute(query, [run_id, seq]).fetchone()
        if row is None:
            self.run(run_id)
            kept = ", ".join(str(checkpoint.seq) for checkpoint in reversed(self.checkpoints(run_id))) or "none"
            raise StoreError(f"run {run_id} has no checkpoint {seq} any more; kept are: {kept}")
        return _state_of(row)


def _state_of(row: tuple[object, ...]) -> State:
    from stackful.durable.records import State

    run, seq, steps, step, line, taken, data = row
    return State(run, seq, steps, step, line, taken, len(data), data)  # type: ignore[arg-type]
