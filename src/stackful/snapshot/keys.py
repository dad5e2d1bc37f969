"""Keys that seal snapshots: HMAC-SHA256 prepared once, rotation, and the keys of encryption that are made of them."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeAlias

from stackful.errors import KeyFileError
from stackful.keyfiles import make_key_file, read_key_file

__all__ = ["KEY_VARIABLE", "Key", "Keys", "KeysGiven", "keys_of"]

KEY_VARIABLE = "STACKFUL_KEY"
"""The environment variable that `Keys.from_environment` reads by default."""

_BLOCK = 64  # bytes of SHA-256's block (FIPS 198-1)
_LEAST = 16


class Key:
    """One key. It is found again by `id`, 16 hexadecimal digits that tell nothing of the key."""

    __slots__ = ("_inner", "_outer", "_secret", "id")

    def __init__(self, secret: bytes) -> None:
        if not isinstance(secret, bytes | bytearray):
            raise TypeError(f"a key is bytes, not {secret!r}")
        if not secret:
            raise ValueError("an empty key seals nothing: take random bytes, as from secrets.token_bytes(32), or None")
        self._secret = bytes(secret)
        block = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else self._secret).ljust(_BLOCK, b"\0")
        # The two halves of RFC 2104 that depend on the key only: half of what hmac.digest() costs on a small snapshot.
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy
        self.id = self.mac((b"stackful: which key this is",)).hex()[:16]

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    def mac(self, pieces: Iterable[bytes | memoryview]) -> bytes:
        """HMAC-SHA256 of all pieces, one behind the other."""
        inner, outer = self._inner(), self._outer()
        for piece in pieces:
            inner.update(piece)
        outer.update(inner.digest())
        return outer.digest()

    def derived(self, purpose: bytes, salt: bytes) -> bytes:
        """Another key of 32 bytes, good for this purpose and this salt only."""
        return hmac.digest(self._secret, b"stackful: " + purpose + b"\0" + salt, "sha256")


class Keys:
    """Keys, the newest first: it seals, and what the others have sealed is accepted as well.

    Raises:
        ValueError: no key, or an empty one.

    >>> from stackful import snapshot
    >>> old, new = b"the old key", b"the new key"
    >>> data = snapshot.dumps([1], key=old)
    >>> snapshot.loads(data, key=snapshot.Keys(new, old))
    [1]
    """

    __slots__ = ("_by_id", "newest")

    def __init__(self, *secrets: bytes) -> None:
        if not secrets:
            raise ValueError("there is no key among these keys")
        keys = [Key(secret) for secret in secrets]
        self.newest = keys[0]
        self._by_id = {key.id: key for key in reversed(keys)}

    def __repr__(self) -> str:
        return f"<Keys {', '.join(key.id for key in self)}>"

    def __iter__(self) -> Iterator[Key]:
        return reversed(self._by_id.values())

    def find(self, key_id: object) -> Key | None:
        """The key with this id."""
        return self._by_id.get(key_id)  # type: ignore[call-overload,no-any-return]

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, create: bool = True) -> Keys:
        """The keys of a file, which is made with one random key (mode 0600) where there is none and `create` is true.

        `stackful.keyfiles.rotate_key_file` puts a new one first. `KeyFileError` when the file cannot be used.
        """
        if create:
            make_key_file(path)
        return cls(*read_key_file(path))

    @classmethod
    def from_environment(cls, variable: str = KEY_VARIABLE) -> Keys:
        """The keys in an environment variable: hexadecimal, separated by commas, the newest first; at least 16 bytes each.

        `KeyFileError` when it is not set, or holds something else; the message does not repeat what it holds.
        """
        text = os.environ.get(variable, "")
        try:
            secrets = [bytes.fromhex(part) for part in text.split(",") if part.strip()]
        except ValueError:
            secrets = []
        if not secrets or min(map(len, secrets)) < _LEAST:
            fault = "does not hold keys" if text else "is not set"
            raise KeyFileError(
                f"the environment variable {variable} {fault}: it takes hexadecimal digits, 32 and more for each key,"
                " the newest first, with commas between them; `openssl rand -hex 32` makes one"
            )
        return cls(*secrets)


KeysGiven: TypeAlias = bytes | tuple[bytes, ...] | list[bytes] | Keys | None
"""What callers may give: a key, several with the newest first, or none."""


_known: dict[bytes, Keys] = {}


@lru_cache(maxsize=64)
def _keys(secrets: tuple[bytes, ...]) -> Keys:
    return Keys(*secrets)


def keys_of(given: KeysGiven) -> Keys | None:
    """The keys that a caller has given. `TypeError`, `ValueError`."""
    known = _known.get(given) if type(given) is bytes else None
    if known is not None or given is None:
        return known
    if isinstance(given, Keys):
        return given
    if isinstance(given, tuple | list):
        return _keys(tuple(given))
    made = Keys(given)  # or a TypeError
    if type(given) is bytes:
        if len(_known) >= 64:
            _known.clear()
        _known[given] = made
    return made
