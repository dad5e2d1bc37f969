"""Blobs in an SQLite file of their own. Not loaded unless it is asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from os import PathLike, fspath
from types import TracebackType
from typing import Self

__all__ = ["SqliteBlobs"]


class SqliteBlobs:
    """Blobs in a table ``blobs(digest, data)``; one transaction for each.

    Raises:
        sqlite3.Error: as SQLite says; any method may.

    >>> from stackful import snapshot
    >>> from stackful.snapshot.sqlite import SqliteBlobs
    >>> with SqliteBlobs(":memory:") as blobs:
    ...     data = snapshot.dumps(["x" * 1000], blobs=blobs)
    ...     snapshot.loads(data, blobs=blobs) == ["x" * 1000]
    True
    >>> blobs
    <SqliteBlobs :memory:>
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path = fspath(path)
        self._db = sqlite3.connect(fspath(path), isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS blobs (digest BLOB PRIMARY KEY, data BLOB NOT NULL)")

    def __repr__(self) -> str:
        return f"<SqliteBlobs {self._path}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._db.close()

    def put(self, digest: bytes, data: bytes, /) -> None:
        """Keep `data` under `digest`."""
        self._db.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", [digest, data])

    def get(self, digest: bytes, /) -> bytes:
        """What was put under `digest`; KeyError where there is nothing."""
        row = self._db.execute("SELECT data FROM blobs WHERE digest = ?", [digest]).fetchone()
        if row is None:
            raise KeyError(digest)
        data: bytes = row[0]
        return data

    def keep_only(self, digests: Iterable[bytes]) -> None:
        """Drop all others, as `references` tells them."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("CREATE TEMP TABLE kept (digest BLOB PRIMARY KEY)")
            self._db.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ([digest] for digest in digests))
            self._db.execute("DELETE FROM blobs WHERE digest NOT IN (SELECT digest FROM kept)")
            self._db.execute("DROP TABLE kept")

    def size(self) -> int:
        """Bytes of all blobs and their digests."""
        query = "SELECT coalesce(sum(length(data) + length(digest)), 0) FROM blobs"
        size: int = self._db.execute(query).fetchone()[0]
        return size
