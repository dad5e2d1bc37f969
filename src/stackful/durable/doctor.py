"""Whether stored runs would go on with the code that is here now, found out without resuming one."""

from __future__ import annotations

import os
from contextlib import closing

from stackful.durable.keys import load_key
from stackful.durable.program import ScriptError
from stackful.durable.runs import load_script
from stackful.durable.sqlite import SqliteStore
from stackful.durable.state import Keeper
from stackful.durable.store import Status
from stackful.errors import CodeChangedError, SnapshotVersionError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from stackful.durable.store import Run, Store
    from stackful.snapshot import Finding

__all__ = ["examine"]


def examine(store_path: str | PathLike[str], run_ids: Sequence[str] = ()) -> list[tuple[Run, list[Finding]]]:
    """What speaks against resuming the runs of a store, each with its last checkpoint; an empty list where nothing does.

    Args:
        store_path: the store.
        run_ids: the runs, or beginnings of their ids; by default all that have not finished and have something to go on from.

    Raises:
        RunNotFoundError: there is no such run.
        SealError, SnapshotFormatError: a checkpoint is damaged.
        StoreError: the store cannot be used.

    Example:
        >>> from stackful.durable.doctor import examine
        >>> examine(".stackful/runs.db")  # doctest: +SKIP
        [(Run(id='count-1', ...), [])]
    """
    path = os.path.realpath(store_path)
    with closing(SqliteStore(path, create=False)) as store:
        runs = [store.run(run_id) for run_id in run_ids] or [r for r in store.runs() if r.status is not Status.FINISHED]
        return [(run, _examine(path, store, run)) for run in runs if run_ids or store.checkpoints(run.id)]


def _examine(path: str, store: Store, run: Run) -> list[Finding]:
    from stackful.snapshot import Finding

    try:
        script = load_script(run, store.source(run))
    except (ScriptError, CodeChangedError, SnapshotVersionError) as error:
        return [Finding(getattr(error, "function", ""), "__main__", str(error), getattr(error, "diff", ""))]
    stored = store.checkpoints(run.id)
    if not stored:
        return []
    state, keeper = store.load(stored[0]), Keeper(load_key(path))
    script.install()
    keeper.load_environment(state)
    return keeper.check(script, state)
