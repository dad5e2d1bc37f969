"""Runs of scripts: each in a process of its own, that nobody else claims."""

from __future__ import annotations

from stackful.durable.postgres.adding import insert_script
from stackful.durable.postgres.blobs import drop_blobs, keep_blobs
from stackful.durable.postgres.saving import change_script, end_runs
from stackful.durable.records import Save
from stackful.durable.store import ENDED, Checkpoint, Run, SavedState, Status
from stackful.errors import RunNotFoundError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.durable.postgres.statements import Askable
    from stackful.durable.records import Change

__all__ = ["add_checkpoint", "add_run", "load", "set_status"]

# How many checkpoints a script's run keeps: one more than needed, should the newest prove damaged.
_KEPT = 2

_ADD = """
    INSERT INTO stackful.checkpoints (run, seq, taken, size, environment, data)
    SELECT %(run)s, coalesce(max(seq), 0) + 1, stackful.clock(), %(size)s::bigint, %(environment)s::bytea, %(data)s::bytea
    FROM stackful.checkpoints WHERE run = %(run)s RETURNING seq, taken
"""


def add_run(session: Askable, address: str, run: Run, source: bytes) -> Callable[[], None]:
    """Record a new run of a script with this source."""
    if session.ask("SELECT FROM stackful.runs WHERE id = %s", [run.id]).rowcount:
        raise StoreError(f"there is already a run called {run.id} in {address}; choose another --name")
    insert_script(session, run, source)
    return lambda: None


def set_status(session: Askable, run_id: str, status: Status, exit_status: int | None) -> Callable[[], None]:
    """Record how a script's run stands."""
    query = "UPDATE stackful.runs SET status = %s, exit_status = %s::integer, updated = stackful.clock() WHERE id = %s"
    session.ask(query, [status.value, exit_status, run_id])
    if status in ENDED - {Status.FAILED}:
        session.ask("DELETE FROM stackful.checkpoints WHERE run = %s", [run_id])
        drop_blobs(session, [Save(run_id, 0, 0, 0, "", "", None, unused=())])
    if status in ENDED:
        end_runs(session, [run_id], [])
    return lambda: None


def add_checkpoint(session: Askable, run_id: str, state: SavedState, change: Change | None) -> Callable[[], Checkpoint]:
    """Record a script's state, with what else changes, and drop those that are too old."""
    query = "UPDATE stackful.runs SET updated = stackful.clock() WHERE id = %s RETURNING id"
    if not session.ask(query, [run_id]).fetchall():
        raise RunNotFoundError(f"there is no run {run_id!r}")
    values = {"run": run_id, "size": state.size, "environment": state.environment, "data": state.program}
    ((seq, taken),) = session.ask(_ADD, values).fetchall()
    session.ask("DELETE FROM stackful.checkpoints WHERE run = %s AND seq <= %s::bigint", [run_id, seq - _KEPT])
    if state.blobs:
        keep_blobs(session, [(run_id, 0, seq, state.blobs)])
    drop_blobs(session, [Save(run_id, 0, seq, 0, "", "", state.program, unused=state.unused or ())])
    if change is not None:
        change_script(session, run_id, change)
    return lambda: Checkpoint(run_id, seq, taken, state.size)


def load(session: Askable, address: str, checkpoint: Checkpoint) -> SavedState:
    """The bytes of a script's checkpoint."""
    query = "SELECT environment, data FROM stackful.checkpoints WHERE run = %s AND seq = %s::bigint"
    row = session.ask(query, [checkpoint.run, checkpoint.seq]).fetchone()
    if row is None:
        raise StoreError(f"checkpoint {checkpoint.seq} of {checkpoint.run} is no longer in {address}")
    return SavedState(*row)
