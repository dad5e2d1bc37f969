"""The keys that seal a store's checkpoints: where they are."""

from __future__ import annotations

import os

from stackful.errors import KeyFileError
from stackful.keyfiles import make_key_file, read_key_file

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

    from stackful.durable.sqlite import SqliteStore
    from stackful.snapshot.keys import Keys

__all__ = ["key_path", "keys_of_store", "load_key", "make_key", "shared_keys"]


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


def keys_of_store(store: SqliteStore) -> tuple[bytes, ...]:
    """The same for a store that is open: where it has runs, a key that is missing is missed, and no other takes its place.

    Raises:
        KeyFileError: the file cannot be written or read, or is gone.
    """
    is_missed = not os.path.exists(key_path(store.path)) and store.runs(limit=1)
    return load_key(store.path) if is_missed else make_key(store.path)


def load_key(store: str | PathLike[str]) -> tuple[bytes, ...]:
    """The keys of a store, the newest first: it seals, all are accepted.

    Raises:
        KeyFileError: there is no file of them, or it holds something else.
    """
    return read_key_file(key_path(store))


def shared_keys() -> Keys:
    """The keys of a store that other machines use as well: ``STACKFUL_KEY`` of the environment, else of ``~/.stackful/key``.

    Raises:
        KeyFileError: the variable holds something else, or the file cannot be written or read.
    """
    from stackful.snapshot.keys import KEY_VARIABLE, Keys

    if os.environ.get(KEY_VARIABLE):
        return Keys.from_environment()
    path = os.path.expanduser("~/.stackful/key")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} cannot be made: {error.strerror}; set {KEY_VARIABLE} instead"
        ) from error
    return Keys.from_file(path)
