"""The container of a snapshot: what it is, readable without unpickling, and the seal over all of it. docs/format.md has it to the byte.

b"STACKFUL"       magic
u8, u8, u8, u8    schema; how it is sealed, how it is compressed; flags
u32               length of the header
u64, u64, u64     sequence number within the run; length of the body as it is stored; length of the body when it is decompressed
header            JSON: python, bytecode, key, run
32 bytes          digest of the base, if the flags say so
32 bytes          salt, if it is encrypted
body              what was pickled; before it, if the flags say so, what is kept outside of the pickle (parts.py)
32 bytes          HMAC-SHA256 with the key, or SHA-256 without one, over everything before
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias

from stackful.errors import SealError, SnapshotFormatError, SnapshotVersionError
from stackful.snapshot import compression, encryption
from stackful.snapshot.keys import Key, Keys, KeysGiven, keys_of

__all__ = [
    "HAS_BASE",
    "HAS_PARTS",
    "IS_ENCRYPTED",
    "PLAIN",
    "SCHEMA",
    "SEAL_SIZE",
    "Head",
    "Opened",
    "Piece",
    "Squeezed",
    "Terms",
    "candidates",
    "check_place",
    "check_seal",
    "digest_of",
    "head_of",
    "header",
    "open_sealed",
    "open_unchecked",
    "reseal",
    "seal",
    "sealed",
    "sealed_small",
    "squeezed",
    "unseal",
    "unsealed",
]

MAGIC = b"STACKFUL"
SCHEMA = 3
_SAME_HEAD = (2, 3)  # what differs is in the pickle
HAS_PARTS = 1  # flags
HAS_BASE = 2
IS_ENCRYPTED = 4
HAS_PLACE = 8
_ALL_FLAGS = 15
_HEAD = struct.Struct("<8sBBBBIQQQ")
_SEALS = ("sha256", "hmac-sha256")
SEAL_SIZE = _DIGEST_SIZE = 32
_PYTHON = "{}.{}".format(*sys.version_info)
_BYTECODE = importlib.util.MAGIC_NUMBER.hex()

# Schema 1 had lengths of the header and of the body behind the magic, and everything else in the header, which is longer than any
# number of a schema for some time to come.
_LENGTHS_1 = struct.Struct("<IQ")
_LEAST_HEADER_1 = 32

Piece: TypeAlias = bytes | memoryview


class Terms(NamedTuple):
    """How a snapshot is to be written: the run that it belongs to and its number there, compression (None: as is best), encryption."""

    run: str | None = None
    sequence: int | None = None
    compression: int | None = None
    encrypt: bool = False


PLAIN = Terms()


class Head(NamedTuple):
    """What stands before the body."""

    schema: int
    seal: str
    compression: int
    flags: int
    sequence: int
    size: int
    fields: dict[str, Any]
    base: bytes
    salt: bytes
    start: int
    end: int

    @property
    def place(self) -> tuple[str | None, int | None]:
        """The run that it belongs to, and its number there."""
        return (self.fields.get("run"), self.sequence) if self.flags & HAS_PLACE else (None, None)


class Opened(NamedTuple):
    """A snapshot whose seal was found right."""

    head: Head
    body: Piece


# --- writing ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _text(key_id: str | None, run: str | None) -> bytes:
    fields = {"python": _PYTHON, "bytecode": _BYTECODE, "key": key_id, "run": run}
    return json.dumps({name: value for name, value in fields.items() if value is not None}).encode()


class Squeezed(NamedTuple):
    """A body as it is stored: compressed with a number's method, and told by what it differs from a base, if there is one."""

    pieces: Sequence[Piece]
    size: int
    number: int = 0
    base: bytes = b""


def squeezed(pieces: Sequence[Piece], wanted: int | None) -> Squeezed:
    """A body, compressed with what was wanted, or as is best."""
    size = sum(map(len, pieces))
    number = compression.chosen(size) if wanted is None else wanted
    if number and compression.is_worthwhile(number, max(pieces, key=len)):  # else large pieces stay where they are
        less = compression.compress(number, b"".join(pieces))
        if len(less) < size:
            return Squeezed([less], size, number)
    return Squeezed(pieces, size)


