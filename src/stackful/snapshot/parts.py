"""What a snapshot keeps outside of its pickle: buffers, and values that are stored once for many snapshots, by their digests.

u32, u32          how many digests, how many buffers
32 bytes each     digests of blobs
u8, u64 each      a buffer: 0 and its length, where it follows; 1 and which of the digests it has
pickle            up to the first buffer
buffers           those that follow
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from stackful.errors import SnapshotFormatError

__all__ = ["DIGEST", "Parts", "lengths_of", "parts_of", "prefix_of"]

DIGEST = 32
_COUNTS = struct.Struct("<II")
_BUFFER = struct.Struct("<BQ")
_FOLLOWS, _IS_BLOB = 0, 1


class Parts(NamedTuple):
    """A body, taken apart. A buffer is itself, or the index of its digest."""

    digests: list[bytes]
    buffers: list[memoryview | int]
    pickle: memoryview


def prefix_of(digests: Sequence[bytes], buffers: Iterable[memoryview | int]) -> bytes:
    """What stands before the pickle."""
    entries = [
        _BUFFER.pack(_IS_BLOB, buffer) if isinstance(buffer, int) else _BUFFER.pack(_FOLLOWS, len(buffer))
        for buffer in buffers
    ]
    return b"".join((_COUNTS.pack(len(digests), len(entries)), *digests, *entries))


def parts_of(body: bytes | memoryview) -> Parts:
    """Take a body apart. `SnapshotFormatError`."""
    view = memoryview(body)
    digests, entries, start, end = _table_of(view, len(view))
    buffers: list[memoryview | int] = []
    at = end
    for kind, number in entries:
        buffers.append(number if kind else view[at : at + number])
        at += 0 if kind else number
    return Parts(digests, buffers, view[start:end])


def lengths_of(view: memoryview, size: int) -> tuple[int, int, list[int]] | None:
    """Where the pickle of a body of that size begins and ends, and how long the buffers behind it are; of the body this is the beginning.

    None where it has other parts as well, or the beginning is too short. `SnapshotFormatError`.
    """
    if len(view) < _COUNTS.size:
        return None
    digest_count, buffer_count = _COUNTS.unpack_from(view)
    if digest_count or _COUNTS.size + buffer_count * _BUFFER.size > len(view):
        return None
    _, entries, start, end = _table_of(view, size)
    return start, end, [number for _, number in entries]


def _table_of(view: memoryview, size: int) -> tuple[list[bytes], list[tuple[int, int]], int, int]:
    """Digests, entries of buffers, and where the pickle begins and ends in a body of that size, of which this is the beginning."""
    try:
        return _table(view, size)
    except (struct.error, ValueError) as error:
        raise SnapshotFormatError(f"the table of parts of this snapshot is damaged: {error}") from None


def _table(view: memoryview, size: int) -> tuple[list[bytes], list[tuple[int, int]], int, int]:
    digest_count, buffer_count = _COUNTS.unpack_from(view)
    at = _COUNTS.size + digest_count * DIGEST
    start = at + buffer_count * _BUFFER.size
    if start > len(view):
        raise ValueError("it is too short for what it says that it holds")
    digests = [bytes(view[i : i + DIGEST]) for i in range(_COUNTS.size, at, DIGEST)]
    entries = list(_BUFFER.iter_unpack(view[at:start]))
    end = size - sum(number for kind, number in entries if kind == _FOLLOWS)
    if end < start or any(kind > _IS_BLOB or (kind and number >= digest_count) for kind, number in entries):
        raise ValueError("a buffer of it cannot be")
    return digests, entries, start, end
