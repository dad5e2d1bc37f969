"""Which store the runs of this process are in."""

from __future__ import annotations

import os

from stackful.durable.given import check_count, check_number, check_path, texts
from stackful.errors import KeyFileError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from stackful.durable.engine import Engine
    from stackful.durable.store import Store
    from stackful.snapshot.keys import Keys

__all__ = ["connect", "current_engine", "is_connected", "open_store", "set_current"]

_current: list[Engine] = []


def connect(
    store: str | os.PathLike[str] | None = None,
    *,
    work: bool = True,
    threads: int = 32,
    concurrency: int = 1000,
    version: str = "",
    programs: Iterable[str] | None = None,
    queues: Iterable[str] | None = None,
    lease: float | None = None,
) -> Engine:
    """Open a store of runs, take up those that are due, and make it the one that `start`, `send`, `runs` and handles use.

    Args:
        store: the path of an SQLite file, made if it is not there, or the URL of a PostgreSQL database (``postgresql://...``); by default
            ``STACKFUL_STORE`` of the environment, else ``.stackful/runs.db``.
        work: False: start, look at, signal, cancel, but drive no run here.
        threads: how many runs may be inside of their own code at once; more than one are only used where runs block.
        concurrency: how many runs may be under way in this process at once; the others wait in the store.
        version: what this release of your program is called; recorded with the runs that it starts.
        programs: take up only runs of these functions ("module:qualname"); for a store that other programs use, too.
        queues: take up only runs of these queues; "-" stands for runs that are in none.
        lease: seconds after which others take over what is under way here when they do not hear of this process; on PostgreSQL only, where it
            is 15 by default. (A process that ends is noticed at once.)

    Returns:
        The engine. It is a context manager: at the end of the block, or of the process, it stops and gives its runs back.

    Raises:
        StoreError: the store cannot be used.
        TypeError, ValueError: an argument is none; what `programs` and `queues` take is a list.

    Example:
        >>> import tempfile
        >>> with connect(tempfile.mkdtemp() + "/runs.db") as engine:
        ...     engine.store.runs()
        []
    """
    from stackful.durable.engine import Engine
    from stackful.durable.records import Reach

    check_count("threads", threads, 1)
    check_count("concurrency", concurrency, 1)
    if lease is not None:
        check_number("lease", lease)
    reach = Reach(texts("programs=", programs), texts("queues=", queues))
    opened, keys = open_store(_chosen(store), lease)
    try:
        engine = Engine(opened, keys, threads=threads, concurrency=concurrency, version=version, reach=reach)
    except BaseException:
        opened.close()
        raise
    set_current(engine, True)  # first: what it takes up may use it at once
    try:
        if work:
            engine.work()
    except BaseException:
        engine.close()
        raise
    return engine


def _chosen(store: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    if store is None:
        return os.environ.get("STACKFUL_STORE") or ".stackful/runs.db"
    check_path("a store", store)
    if not os.fspath(store):
        raise StoreError(
            "an empty text names no store: give the path of an SQLite file, or a URL; or None, for the one that STACKFUL_STORE names"
        )
    return store


def open_store(
    store: str | os.PathLike[str], lease: float | None = None
) -> tuple[Store, tuple[bytes, ...] | Keys | KeyFileError]:
    """A store and the keys that seal what is in it.

    The key of an SQLite file is in a file beside it. Those who share a PostgreSQL database share the key as well: it is ``STACKFUL_KEY`` of
    the environment, else in the file ``~/.stackful/key``, made by whoever is first. Of a store that can only be read the key may be somebody
    else's: then there is the error that says so, for whoever needs it.

    Raises:
        StoreError: the store cannot be used; or it was made with another key.
        KeyFileError: the keys cannot be read.
    """
    if isinstance(store, str) and store.startswith(("postgresql:", "postgres:")):
        return _open_postgres(store, lease)
    from stackful.durable.folders import make_folder
    from stackful.durable.keys import keys_of_store
    from stackful.durable.sqlite import SqliteStore

    if "://" in os.fspath(store):
        raise StoreError(
            f"{os.fspath(store)} is neither the path of an SQLite file nor a URL that begins with postgresql://"
        )
    path = make_folder(store)
    opened = SqliteStore(path)
    try:
        return opened, keys_of_store(opened)
    except KeyFileError as error:
        if opened.is_read_only:
            return opened, error
        opened.close()
        raise
    except BaseException:
        opened.close()
        raise


def _open_postgres(url: str, lease: float | None) -> tuple[Store, tuple[bytes, ...] | Keys]:
    try:
        from stackful.durable.postgres import PostgresStore
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL is reached through psycopg, which is not there ({error}): pip install 'stackful[postgres]'"
        ) from error
    from stackful.durable.keys import shared_keys

    keys = shared_keys()
    opened = PostgresStore(url) if lease is None else PostgresStore(url, lease=lease)
    try:
        opened.check_keys([key.id for key in keys])
    except BaseException:
        opened.close()
        raise
    return opened, keys


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