def sealed(body: Squeezed, flags: int, keys: Keys | None, terms: Terms = PLAIN) -> list[Piece]:
    """The pieces of a snapshot, to be written one behind the other. `ValueError` for encryption without a key."""
    pieces, key = unsealed(body, flags, keys, terms)
    return [*pieces, digest_of(pieces, key)]


def unsealed(body: Squeezed, flags: int, keys: Keys | None, terms: Terms) -> tuple[list[Piece], Key | None]:
    """The same without the seal, and the key that is to make it."""
    key = None if keys is None else keys.newest
    pieces, stored, extra = body.pieces, sum(map(len, body.pieces)), body.base
    if extra:
        flags |= HAS_BASE
    if terms.run is not None or terms.sequence is not None:
        flags |= HAS_PLACE
    if terms.encrypt:
        flags |= IS_ENCRYPTED
        extra += encryption.make_salt()
        stored += encryption.TAG
    text = _text(None if key is None else key.id, terms.run)
    head = _HEAD.pack(
        MAGIC, SCHEMA, key is not None, body.number, flags, len(text), terms.sequence or 0, stored, body.size
    )
    beside = head + text + extra
    if terms.encrypt:
        if key is None:
            raise ValueError("encryption needs a key: give key=")
        pieces = [encryption.encrypt(key, extra[-encryption.SALT :], b"".join(pieces), beside)]
    return [beside, *pieces], key


def sealed_small(body: bytes, keys: Keys | None, run: str | None, sequence: int | None) -> bytes:
    """The same for a body that is neither compressed nor encrypted, in one piece: most are small, and are made often."""
    key = None if keys is None else keys.newest
    flags = 0 if run is None and sequence is None else HAS_PLACE
    text = _text(None if key is None else key.id, run)
    size = len(body)
    head = _HEAD.pack(MAGIC, SCHEMA, key is not None, 0, flags, len(text), sequence or 0, size, size)
    data = b"".join((head, text, body))
    return data + (hashlib.sha256(data).digest() if key is None else key.mac((data,)))


def seal(body: bytes, key: KeysGiven = None, terms: Terms = PLAIN, flags: int = 0) -> bytes:
    """Wrap a pickled body: head before, seal behind. `TypeError`, `ValueError` for what is no key."""
    return b"".join(sealed(squeezed([body], terms.compression), flags, keys_of(key), terms))


def digest_of(pieces: Iterable[Piece], key: Key | None) -> bytes:
    """The seal over all pieces, one behind the other."""
    if key is not None:
        return key.mac(pieces)
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


# --- reading ----------------------------------------------------------------------------------------------------------


