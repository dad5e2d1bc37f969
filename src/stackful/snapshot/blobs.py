"""Large values stored once for all snapshots of a run (D8): a snapshot that follows another costs what has changed.

Three things are kept as blobs, each under the SHA-256 of its bytes. *Packs*: the longer strings and bytes that one snapshot was the first to
hold. *Buffers*: the memory of arrays. *Bases*: what is left of a snapshot without those; the next ones tell only by what they differ from
it, until that becomes too much and one of them is the next base. So whatever the number of snapshots, one is read from itself, its
base and its packs, and no others.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Protocol

from stackful import _core
from stackful.errors import SealError, SnapshotFormatError
from stackful.snapshot import compression, encryption
from stackful.snapshot.format import Squeezed
from stackful.snapshot.parts import prefix_of

if TYPE_CHECKING:
    from stackful.snapshot.keys import Key, Keys

__all__ = ["FIRST", "Blobs", "Draft", "History", "MemoryBlobs", "Stored", "Values", "history_of", "raw_size"]

SHORT = 128
"""Characters below which a string stands in the snapshot itself."""

SMALL_BUFFER = 4096
PACK = 1 << 20
FIRST = 1 << 16
"""The number of a value is its place in its pack, and this times the place of the pack in the table; below are the words of rebuild.py."""

LEAST_BASE = 1024

# A blob: how it is compressed, and whether it is encrypted; then, if so, the id of the key and the salt; then the data.
_KEY_ID = 8
_FORMS = 2
_PLAIN_FORMS = bytes(_FORMS)
LEAST_COMPRESSED = 512


class Blobs(Protocol):
    """Where blobs are kept: bytes by their digests, 32 bytes each."""

    def put(self, digest: bytes, data: bytes, /) -> None:
        """Keep `data`, no later than the snapshot that is made just now; what is there already stays as it is."""

    def get(self, digest: bytes, /) -> bytes:
        """What was put under `digest`; KeyError where there is nothing."""


class MemoryBlobs:
    """Blobs in memory, in the dict `data`.

    >>> from stackful import snapshot
    >>> blobs = snapshot.MemoryBlobs()
    >>> first, second = (snapshot.dumps([n, "x" * 100_000], blobs=blobs) for n in range(2))
    >>> len(first) + len(second) < 1000, snapshot.loads(second, blobs=blobs)[0]
    (True, 1)
    >>> blobs
    <MemoryBlobs: 1>
    """

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}

    def __repr__(self) -> str:
        return f"<MemoryBlobs: {len(self.data)}>"

    def put(self, digest: bytes, data: bytes, /) -> None:
        """Keep `data` under `digest`."""
        self.data.setdefault(digest, data)

    def get(self, digest: bytes, /) -> bytes:
        """What was put under `digest`; KeyError where there is nothing."""
        return self.data[digest]

    def keep_only(self, digests: Iterable[bytes]) -> None:
        """Drop all others, as `references` tells them."""
        self.data = {digest: self.data[digest] for digest in set(digests)}

    def size(self) -> int:
        """Bytes of all blobs and their digests."""
        return sum(len(digest) + len(data) for digest, data in self.data.items())


class Stored:
    """Blobs, read: each is found whole, or refused, and taken apart once."""

    def __init__(self, blobs: Blobs, keys: Keys | None) -> None:
        self._blobs = blobs
        self._keys = keys

    def data(self, digest: bytes) -> bytes:
        """What was stored. `SnapshotFormatError`: it is missing. `SealError`: it is not what was stored."""
        try:
            blob = self._blobs.get(digest)
        except KeyError:
            raise SnapshotFormatError(
                f"the snapshot needs the blob {digest.hex()[:16]}…, which is not there: give the blobs= that it was saved with"
            ) from None
        if hashlib.sha256(blob).digest() != digest:
            raise SealError(f"the blob {digest.hex()[:16]}… was altered or damaged; nothing of it was unpickled")
        return self._decoded(blob)

    def _decoded(self, blob: bytes) -> bytes:
        if len(blob) < _FORMS:
            raise SnapshotFormatError("a blob is cut short: it does not even say how it is stored")
        number, is_encrypted = blob[0], blob[1]
        data: memoryview | bytes = memoryview(blob)[_FORMS:]
        if is_encrypted:
            key_id, salt, data = (
                blob[2 : 2 + _KEY_ID],
                bytes(data[_KEY_ID:][: encryption.SALT]),
                data[_KEY_ID + encryption.SALT :],
            )
            key = None if self._keys is None else self._keys.find(key_id.hex())
            if key is None:
                raise SealError(f"a blob is encrypted with another key, {key_id.hex()}: give that one as well")
            data = encryption.decrypt(key, salt, data, blob[:_FORMS])
        if not number:
            return bytes(data)
        size = int.from_bytes(data[:8], "little")
        return compression.decompress(number, data[8:], size)

    def values(self, digest: bytes) -> tuple[Any, ...]:
        """The values of a pack."""
        return _PackUnpickler(BytesIO(self.data(digest))).load()  # type: ignore[no-any-return]


class _PackUnpickler(pickle.Unpickler):
    """Strings and bytes name nothing."""

    def find_class(self, module: str, name: str) -> Any:
        raise SnapshotFormatError(f"a pack of values names {module}.{name}")


def _encoded(data: bytes, number: int, key: Key | None) -> bytes:
    """A blob of `data`. With a `key` it is encrypted."""
    if number:
        less = compression.compress(number, data)
        if len(less) + 8 < len(data):
            data = len(data).to_bytes(8, "little") + less
        else:
            number = 0
    forms = bytes((number, key is not None))
    if key is None:
        return forms + data
    salt = encryption.make_salt()
    return b"".join((forms, bytes.fromhex(key.id), salt, encryption.encrypt(key, salt, data, forms)))


def raw_size(blob: bytes) -> int:
    """How many bytes a blob has when it is not compressed; of an encrypted one, as it is."""
    is_compressed = blob[0] and not blob[1]
    return int.from_bytes(blob[_FORMS : _FORMS + 8], "little") if is_compressed else len(blob) - _FORMS


class History:
    """What the snapshots of one run have stored, as this process knows it.

    `dumps` and `loads` take one for `blobs=`, in place of the blobs themselves, of which they otherwise keep one with each object that they
    are given; several runs that share a store take one each. Only what the last snapshot held is remembered, and that must be kept
    as long as there is to be a next one. One thread uses it at a time.

    >>> from stackful import snapshot
    >>> history = snapshot.History(snapshot.MemoryBlobs())
    >>> data = snapshot.dumps(["y" * 5000], blobs=history)
    >>> snapshot.loads(data, blobs=history) == ["y" * 5000]
    True
    >>> history
    <History of 1 blob in <MemoryBlobs: 1>>
    """

    def __init__(self, blobs: Blobs) -> None:
        self.blobs = blobs
        self.forget()

    def __repr__(self) -> str:
        return f"<History of {len(self.digests)} {'blob' if len(self.digests) == 1 else 'blobs'} in {self.blobs!r}>"

    def forget(self) -> None:
        """Take nothing for stored: to be called when what was put has not been kept, as when a transaction was rolled back."""
        self.key_id: str | None = None  # of the key that blobs are encrypted with
        self.digests: list[bytes] = []
        self.strings: dict[str, int] = {}  # a string is found by what it is, and its hash is computed once
        self.bytestrings: dict[bytes, int] = {}
        self.buffers: dict[bytes, bytes] = {}
        self.base: tuple[bytes, bytes] | None = None
        self.price = self.paid = 0  # what the base costs, and what has been paid for differing from it

    def learn(self, digests: list[bytes], values: dict[int, Any], base: tuple[bytes, bytes] | None) -> None:
        """Take for stored what a snapshot that was just loaded refers to."""
        self.forget()
        self.digests = digests
        self.strings = {value: number for number, value in values.items() if type(value) is str}
        self.bytestrings = {value: number for number, value in values.items() if type(value) is bytes}
        self.buffers = dict(zip(digests, digests, strict=True))
        if base is not None:
            self.base, self.price = base, len(base[1])


def history_of(blobs: Blobs | History) -> History:
    """The history that goes with some blobs: kept where they are, if they are objects that can be given attributes."""
    if isinstance(blobs, History):
        return blobs
    if not (hasattr(blobs, "put") and hasattr(blobs, "get")):
        raise TypeError(f"blobs= is where values can be put and got, as snapshot.MemoryBlobs(), not {blobs!r}")
    found = getattr(blobs, "_stackful_history", None)
    if not isinstance(found, History) or found.blobs is not blobs:
        found = History(blobs)
        try:
            blobs._stackful_history = found  # type: ignore[attr-defined]
        except AttributeError:
            pass
    return found


class Draft:
    """One snapshot's share in blobs, until it is known that it can be made: what it refers to, and what is new."""

    def __init__(self, history: History, key: Key | None, number: int | None) -> None:
        """`key` encrypts; `number` is that of the compression, None where it is left to us."""
        if history.key_id != (key and key.id):
            history.forget()  # what is stored under an old key is stored again under the new one
        self.digests: list[bytes] = []
        self.buffers: list[memoryview | int] = []
        self._history = history
        self._key = key
        self._number = compression.best() if number is None else number
        self._fresh: list[tuple[bytes, bytes]] = []
        self._indices: dict[bytes, int] = {}
        self._strings: dict[str, int] = {}
        self._bytestrings: dict[bytes, int] = {}
        self._stored_buffers: dict[bytes, bytes] = {}
        self._pack: list[str | bytes] = []
        self._pack_size = 0
        self._places: list[int | None] = [None] * len(history.digests)

    # --- while the value is pickled ---

    def numbering(self) -> Callable[[object], int | None]:
        """The pickler's `persistent_id`. Not kept here, as it refers back: what is to be stored would wait for the collector."""
        history = self._history
        return _core.numbering(
            SHORT, history.strings, history.digests, self._strings, self.digests, self._places, self._numbered
        )

    def _numbered(self, value: str | bytes) -> int:
        """The number of a string that the last snapshot did not have, or of bytes; others `_core.numbering` knows."""
        if type(value) is str:
            return self._added(value)
        assert isinstance(value, bytes)
        number = self._bytestrings.get(value)
        if number is None:
            known = self._history.bytestrings.get(value)
            number = self._bytestrings[value] = self._added(value) if known is None else self._moved(known)
        return number

    def buffer_callback(self, buffer: pickle.PickleBuffer) -> bool:
        """Take a buffer out of the pickle: False. A small one, and one that is not in one piece, stay in it: True."""
        try:
            raw = buffer.raw()
        except BufferError:
            return True
        if len(raw) < SMALL_BUFFER:
            return True
        self.buffers.append(self._index(self._stored(raw)))
        return False

    def _moved(self, number: int) -> int:
        """What the last snapshot had under a number stands in another place of this one's table."""
        index, at = divmod(number, FIRST)
        place = self._places[index - 1]
        if place is None:
            place = self._places[index - 1] = len(self.digests)
            self.digests.append(self._history.digests[index - 1])
        return (place + 1) * FIRST + at

    def _index(self, digest: bytes) -> int:
        index = self._indices.get(digest)
        if index is None:
            index = self._indices[digest] = len(self.digests)
            self.digests.append(digest)
        return index

    def _added(self, value: str | bytes) -> int:
        if self._pack_size >= PACK or len(self._pack) == FIRST:
            self._close_pack()
        if not self._pack:
            self._pack_index = len(self.digests)
            self.digests.append(b"")  # known when the pack is full
        self._pack.append(value)
        self._pack_size += len(value)
        return (self._pack_index + 1) * FIRST + len(self._pack) - 1

    def _close_pack(self) -> None:
        if self._pack:
            self.digests[self._pack_index] = self._put(pickle.dumps(tuple(self._pack), 5))
            self._pack, self._pack_size = [], 0

    def _stored(self, raw: memoryview) -> bytes:
        """The digest of a buffer, which is new or not; memory may have changed, and is read each time."""
        content = hashlib.sha256(_PLAIN_FORMS)
        content.update(raw)
        known = self._history.buffers.get(content.digest()) or self._stored_buffers.get(content.digest())
        if known is None:
            is_plain = self._key is None and not (self._number and compression.is_worthwhile(self._number, raw))
            if is_plain:
                known = content.digest()
                self._fresh.append((known, _PLAIN_FORMS + raw))
            else:
                known = self._put(bytes(raw))
        self._stored_buffers[content.digest()] = known
        return known

    def _put(self, data: bytes) -> bytes:
        blob = _encoded(data, self._number if len(data) >= LEAST_COMPRESSED else 0, self._key)
        digest = hashlib.sha256(blob).digest()
        self._fresh.append((digest, blob))
        return digest

    # --- when it has been pickled ---

    def finished(self, pickled: bytes) -> Squeezed:
        """Put what is new, and remember all. Returns the body, told by what it differs from a base where that is worth it."""
        self._close_pack()
        body = prefix_of(self.digests, self.buffers) + pickled
        base, price, paid = self._history.base, self._history.price, self._history.paid
        squeezed = body
        if self._number and len(body) >= LEAST_BASE:
            if base is not None:
                squeezed = compression.compress(self._number, body, base[1])
                paid += len(squeezed)
            if base is None or paid > price:
                base, paid = (self._put(body), body), 0
                price = len(self._fresh[-1][1])
                squeezed = compression.compress(self._number, body, body)
        for digest, blob in self._fresh:
            self._history.blobs.put(digest, blob)
        self._remember(base, price, paid)
        if squeezed is body:
            return Squeezed([body], len(body))
        assert base is not None
        return Squeezed([squeezed], len(body), self._number, base[0])

    def _remember(self, base: tuple[bytes, bytes] | None, price: int, paid: int) -> None:
        history = self._history
        history.key_id = None if self._key is None else self._key.id
        history.digests, history.strings, history.bytestrings = self.digests, self._strings, self._bytestrings
        history.buffers = self._stored_buffers
        history.base, history.price, history.paid = base, price, paid


class Values(dict[int, Any]):
    """What the numbers in a pickle stand for, found in blobs when they are first asked for."""

    def __init__(self, words: dict[int, Any], digests: list[bytes], stored: Stored) -> None:
        super().__init__(words)
        self._digests = digests
        self._stored = stored

    def __missing__(self, number: int) -> Any:
        index, at = divmod(number, FIRST)
        if not 0 < index <= len(self._digests):
            raise KeyError(number)
        values = self._stored.values(self._digests[index - 1])
        self.update({index * FIRST + i: value for i, value in enumerate(values)})
        return values[at]
