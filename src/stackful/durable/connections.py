"""Which store the runs of this process are in."""

from __future__ import annotations

import os

from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from stackful.durable.engine import Engine

__all__ = ["connect", "current_engine", "is_connected", "set_current"]

_current: list[Engine] = []


def connect(
    store: str | os.PathLike[str] | None = None,
    *,
    work: bool = True,
    threads: int = 32,
    concurrency: int = 1000,
    version: str = "",
) -> Engine:
    """Open a store of runs, take up those that are due, and make it the one that `start`, `send`, `runs` and handles use.

    Args:
        store: the path of an SQLite file, made if it is not there; by default ``STACKFUL_STORE`` of the environment, else ``.stackful/runs.db``.
        work: False: start, look at, signal, cancel, but drive no run here.
        threads: how many runs may be inside of their own code at once; more than one are only used where runs block.
        concurrency: how many runs may be under way in this process at once; the others wait in the store.
        version: what this release of your program is called; recorded with the runs that it starts.

    Returns:
        The engine. It is a context manager: at the end of the block, or of the process, it stops and gives its runs back.

    Raises:
        StoreError: the store cannot be used.

    Example:
        >>> import tempfile
        >>> with connect(tempfile.mkdtemp() + "/runs.db") as engine:
        ...     engine.store.runs()
        []
    """
    from stackful.durable.engine import Engine
    from stackful.durable.keys import make_key
    from stackful.durable.runs import make_folder
    from stackful.durable.sqlite import SqliteStore

    path = make_folder(store or os.environ.get("STACKFUL_STORE") or ".stackful/runs.db")
    opened = SqliteStore(path)
    try:
        engine = Engine(opened, make_key(path), threads=threads, concurrency=concurrency, version=version)
        if work:
            engine.work()
    except BaseException:
        opened.close()
        raise
    set_current(engine, True)
    return engine


def set_current(engine: Engine, is_current: bool) -> None:
    """Make an engine the one that module-level functions use, or no longer."""
    if engine in _current:
        _current.remove(engine)
    if is_current:
        _current.append(engine)


def is_connected() -> bool:
    """Whether a store is open."""
    return bool(_current)


def current_engine() -> Engine:
    """The engine that was connected last and is open.

    Raises:
        StoreError: none is.
    """
    if not _current:
        raise StoreError("no store of runs is open in this process: call durable.connect(path) first")
    return _current[-1]