@lru_cache
def _fields(text: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("it is not an object")
    except (ValueError, RecursionError) as error:
        raise SnapshotFormatError(f"the header of this snapshot is damaged: {error}") from None
    return fields


def head_of(data: Piece) -> Head:
    """What stands before the body. `SnapshotFormatError`: no snapshot; `SnapshotVersionError`: of a later schema."""
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a snapshot is bytes, not {data!r}")
    if data[: len(MAGIC)] != MAGIC or len(data) < len(MAGIC) + _LENGTHS_1.size:
        raise SnapshotFormatError("these bytes are no snapshot of Stackful")
    schema = data[len(MAGIC)]
    if schema in _SAME_HEAD:
        return _head_2(data)
    if schema >= _LEAST_HEADER_1 or any(data[len(MAGIC) + 1 : len(MAGIC) + 4]):
        return _head_1(data)
    raise SnapshotVersionError(
        f"this snapshot has schema {schema}, this Stackful reads 1 to {SCHEMA}: use the release that made it, or a later one"
    )


def _head_2(data: Piece) -> Head:
    if len(data) < _HEAD.size:
        raise SnapshotFormatError(f"this snapshot is cut short: {len(data)} bytes are not even its head")
    _, schema, sealing, number, flags, length, sequence, stored, size = _HEAD.unpack_from(data)
    if sealing >= len(_SEALS) or flags & ~_ALL_FLAGS:
        raise SnapshotFormatError(f"the head of this snapshot is damaged: seal {sealing}, flags {flags}")
    at = _HEAD.size + length
    fields = _fields(bytes(data[_HEAD.size : at]))
    base = salt = b""
    if flags & HAS_BASE:
        base, at = bytes(data[at : at + _DIGEST_SIZE]), at + _DIGEST_SIZE
    if flags & IS_ENCRYPTED:
        salt, at = bytes(data[at : at + encryption.SALT]), at + encryption.SALT
    return Head(schema, _SEALS[sealing], number, flags, sequence, size, fields, base, salt, at, at + stored)


def _head_1(data: Piece) -> Head:
    length, size = _LENGTHS_1.unpack_from(data, len(MAGIC))
    start = len(MAGIC) + _LENGTHS_1.size
    fields = _fields(bytes(data[start : start + length]))
    sealing = str(fields.get("seal"))
    schema = fields.get("schema")
    if schema != 1:
        raise SnapshotVersionError(f"this snapshot has schema {schema}, this Stackful reads 1 to {SCHEMA}")
    return Head(1, sealing, 0, 0, 0, size, fields, b"", b"", start + length, start + length + size)


def header(data: bytes) -> dict[str, Any]:
    """What a snapshot says of itself; nothing is unpickled, and the seal is not checked.

    ``schema``, ``python``, ``bytecode``, ``seal``, ``key`` (the id of the key that sealed it), ``run`` and ``sequence`` (the place that it
    is bound to), ``compression``, ``encryption``, ``size`` and ``stored`` (bytes of the body, before and after compression); what does
    not apply is None. `SnapshotFormatError` when the bytes are no snapshot, `SnapshotVersionError` when they are of a later schema.

    >>> from stackful import snapshot
    >>> told = snapshot.header(snapshot.dumps([1], run="nightly", sequence=7))
    >>> told["schema"], told["seal"], told["run"], told["sequence"]
    (3, 'sha256', 'nightly', 7)
    """
    head = head_of(data)
    run, sequence = head.place
    known = len(compression.COMPRESSIONS) > head.compression
    return {
        "schema": head.schema,
        "python": head.fields.get("python"),
        "bytecode": head.fields.get("bytecode"),
        "seal": head.seal,
        "key": head.fields.get("key"),
        "run": run,
        "sequence": sequence,
        "compression": compression.COMPRESSIONS[head.compression] if known else str(head.compression),
        "encryption": "aes-256-gcm" if head.flags & IS_ENCRYPTED else None,
        "size": head.size,
        "stored": head.end - head.start,
    }


def open_sealed(
    data: bytes,
    keys: Keys | None,
    run: str | None = None,
    sequence: int | None = None,
    base_of: Callable[[bytes], bytes] | None = None,
) -> Opened:
    """The body of a snapshot, once its seal, its place and its schema are found right; before that nothing of it is looked at.

    `base_of` finds what stands under a digest. `SnapshotFormatError`: no snapshot, or cut short. `SealError`: altered, or sealed with
    another key, or with none where one is demanded, or of another run or another moment. `SnapshotVersionError`: a later schema.
    """
    head = head_of(data)
    if len(data) != head.end + SEAL_SIZE:
        raise SnapshotFormatError(
            f"this snapshot is cut short or has bytes added: {len(data)} bytes, not {head.end + SEAL_SIZE}"
        )
    keys_that_fit = candidates(head, keys)
    # No lambda: CPython 3.13 ends in a segmentation fault where there is no memory for its closure.
    key = check_seal(keys_that_fit, data[head.end :], partial(digest_of, [memoryview(data)[: head.end]]))
    check_place(head, run, sequence)
    body: Piece = memoryview(data)[head.start : head.end]
    if head.flags & IS_ENCRYPTED:
        if key is None:
            raise SealError("this snapshot is encrypted: give its key; nothing was unpickled")
        body = encryption.decrypt(key, head.salt, body, bytes(data[: head.start]))
    return Opened(head, _expanded(head, body, base_of))


def reseal(
    data: bytes,
    keys: Keys,
    new: Keys,
    run: str | None = None,
    sequence: int | None = None,
    base_of: Callable[[bytes], bytes] | None = None,
) -> bytes:
    """A snapshot sealed anew: with other keys, for another place. Nothing is unpickled, and the body stays what it is; it needs no base then.

    `base_of` finds what stands under a digest. `SnapshotVersionError` for one of another Python: the head says by which one it was made. Else as `open_sealed`.
    """
    opened = open_sealed(data, keys, base_of=base_of)
    made_by = opened.head.fields.get("python")
    if made_by != _PYTHON:
        raise SnapshotVersionError(f"this snapshot was made by Python {made_by}: seal it anew with that one")
    encrypt = bool(opened.head.flags & IS_ENCRYPTED)
    terms = Terms(run, sequence, None, encrypt)
    return b"".join(sealed(squeezed([opened.body], None), opened.head.flags & HAS_PARTS, new, terms))


def open_unchecked(data: bytes, base_of: Callable[[bytes], bytes] | None = None) -> Opened:
    """The body of a snapshot whose seal nobody has checked: to be looked at, never to be unpickled. Not where it is encrypted: `SealError`."""
    head = head_of(data)
    if head.flags & IS_ENCRYPTED:
        raise SealError("this snapshot is encrypted: give its key")
    return Opened(head, _expanded(head, memoryview(data)[head.start : head.end], base_of))


def _expanded(head: Head, body: Piece, base_of: Callable[[bytes], bytes] | None) -> Piece:
    base = None
    if head.flags & HAS_BASE:
        if base_of is None:
            raise SnapshotFormatError("parts of this snapshot are kept as blobs: give blobs=, where they were put")
        base = base_of(head.base)
    if head.compression or head.schema > 1:
        return (
            body
            if not head.compression and len(body) == head.size
            else compression.decompress(head.compression, body, head.size, base)
        )
    return body


def unseal(data: bytes, key: KeysGiven = None) -> bytes:
    """The body of a snapshot that stands alone; errors as of `open_sealed`."""
    return bytes(open_sealed(data, keys_of(key)).body)


def candidates(head: Head, keys: Keys | None) -> Sequence[Key | None]:
    """The keys that a snapshot may be sealed with: one, but for schema 1. `SealError` where there can be none."""
    if (head.seal == "hmac-sha256") != (keys is not None):
        given = "no key was given" if keys is None else "it is not sealed with a key"
        raise SealError(f"the seal of this snapshot cannot be checked: {given}; nothing was unpickled")
    if keys is None:
        return [None]
    return list(keys) if head.schema == 1 else [_key_of(head, keys)]


def check_seal(keys: Sequence[Key | None], found: Piece, digest: Callable[[Key | None], bytes]) -> Key | None:
    """The key that it is sealed with; `SealError` where it is none of these."""
    for key in keys:
        if hmac.compare_digest(digest(key), found):
            return key
    raise SealError(
        "the seal of this snapshot does not fit: altered, damaged, or sealed with another key; nothing was unpickled"
    )


def _key_of(head: Head, keys: Keys) -> Key:
    key_id = head.fields.get("key")
    key = keys.find(key_id) if isinstance(key_id, str) else None
    if key is None:
        raise SealError(
            f"this snapshot is sealed with another key, {key_id}, not {', '.join(key.id for key in keys)}: give that one as well,"
            " behind the newest; nothing was unpickled"
        )
    return key


def check_place(head: Head, run: str | None, sequence: int | None) -> None:
    """A whole and rightly sealed snapshot, put in the place of another, is an attack as well."""
    its_run, its_sequence = head.place
    if run is not None and run != its_run:
        raise SealError(
            f"this snapshot belongs to {'no run' if its_run is None else f'run {its_run!r}'}, not to run {run!r}: it was put in another's"
            " place; nothing was unpickled"
        )
    if sequence is not None and sequence != its_sequence:
        raise SealError(
            f"this snapshot is number {its_sequence} of its run, not {sequence}: it was put in another's place; nothing was unpickled"
        )
