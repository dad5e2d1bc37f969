"""AES-256-GCM, by the package ``cryptography``, under a key of its own for each piece of data."""

from __future__ import annotations

import importlib
import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from stackful.errors import SealError, SnapshotError

if TYPE_CHECKING:
    from stackful.snapshot.keys import Key

__all__ = ["SALT", "TAG", "decrypt", "encrypt", "make_salt"]

SALT = 32
"""Bytes of salt that stand beside what is encrypted."""

TAG = 16
"""Bytes by which it becomes longer."""

_NONCE = bytes(12)  # a key is never used twice, so that its only nonce may be anything


@lru_cache(maxsize=1)
def _aesgcm() -> Any:
    try:
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ImportError as error:
        raise SnapshotError("encryption needs a package: pip install 'stackful[encryption]'") from error


def make_salt() -> bytes:
    """Random; so many that no two are ever the same."""
    return os.urandom(SALT)


def encrypt(key: Key, salt: bytes, data: bytes, beside: bytes) -> bytes:
    """`data`, encrypted, and bound to what stands beside it. `SnapshotError` where the package is missing."""
    secret: bytes = _aesgcm()(key.derived(b"encryption", salt)).encrypt(_NONCE, data, beside)
    return secret


def decrypt(key: Key, salt: bytes, data: bytes | memoryview, beside: bytes) -> bytes:
    """What was encrypted. `SealError` when it was altered; `SnapshotError` where the package is missing."""
    cipher = _aesgcm()(key.derived(b"encryption", salt))
    try:
        plain: bytes = cipher.decrypt(_NONCE, bytes(data), beside)
    except Exception as error:
        raise SealError("what is encrypted here was altered, or with another key; nothing was unpickled") from error
    return plain
