"""The large values of a run, each stored once for all of its states: what a state costs is what was added to the one before.

A run whose states are small has none of this. From the first state on that takes `LEAST` bytes, the next ones share what is large in them: see
`stackful.snapshot.blobs`. The store keeps each value as long as a state needs it that is kept: the last one, or a checkpoint.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from stackful import snapshot
from stackful.errors import SealError, SnapshotFormatError
from stackful.snapshot import compression
from stackful.snapshot.blobs import raw_size
from stackful.snapshot.format import HAS_PARTS, head_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from stackful.durable.records import State
    from stackful.durable.seals import Seals
    from stackful.durable.store import Store

__all__ = ["LEAST", "LargeValues", "large_values_of"]

LEAST = 16384
"""Bytes of a state from which on the next ones share what is large in them."""

# It is given up where so much of so many states had to be written anew all the same, and tried again after so many others.
_WORTH, _TRIED, _PAUSE = 0.6, 8, 128
# When the values in use take so many times what they took, or after so many states, it is looked whether most of them is of no use any more.
_GROWTH, _STATES = 1.5, 64
# Bytes that a string takes besides its characters.
_OVERHEAD = 6
# Without zstd: up to so many bytes of what is not shared are compressed, and more are not; zlib is slower than most disks.
_LEAST_SLOW = 8192


class LargeValues:
    """What the states of one run have in the store besides themselves, as this process knows it. One thread uses it at a time.

    Args:
        store: where they are.

    Attributes:
        history: for `snapshot.loads`; for `dumps` it is given by `begin`.
        found: what was read of the store, by digest.
    """

    __slots__ = (
        "_before", "_fresh", "_is_used", "_limit", "_looked", "_sizes", "_states", "_store", "_whole", "_written",
        "compression", "found", "history",
    )  # fmt: skip

    def __init__(self, store: Store) -> None:
        self._store = store
        self.history = snapshot.History(self)
        self._is_used = True
        self._fresh: dict[bytes, bytes] = {}
        self._sizes: dict[bytes, int] = {}  # of what the last state needs
        self._before: dict[bytes, int] = {}  # of what the one before needed
        self._limit = self._looked = 0
        self._states = self._written = self._whole = 0  # since it was begun with, or given up
        self.found: dict[bytes, bytes] = {}
        self.compression = None if compression.is_fast() else "none"

    def begin(self) -> snapshot.History | None:
        """A state is about to be made: what it is to share; None when that is not worth while."""
        self._fresh = {}
        if not self._is_used:
            return None
        total = sum(self._sizes.values())
        if total > self._limit or self._states - self._looked >= _STATES:
            if self._is_mostly_waste(total):
                self.history.forget()
            self._limit, self._looked = int(_GROWTH * total), self._states
        return self.history

    def put(self, digest: bytes, data: bytes, /) -> None:
        """A value that is to be stored with the state that is made just now."""
        self._fresh[digest] = data

    def get(self, digest: bytes, /) -> bytes:
        """A value of the store.

        Raises:
            SnapshotFormatError: it is not there.
            StoreError: the store cannot be read.
        """
        if digest not in self.found:
            self.fetch([digest])
        return self.found[digest]

    def fetch(self, digests: Iterable[bytes]) -> None:
        """Read values of the store, all at once, and see that each is what was stored.

        Raises:
            SealError: one is not.
            SnapshotFormatError: one is not there.
            StoreError: the store cannot be read.
        """
        wanted = [digest for digest in digests if digest not in self.found]
        stored = self._store.blobs([digest.hex() for digest in wanted])
        for digest in wanted:
            data = stored.get(digest.hex())
            if data is None:
                raise SnapshotFormatError(
                    f"the state needs the large value {digest.hex()[:16]}…, which is no longer in {self._store.path}; nothing was unpickled"
                )
            self.found[digest] = checked(digest, data)

    def loaded(self) -> None:
        """The state whose values these are has been loaded: the next one goes on from it."""
        self._sizes = {digest: raw_size(data) for digest, data in self.found.items()}
        self.found = {}

    def taken_along(self) -> dict[str, bytes]:
        """All that a state needs that was made just now, of what was loaded, for another run."""
        everything = {**self.found, **self._fresh}
        return {digest.hex(): everything[digest] for digest in self._needed()}

    def changes(self, data: bytes) -> tuple[Mapping[str, bytes] | None, tuple[str, ...] | None]:
        """What is to be stored together with a state that was made just now, and what it does not need any more, if anything.

        Both are taken for stored, and for dropped, unless `forget` is called.
        """
        fresh = {digest: raw_size(blob) for digest, blob in self._fresh.items()}
        known = {**self._sizes, **fresh}
        self._before, self._sizes = self._sizes, {digest: known[digest] for digest in self._needed()}
        blobs = {digest.hex(): blob for digest, blob in self._fresh.items()}
        unused = tuple(digest.hex() for digest in self._before.keys() - self._sizes.keys())
        self._fresh = {}
        self._judge(data, sum(fresh.values()))
        return blobs or None, unused or None

    def _judge(self, data: bytes, fresh: int) -> None:
        """Whether the next state is to share its values."""
        self._states += 1
        if not self._is_used:
            if len(data) >= LEAST and self._states > _PAUSE:
                self._is_used, self._states = True, 0
            return
        body = head_of(data).size
        if not compression.is_fast():
            self.compression = "zlib" if body < _LEAST_SLOW else "none"
        base = self.history.base
        whole = body + sum(self._sizes.values()) - (self._sizes[base[0]] if base else 0)
        self._written += len(data) + fresh
        self._whole += whole
        is_in_vain = self._states % _TRIED == 0 and self._written > _WORTH * self._whole
        if is_in_vain or whole < LEAST // 4:
            self._is_used, self._states = False, 0 if is_in_vain else _PAUSE
            self.history.forget()
        if self._states % _TRIED == 0:
            self._written = self._whole = 0

    def forget(self) -> None:
        """What `changes` told has not been stored: the next state stores all anew, and refers to nothing that is not there."""
        self.history.forget()
        self._sizes = {**self._before, **self._sizes}

    def _needed(self) -> set[bytes]:
        """The base counts, even if this state does without it: the next one may not."""
        needed = set(self.history.digests)
        if self.history.base is not None:
            needed.add(self.history.base[0])
        return needed

    def _is_mostly_waste(self, total: int) -> bool:
        """Values are stored in packs: one that is still needed keeps the others of its pack in the store."""
        history = self.history
        kept = total - (self._sizes.get(history.base[0], 0) if history.base else 0)
        kept -= sum(self._sizes.get(digest, 0) for digest in set(history.buffers.values()))
        number = len(history.strings) + len(history.bytestrings)
        needed = _OVERHEAD * number + sum(map(len, history.strings)) + sum(map(len, history.bytestrings))
        if kept < 2 * needed + LEAST:
            return False
        needed += sum(len(text.encode("utf-8", "surrogatepass")) - len(text) for text in history.strings)
        return kept >= 2 * needed + LEAST


def checked(digest: bytes, data: bytes) -> bytes:
    """A value that is what was stored; `SealError` if it is not."""
    if hashlib.sha256(data).digest() != digest:
        raise SealError(f"the large value {digest.hex()[:16]}… was altered or damaged; nothing was unpickled")
    return data


def large_values_of(store: Store, seals: Seals, state: State) -> LargeValues | None:
    """All large values that a state needs, read and checked; None if it has none.

    Raises:
        SealError: the state, or one of them, is not what was stored.
        SnapshotFormatError: one of them is not there, or the state is damaged.
        StoreError: the store cannot be read.
    """
    data = state.data or b""
    if not head_of(data).flags & HAS_PARTS:
        return None
    found = LargeValues(store)
    needed = snapshot.references(data, key=seals.keys, blobs=found)
    if not needed:
        return None
    found.fetch(needed)
    return found
