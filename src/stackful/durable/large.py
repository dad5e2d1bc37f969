"""The large values of a run, each stored once for all of its states: what a state costs is what was added to the one before.

A run whose states are small has none of this, be it a function's or a script's. From the first state on that takes `LEAST` bytes, the next ones share what is large in them: see
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

    from stackful.durable.store import Store
    from stackful.snapshot.keys import KeysGiven

__all__ = ["LEAST", "LargeValues", "StoreBlobs", "checked", "large_values_of"]

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


class StoreBlobs:
    """Large values, read from a store, and those that are to be written there. A `snapshot.Blobs`.

    Args:
        store: where they are.

    Attributes:
        found: what was read, by digest.
        fresh: what is to be stored with the state that is made just now.
    """

    __slots__ = ("_store", "found", "fresh")

    def __init__(self, store: Store) -> None:
        self._store = store
        self.found: dict[bytes, bytes] = {}
        self.fresh: dict[bytes, bytes] = {}

    def put(self, digest: bytes, data: bytes, /) -> None:
        """Have it stored with the state that is made just now."""
        self.fresh[digest] = data

    def get(self, digest: bytes, /) -> bytes:
        """A value of the store; errors as of `fetch`."""
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
        stored = self._store.blobs([digest.hex() for digest in wanted]) if wanted else {}
        for digest in wanted:
            data = stored.get(digest.hex())
            if data is None:
                raise SnapshotFormatError(
                    f"the state needs the large value {digest.hex()[:16]}…, which is no longer in {self._store.path}; nothing was unpickled"
                )
            self.found[digest] = checked(digest, data)


class LargeValues:
    """What the states of one run have in the store besides themselves, as this process knows it. One thread uses it at a time.

    Args:
        store: where they are.

    Attributes:
        blobs: the values that were read, or are to be written.
        history: for `snapshot.loads`; for `dumps` it is given by `begin`.
        compression: for `dumps`.
        besides: what is needed besides, for what a state carries along.
    """

    __slots__ = (
        "_before", "_is_used", "_limit", "_looked", "_sizes", "_states", "_whole", "_written", "besides", "blobs", "compression", "history",
    )  # fmt: skip

    def __init__(self, store: Store) -> None:
        self.blobs = StoreBlobs(store)
        self.history = snapshot.History(self.blobs)
        self.compression = None if compression.is_fast() else "none"
        self.besides: set[bytes] = set()
        self._sizes: dict[bytes, int] = {}  # of what the last state needs
        self._before: dict[bytes, int] = {}  # of what the one before needed
        self._is_used = True
        self._states = self._written = self._whole = 0  # since it was begun with, or given up
        self._limit = self._looked = 0  # when waste was looked for

    def begin(self) -> snapshot.History | None:
        """A state is about to be made: what it is to share; None when that is not worth while."""
        self.blobs.fresh = {}
        if not self._is_used:
            return None
        total = sum(self._sizes.values())
        if total > self._limit or self._states - self._looked >= _STATES:
            if self._is_mostly_waste(total):
                self.history.forget()
            self._limit, self._looked = int(_GROWTH * total), self._states
        return self.history

    def changes(self, data: bytes) -> tuple[Mapping[str, bytes] | None, tuple[str, ...] | None]:
        """What is to be stored together with a state that was made just now, and what is not needed by it any more, if anything.

        Both are taken for stored, and for dropped, unless `forget` is called.
        """
        fresh, self.blobs.fresh = self.blobs.fresh, {}
        sizes = {digest: raw_size(blob) for digest, blob in fresh.items()}
        known = {**self._sizes, **sizes}
        self._before, self._sizes = self._sizes, {digest: known[digest] for digest in self._needed()}
        unused = tuple(digest.hex() for digest in self._before.keys() - self._sizes.keys())
        self._judge(data, sum(sizes.values()))
        return {digest.hex(): blob for digest, blob in fresh.items()} or None, unused or None

    def forget(self) -> None:
        """What `changes` told has not been stored: the next state stores all anew, and refers to nothing that is not there."""
        self.history.forget()
        self._sizes = {**self._before, **self._sizes}

    def loaded(self) -> None:
        """The state whose values these are has been loaded: the next one goes on from it."""
        self._sizes = {digest: raw_size(blob) for digest, blob in self.blobs.found.items()}
        self.blobs.found = {}

    def taken_along(self) -> dict[str, bytes]:
        """All that a state needs that was made just now, of what was loaded, for another run."""
        everything = {**self.blobs.found, **self.blobs.fresh}
        return {digest.hex(): everything[digest] for digest in self._needed()}

    def not_of(self, digests: Iterable[bytes]) -> tuple[str, ...]:
        """What is needed by the last state, and not by one that needs these."""
        return tuple(digest.hex() for digest in self._sizes.keys() - set(digests))

    def _needed(self) -> set[bytes]:
        """The base counts, even if this state does without it: the next one may not."""
        needed = {*self.history.digests, *self.besides}
        if self.history.base is not None:
            needed.add(self.history.base[0])
        return needed

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
        whole = body + sum(self._sizes.values()) - self._base_size()
        self._written += len(data) + fresh
        self._whole += whole
        is_looked_at = self._states % _TRIED == 0
        is_in_vain = is_looked_at and self._written > _WORTH * self._whole
        if is_looked_at:
            self._written = self._whole = 0
        if is_in_vain or whole < LEAST // 4:
            self.history.forget()
            self._is_used, self._states = False, 0 if is_in_vain else _PAUSE
            self._written = self._whole = self._limit = self._looked = 0

    def _is_mostly_waste(self, total: int) -> bool:
        """Values are stored in packs: one that is still needed keeps the others of its pack in the store."""
        history = self.history
        packs = total - self._base_size() - sum(self._sizes.get(digest, 0) for digest in {*history.buffers.values()})
        needed = _OVERHEAD * (len(history.strings) + len(history.bytestrings))
        needed += sum(map(len, history.strings)) + sum(map(len, history.bytestrings))
        if packs < 2 * needed + LEAST:
            return False
        needed += sum(len(text.encode("utf-8", "surrogatepass")) - len(text) for text in history.strings)
        return packs >= 2 * needed + LEAST

    def _base_size(self) -> int:
        return 0 if self.history.base is None else self._sizes.get(self.history.base[0], 0)


def checked(digest: bytes, data: bytes) -> bytes:
    """A value that is what was stored; `SealError` if it is not."""
    if hashlib.sha256(data).digest() != digest:
        raise SealError(f"the large value {digest.hex()[:16]}… was altered or damaged; nothing was unpickled")
    return data


def large_values_of(store: Store, keys: KeysGiven, data: bytes) -> LargeValues | None:
    """All large values that a state needs, of which these are the bytes, read and checked; None if it has none.

    Raises:
        SealError: the state, or one of them, is not what was stored.
        SnapshotFormatError: one of them is not there, or the state is damaged.
        StoreError: the store cannot be read.
    """
    if not head_of(data).flags & HAS_PARTS:
        return None
    large = LargeValues(store)
    needed = snapshot.references(data, key=keys, blobs=large.history)
    if not needed:
        return None
    large.blobs.fetch(needed)
    return large
