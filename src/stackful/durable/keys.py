"""The key that seals a store's checkpoints: made once, readable by its owner only."""

from __future__ import annotations

import os

from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

__all__ = ["key_path", "load_key", "make_key"]

_LENGTH = 32


def key_path(store: str | PathLike[str]) -> str:
    """Where the key of a store is: ``.stackful/key`` for ``.stackful/runs.db``, ``x.db.key`` for another ``x.db``."""
    folder, name = os.path.split(store)
    return os.path.join(folder, "key" if name == "runs.db" else f"{name}.key")


def make_key(store: str | PathLike[str]) -> bytes:
    """The key of a store, made now if there is none.

    Raises:
        StoreError: it cannot be written or read.
    """
    path = key_path(store)
    draft = f"{path}.{os.getpid()}.new"
    try:
        if not os.path.exists(path):
            _write(draft, path)
    except OSError as error:
        raise StoreError(f"the key file {path} cannot be made: {error.strerror}; see to it, or use --store") from error
    return load_key(store)


def load_key(store: str | PathLike[str]) -> bytes:
    """The key of a store.

    Raises:
        StoreError: there is none, or the file holds something else.
    """
    path = key_path(store)
    try:
        with open(path, "rb") as file:
            key = file.read()
    except OSError as error:
        raise StoreError(
            f"the key file {path} cannot be read: {error.strerror}; without it no checkpoint can be trusted: put it back"
        ) from error
    if len(key) != _LENGTH:
        raise StoreError(
            f"the key file {path} is damaged: {len(key)} bytes instead of {_LENGTH}; put the right one back"
        )
    return key


def _write(draft: str, path: str) -> None:
    """Under another name first: two runs that start together agree on one key, and nobody sees half of it."""
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, os.urandom(_LENGTH))
        os.fsync(file)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(file)
        os.unlink(draft)
