"""Runs as data for lists and pages: their records, checkpoints, results."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from stackful.durable.runs import as_it_is
from stackful.durable.store import ENDED, Checkpoint, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackful.durable.engine import Engine
    from stackful.durable.records import Filter, State
    from stackful.durable.store import Run, Store

__all__ = [
    "as_it_stands",
    "last_checkpoint",
    "list_runs",
    "result_of_run",
    "run_data",
    "signals_of_run",
    "states_of_run",
]

_PRIVATE = {"argv", "cwd", "every"}  # what only scripts have


def run_data(run: Run) -> dict[str, Any]:
    """A run as JSON-ready data: its record, without what does not apply to its kind. Times are seconds since the epoch.

    >>> from stackful.durable.store import Run
    >>> run_data(Run("r", "m:f", (), "", None, "3.13", 0.0, kind="function"))["program"]
    'm:f'
    """
    data = {name: value for name, value in run._asdict().items() if run.kind == "script" or name not in _PRIVATE}
    data["status"] = run.status.value
    if run.kind == "script":
        data["argv"] = list(run.argv)
    return data


def list_runs(store: Store, where: Filter | None = None, limit: int | None = None) -> list[Run]:
    """Runs, the newest first, as they stand: one whose script's process is gone is INTERRUPTED."""
    return [_as_it_is(store, run) for run in store.runs(where, limit=limit)]


def _as_it_is(store: Store, run: Run) -> Run:
    return as_it_is(store.path, run) if run.kind == "script" and run.status is Status.RUNNING else run


def as_it_stands(store: Store, run_id: str) -> Run:
    """The run with this id, or whose id begins so, as it stands.

    Raises:
        RunNotFoundError: there is none, or there are several.
    """
    return _as_it_is(store, store.run(run_id))


def last_checkpoint(store: Store, run: Run) -> Checkpoint | None:
    """What a run would go on from now."""
    if run.kind == "script":
        return next(iter(store.checkpoints(run.id)), None)
    return None if run.taken is None or not run.size else Checkpoint(run.id, run.seq, run.taken, run.size)


def states_of_run(store: Store, run: Run) -> list[State]:
    """The checkpoints of a function's run, the newest first, each with the step that it came after and the line that it stands at."""
    return [replace(store.load_state(run.id, each.seq), size=each.size) for each in store.checkpoints(run.id)]


def result_of_run(engine: Engine, run: Run) -> Any:
    """What a run has returned; None if it has not."""
    (outcome,) = engine.store.outcomes([run.id])
    if outcome.status not in ENDED or outcome.status is not Status.FINISHED or outcome.result is None:
        return None
    return engine.unseal(run.id, outcome.result)


def signals_of_run(engine: Engine, run: Run) -> Sequence[tuple[str, Any]]:
    """The signals that wait to be received: (name, value), the oldest first."""
    return [(signal.name, engine.unseal(run.id, signal.payload)) for signal in engine.store.signals(run.id)]
