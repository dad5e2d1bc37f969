"""Whether stored runs would go on with the code that is here now, found out without resuming one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackful.durable.keys import load_key
from stackful.durable.program import ScriptError
from stackful.durable.runs import load_script
from stackful.durable.state import Keeper
from stackful.durable.store import ENDED, Status
from stackful.errors import CodeChangedError, SnapshotVersionError
from stackful.snapshot import Finding

if TYPE_CHECKING:
    from stackful.durable.engine import Engine
    from stackful.durable.runs import OnChange
    from stackful.durable.store import Run

__all__ = ["examine"]


def examine(
    engine: Engine, run_ids: Sequence[str] = (), on_change: OnChange = "refuse"
) -> list[tuple[Run, list[Finding]]]:
    """What speaks against going on with the runs of a store, each with its last state; an empty list where nothing does.

    Args:
        engine: of the store; it need not work.
        run_ids: the runs, or beginnings of their ids; by default all that can go on: those that have not ended, failed ones, and killed scripts.
        on_change: how runs of scripts would be resumed; those of functions say it themselves, by ``@run(on_change=...)``.

    Raises:
        RunNotFoundError: there is no such run.
        SealError, SnapshotFormatError: a state is damaged.
        StoreError: the store cannot be used.

    Example:
        >>> from stackful import durable
        >>> examine(durable.connect(".stackful/runs.db", work=False))  # doctest: +SKIP
        [(Run(id='count-1', ...), [])]
    """
    named = [engine.store.run(run_id) for run_id in run_ids]
    runs = named or [run for run in engine.runs() if _can_go_on(engine, run)]
    return [(run, _examine(engine, run, on_change)) for run in runs]


def _can_go_on(engine: Engine, run: Run) -> bool:
    if run.kind == "script":
        return run.status is not Status.FINISHED and bool(engine.store.checkpoints(run.id))
    return run.status not in ENDED or run.status is Status.FAILED


def _examine(engine: Engine, run: Run, on_change: OnChange) -> list[Finding]:
    try:
        return _examine_script(engine, run, on_change) if run.kind == "script" else engine.check_code(run.id)
    except (ScriptError, CodeChangedError, SnapshotVersionError) as error:
        return [Finding(getattr(error, "function", ""), "__main__", str(error), getattr(error, "diff", ""))]


def _examine_script(engine: Engine, run: Run, on_change: OnChange) -> list[Finding]:
    script = load_script(run, engine.store.source(run), on_change)
    stored = engine.store.checkpoints(run.id)
    if not stored:
        return []
    state, keeper = engine.store.load(stored[0]), Keeper(load_key(engine.store.path), engine.store)
    script.install()
    keeper.load_environment(state)
    return keeper.check(script, state)
