"""The container of a snapshot: what it is, readable without unpickling, and the seal over all of it.

b"STACKFUL"  magic
u32, u64     lengths of the header and of the body, little-endian
header       JSON: schema, python, bytecode, seal
body         the pickled value
32 bytes     HMAC-SHA256 with the key, or SHA-256 without one, over everything before
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import struct
import sys
from functools import lru_cache
from typing import Any

from stackful.errors import SealError, SnapshotFormatError, SnapshotVersionError

__all__ = ["SCHEMA", "header", "seal", "unseal"]

MAGIC = b"STACKFUL"
SCHEMA = 1
_LENGTHS = struct.Struct("<IQ")
_SEAL_SIZE = 32
_PYTHON = "{}.{}".format(*sys.version_info)
_BYTECODE = importlib.util.MAGIC_NUMBER.hex()


def _digest(data: bytes | memoryview, key: bytes | None) -> bytes:
    return hashlib.sha256(data).digest() if key is None else hmac.digest(key, data, "sha256")


@lru_cache
def _header_text(sealed: str) -> bytes:
    return json.dumps({"schema": SCHEMA, "python": _PYTHON, "bytecode": _BYTECODE, "seal": sealed}).encode()


def _check_key(key: object) -> None:
    if key is not None and not isinstance(key, bytes | bytearray):
        raise TypeError(f"a key is bytes, not {key!r}")
    if key is not None and not key:
        raise ValueError("an empty key seals nothing: take random bytes, as from secrets.token_bytes(32), or None")


def seal(body: bytes, key: bytes | None) -> bytes:
    """Wrap a pickled body: header before, seal behind. `ValueError` for an empty key."""
    _check_key(key)
    text = _header_text("sha256" if key is None else "hmac-sha256")
    data = b"".join((MAGIC, _LENGTHS.pack(len(text), len(body)), text, body))
    return data + _digest(data, key)


@lru_cache
def _fields(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("it is not an object")
    except ValueError as error:
        raise SnapshotFormatError(f"the header of this snapshot is damaged: {error}") from None
    return fields


def _split(data: bytes) -> tuple[dict[str, Any], int, int]:
    """The header's fields, where the body begins and where it ends."""
    start = len(MAGIC) + _LENGTHS.size
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a snapshot is bytes, not {data!r}")
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise SnapshotFormatError("these bytes are no snapshot of Stackful")
    length, size = _LENGTHS.unpack_from(data, len(MAGIC))
    return _fields(data[start : start + length]), start + length, start + length + size


def header(data: bytes) -> dict[str, Any]:
    """What a snapshot says of itself: ``schema``, ``python``, ``bytecode``, ``seal``, ``size``; nothing is unpickled.

    `SnapshotFormatError` when the bytes are no snapshot. The seal is not checked.

    >>> from stackful import snapshot
    >>> snapshot.header(snapshot.dumps([1]))["schema"]
    1
    """
    fields, start, end = _split(data)
    return {**fields, "size": end - start}


def _check_version(fields: dict[str, Any]) -> None:
    if fields.get("schema") != SCHEMA:
        raise SnapshotVersionError(
            f"this snapshot has schema {fields.get('schema')}, this Stackful reads {SCHEMA}: use the release that made it"
        )


def unseal(data: bytes, key: bytes | None) -> bytes:
    """The body of a snapshot, once its seal and its versions are found right.

    `SnapshotFormatError`: no snapshot, or cut short. `SealError`: altered, or sealed with another key, or with none where one is
    demanded. `SnapshotVersionError`: another schema.
    """
    _check_key(key)
    fields, start, end = _split(data)
    if len(data) != end + _SEAL_SIZE:
        raise SnapshotFormatError(
            f"this snapshot is cut short or has bytes added: {len(data)} bytes, not {end + _SEAL_SIZE}"
        )
    if (fields.get("seal") == "hmac-sha256") != (key is not None):
        given = "no key was given" if key is None else "it is not sealed with a key"
        raise SealError(f"the seal of this snapshot cannot be checked: {given}; nothing was unpickled")
    if not hmac.compare_digest(_digest(memoryview(data)[:end], key), data[end:]):
        raise SealError(
            "the seal of this snapshot does not fit: altered, damaged, or sealed with another key; nothing was unpickled"
        )
    _check_version(fields)
    return data[start:end]
