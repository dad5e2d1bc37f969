"""Snapshots in files: large arrays go to the disk and come back from there without a copy, and are digested meanwhile.

SHA-256 takes about as long as the disk does. So another thread computes the seal, and each step is on its way to the disk while the next
one is still being digested.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

from stackful import _core
from stackful.snapshot.format import (
    HAS_BASE,
    HAS_PARTS,
    IS_ENCRYPTED,
    SEAL_SIZE,
    Head,
    Piece,
    candidates,
    check_place,
    check_seal,
    digest_of,
    head_of,
)
from stackful.snapshot.parts import lengths_of

if TYPE_CHECKING:
    from stackful.snapshot.keys import Key, Keys

__all__ = ["LARGE", "Whole", "read", "write"]

LARGE = 4 << 20
"""Bytes from which on a thread is worth it."""

_STEP = 1 << 20
_BEGINNING = 1 << 16


class _Digest:
    """The seal over pieces that another thread digests while this one reads or writes; they must stay as they are."""

    def __init__(self, key: Key | None) -> None:
        self._key = key
        self._pieces: SimpleQueue[Piece | None] = SimpleQueue()
        self._found: list[bytes] = []
        self._thread: Thread | None = Thread(target=self._run, name="stackful-seal", daemon=True)

    def _run(self) -> None:
        self._found.append(digest_of(iter(self._pieces.get, None), self._key))

    def __enter__(self) -> Self:
        try:
            if self._thread is not None:
                self._thread.start()
        except RuntimeError:  # no more threads, or the interpreter is about to end
            self._thread = None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pieces.put(None)
        if self._thread is not None:
            self._thread.join()

    def update(self, piece: Piece) -> None:
        """The next piece."""
        self._pieces.put(piece)

    def found(self) -> bytes:
        """The digest of all pieces; there are no more. `MemoryError` where there was none left for it."""
        self._pieces.put(None)
        if self._thread is None:
            self._run()
        else:
            self._thread.join()
        if not self._found:
            raise MemoryError("the thread that digests a snapshot has failed")
        return self._found[0]


def write(file: BinaryIO, pieces: Sequence[Piece], key: Key | None) -> int:
    """Write a snapshot, all of whose pieces but the seal these are. Returns how many bytes that makes."""
    size = sum(map(len, pieces))
    if size < LARGE:
        file.writelines([*pieces, digest_of(pieces, key)])
        return size + SEAL_SIZE
    with _Digest(key) as digest:
        _write_steps(file, pieces, digest)
        seal = digest.found()
    _write_all(file, memoryview(seal))
    return size + SEAL_SIZE


def _write_steps(file: BinaryIO, pieces: Sequence[Piece], digest: _Digest) -> None:
    disk = _Disk(file)
    for piece in pieces:
        for at in range(0, len(piece), _STEP):
            step = memoryview(piece)[at : at + _STEP]
            digest.update(step)
            _write_all(file, step)
            disk.begin()


def _write_all(file: BinaryIO, data: memoryview) -> None:
    """A file without a buffer may take less than it is given; some say nothing, and take all."""
    while data:
        data = data[file.write(data) or len(data) :]


def _descriptor(file: BinaryIO) -> int | None:
    """That of a file on a disk."""
    try:
        found = file.fileno()
        return found if stat.S_ISREG(os.fstat(found).st_mode) else None
    except (AttributeError, OSError, ValueError):
        return None


class _Disk:
    """The disk that a file is on: it is told to begin with what was written since, so that whoever syncs the file has less to wait for."""

    def __init__(self, file: BinaryIO) -> None:
        self._descriptor = _descriptor(file) if hasattr(os, "posix_fadvise") else None
        self._at = self._position()

    def _position(self) -> int:
        return 0 if self._descriptor is None else os.lseek(self._descriptor, 0, os.SEEK_CUR)

    def begin(self) -> None:
        """Begin, and wait for nothing."""
        here = self._position()
        if self._descriptor is not None and here > self._at:
            # v6.1 mm/fadvise.c, generic_fadvise: what is written is started on, and not waited for
            with suppress(OSError):
                os.posix_fadvise(self._descriptor, self._at, here - self._at, os.POSIX_FADV_DONTNEED)
        self._at = here


class Whole(NamedTuple):
    """A snapshot whose seal and place were found right, with its buffers, each in memory of its own."""

    head: Head
    pickle: memoryview
    buffers: list[bytearray]


class _Plan(NamedTuple):
    """How a snapshot stands in a file: its head, and the lengths of what is before the buffers, and of them."""

    head: Head
    start: int
    end: int
    buffers: list[int]


def read(file: BinaryIO, keys: Keys | None, run: str | None, sequence: int | None) -> Whole | bytes:
    """All that is in a file: checked and taken apart, where it has large buffers, else as it is. Errors as of `open_sealed`."""
    at = _position(file)
    beginning = file.read(_BEGINNING)
    plan = None if at is None else _plan(memoryview(beginning), _size(file) - at)
    if plan is None:
        return beginning + file.read()
    found = _read_parts(plan, beginning, file, candidates(plan.head, keys))
    check_place(plan.head, run, sequence)
    return found


def _read_parts(plan: _Plan, beginning: bytes, file: BinaryIO, keys: Sequence[Key | None]) -> Whole:
    first, buffers = bytearray(plan.end), [_core.blank_bytes(length) for length in plan.buffers]
    with _Digest(keys[0]) as digest:
        rest = _filled_all([first, *buffers], beginning, file, digest)
        found = digest.found()
    check_seal(keys, bytes(rest) + file.read(SEAL_SIZE - len(rest)), partial(_found, found))
    return Whole(plan.head, memoryview(first)[plan.start :], buffers)


def _found(digest: bytes, _: Key | None) -> bytes:
    """No lambda: see `open_sealed`."""
    return digest


def _position(file: BinaryIO) -> int | None:
    """Where a file on a disk stands that can read into memory that is there."""
    is_known = _descriptor(file) is not None and hasattr(file, "readinto")
    return file.tell() if is_known else None


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _plan(beginning: memoryview, size: int) -> _Plan | None:
    """None where it is to be read in one piece: it is small, compressed, encrypted, of the first schema, or not whole."""
    if size < LARGE or len(beginning) < _BEGINNING:
        return None
    head = head_of(beginning)
    is_plain = head.flags & HAS_PARTS and not head.flags & (HAS_BASE | IS_ENCRYPTED) and not head.compression
    if not is_plain or head.schema == 1 or head.end + SEAL_SIZE != size or head.start > len(beginning):
        return None
    lengths = lengths_of(beginning[head.start :], head.end - head.start)
    if lengths is None:
        return None
    start, end, buffers = lengths
    return _Plan(head, head.start + start, head.start + end, buffers)


def _filled_all(targets: Sequence[bytearray], beginning: bytes, file: BinaryIO, digest: _Digest) -> memoryview:
    """Fill all `targets` with what is known already, then from the file; returns what they had no room for."""
    known = memoryview(beginning)
    for target in targets:
        count = min(len(target), len(known))
        target[:count] = known[:count]
        _fill(memoryview(target), count, file, digest)
        known = known[count:]
    return known


def _fill(target: memoryview, count: int, file: BinaryIO, digest: _Digest) -> None:
    """Fill the rest of `target`, so many bytes of which are there."""
    digest.update(target[:count])
    while count < len(target):
        read = file.readinto(target[count : count + _STEP])  # type: ignore[attr-defined]
        if not read:
            raise EOFError("the file has become shorter while it was read")
        digest.update(target[count : count + read])
        count += read
