"""The keys that seal a store's checkpoints: where they are."""

from __future__ import annotations

import os

from stackful.keyfiles import make_key_file, read_key_file

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

__all__ = ["key_path", "load_key", "make_key"]


def key_path(store: str | PathLike[str]) -> str:
    """Where the keys of a store are: ``.stackful/key`` for ``.stackful/runs.db``, ``x.db.key`` for another ``x.db``."""
    folder, name = os.path.split(store)
    return os.path.join(folder, "key" if name == "runs.db" else f"{name}.key")


def make_key(store: str | PathLike[str]) -> tuple[bytes, ...]:
    """The keys of a store, the newest first; one is made now if there is none.

    Raises:
        KeyFileError: the file cannot be written or read.
    """
    make_key_file(key_path(store))
    return load_key(store)


def load_key(store: str | PathLike[str]) -> tuple[bytes, ...]:
    """The keys of a store, the newest first: it seals, all are accepted.

    Raises:
        KeyFileError: there is no file of them, or it holds something else.
    """
    return read_key_file(key_path(store))
