"""Files of keys: made once, readable by their owner only; the newest key stands first, and those before it stay good for what they sealed."""

from __future__ import annotations

import os

from stackful.errors import KeyFileError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

__all__ = ["KEY_LENGTH", "make_key_file", "read_key_file", "rotate_key_file"]

KEY_LENGTH = 32
"""Bytes of each key; a file of several is that many times as long."""


def make_key_file(path: str | PathLike[str]) -> None:
    """Make a file with one random key, for its owner's eyes (0600), unless there is one.

    Raises:
        KeyFileError: it cannot be written.
    """
    path = os.fspath(path)
    try:
        if not os.path.exists(path):
            _write(path, os.urandom(KEY_LENGTH), is_new=True)
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} cannot be made: {error.strerror}; see to it, or choose another place"
        ) from error


def read_key_file(path: str | PathLike[str]) -> tuple[bytes, ...]:
    """Its keys, the newest first.

    Raises:
        KeyFileError: there is no such file, or it holds something else.
    """
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError as error:
        raise KeyFileError(
            f"the key file {path} cannot be read: {error.strerror}; without it nothing that was sealed can be trusted: put it back, or begin with another store"
        ) from error
    if not text or len(text) % KEY_LENGTH:
        raise KeyFileError(
            f"the key file {path} is damaged: {len(text)} bytes instead of {KEY_LENGTH} for each key; put the right one back"
        )
    return tuple(text[at : at + KEY_LENGTH] for at in range(0, len(text), KEY_LENGTH))


def rotate_key_file(path: str | PathLike[str], keep: int | None = None) -> None:
    """Put a new key first: it seals from now on. The `keep` newest of those before it stay; all of them by default.

    Whoever holds the file open, or has read it, is not disturbed: the new file takes the old one's place at one moment.

    Raises:
        KeyFileError: there is no such file, it holds something else, or it cannot be written.
    """
    path = os.fspath(path)
    kept = read_key_file(path)[:keep]
    try:
        _write(path, b"".join((os.urandom(KEY_LENGTH), *kept)), is_new=False)
    except OSError as error:
        raise KeyFileError(f"the key file {path} cannot be written: {error.strerror}; it is as it was") from error


def _write(path: str, text: bytes, is_new: bool) -> None:
    """Under another name first: two that start together agree on one key, and nobody sees half of it."""
    draft = f"{path}.{os.urandom(4).hex()}.new"
    _fill(draft, text)
    if not is_new:
        os.replace(draft, path)
        return
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    os.unlink(draft)


def _fill(path: str, text: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text)
        os.fsync(file)
    finally:
        os.close(file)
