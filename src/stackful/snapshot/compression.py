"""Compression, with or without something that the data resembles: zstd where it is installed, else zlib."""

from __future__ import annotations

import importlib
import threading
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from stackful.errors import SnapshotError, SnapshotFormatError

__all__ = ["COMPRESSIONS", "LEAST", "best", "chosen", "compress", "decompress", "is_fast", "is_worthwhile", "number_of"]

COMPRESSIONS = ("none", "zlib", "zstd")
"""By their numbers in the format."""

LEAST = 2048
"""Bytes below which compression saves less than it costs."""

_ZLIB, _ZSTD = 1, 2
_LEVEL, _FAST_LEVEL = 3, -1
_SMALL = 4096  # bytes that are compressed fast: for most of such snapshots time is what counts
_ZLIB_LEVEL = 6
_ZLIB_WINDOW = 32768
_SAMPLE = 16384
_WORTH = 0.9


def _level(data: bytes) -> int:
    return _FAST_LEVEL if len(data) < _SMALL else _LEVEL


class _Zstd(NamedTuple):
    """The two operations; `base` is None, or what the data resembles."""

    compress: Callable[[bytes, bytes | None], bytes]
    decompress: Callable[[bytes, int, bytes | None], bytes]


def _of_package(zstandard: Any) -> _Zstd:
    """The package ``zstandard``."""

    @lru_cache(maxsize=8)
    def dictionary(base: bytes) -> Any:
        return zstandard.ZstdCompressionDict(base, dict_type=zstandard.DICT_TYPE_RAWCONTENT)

    def compressor(base: bytes | None, level: int) -> Any:
        return zstandard.ZstdCompressor(level, dict_data=None if base is None else dictionary(base))

    def decompressor(base: bytes | None) -> Any:
        return zstandard.ZstdDecompressor(dict_data=None if base is None else dictionary(base))

    class Workers(threading.local):
        """None must be used by two threads at once: they let go of the GIL while they work. To make one costs more than most of that."""

        def __init__(self) -> None:
            self.compressor = lru_cache(maxsize=8)(compressor)
            self.decompressor = lru_cache(maxsize=8)(decompressor)

    workers = Workers()

    def decompress(data: bytes, size: int, base: bytes | None) -> bytes:
        if zstandard.frame_content_size(data) != size:
            raise ValueError("the size that it tells is not the one that was to be expected")
        expanded: bytes = workers.decompressor(base).decompress(data, max_output_size=size)
        return expanded

    return _Zstd(lambda data, base: workers.compressor(base, _level(data)).compress(data), decompress)


def _of_library(zstd: Any) -> _Zstd:
    """``compression.zstd`` of Python 3.14 and later."""

    @lru_cache(maxsize=8)
    def dictionary(base: bytes | None) -> Any:
        return None if base is None else zstd.ZstdDict(base, is_raw=True)

    def compress(data: bytes, base: bytes | None) -> bytes:
        compressed: bytes = zstd.compress(data, _level(data), None, dictionary(base))
        return compressed

    def decompress(data: bytes, size: int, base: bytes | None) -> bytes:
        decompressor = zstd.ZstdDecompressor(dictionary(base))
        expanded: bytes = decompressor.decompress(data, size) if size else b""
        return expanded

    return _Zstd(compress, decompress)


@lru_cache(maxsize=1)
def _zstd() -> _Zstd | None:
    """Where it is installed: with Python from 3.14 on, else as a package."""
    for name, adapted in (("compression.zstd", _of_library), ("zstandard", _of_package)):
        try:
            return adapted(importlib.import_module(name))
        except ImportError:
            continue
    return None


# Looked for now, not by the first snapshot that is large, which may be when there is no memory left: CPython 3.12 and 3.13 drop a code object
# twice where they find none for its function (v3.13.0 Python/bytecodes.c, MAKE_FUNCTION: the code is dropped, but still on the stack that is unwound).
# An import makes functions: importlib._bootstrap._get_module_lock one each time, and then each module its own.
_zstd()


def number_of(name: str | None) -> int | None:
    """The number of a compression that a caller has named; None where it is left to us. `ValueError`, `SnapshotError`."""
    if name is None:
        return None
    if name not in COMPRESSIONS:
        raise ValueError(f"there is no compression {name!r}: choose one of {', '.join(COMPRESSIONS)}, or None")
    if name == "zstd" and _zstd() is None:
        raise SnapshotError("zstd is not installed: pip install 'stackful[zstd]', or choose \"zlib\"")
    return COMPRESSIONS.index(name)


def chosen(size: int) -> int:
    """What so many bytes are compressed with where nobody has said: zstd if it is there, for more than a few.

    Not zlib, which is slower than most disks.
    """
    return _ZSTD if size >= LEAST and _zstd() is not None else 0


def is_fast() -> bool:
    """Whether zstd is there."""
    return _zstd() is not None


def best() -> int:
    """What there is."""
    return _ZLIB if _zstd() is None else _ZSTD


def is_worthwhile(number: int, data: bytes | memoryview) -> bool:
    """Whether so much data is likely to become smaller: a piece from its middle is tried."""
    if len(data) <= 4 * _SAMPLE:
        return True
    middle = len(data) // 2
    sample = bytes(data[middle : middle + _SAMPLE])
    return len(compress(number, sample)) < _WORTH * len(sample)


def compress(number: int, data: bytes, base: bytes | None = None) -> bytes:
    """`data`, compressed; with `base`, only by what it has and that has not."""
    if number == _ZLIB:
        window = b"" if base is None else base[-_ZLIB_WINDOW:]
        packer = zlib.compressobj(_ZLIB_LEVEL, zdict=window)
        return packer.compress(data) + packer.flush()
    if number == _ZSTD:
        zstd = _zstd()
        assert zstd is not None  # number_of, best
        return zstd.compress(data, base)
    return data


def decompress(number: int, data: bytes | memoryview, size: int, base: bytes | None = None) -> bytes:
    """The `size` bytes that were compressed.

    `SnapshotFormatError` where that is not what comes of it, or where what is needed is not installed.
    """
    try:
        expanded = _expanded(number, bytes(data), size, base)
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, SnapshotFormatError):
            raise
        raise SnapshotFormatError(f"the snapshot cannot be decompressed: {error}") from error
    if len(expanded) != size:
        raise SnapshotFormatError(f"the snapshot cannot be decompressed: {len(expanded)} bytes, not {size}")
    return expanded


def _expanded(number: int, data: bytes, size: int, base: bytes | None) -> bytes:
    if number == _ZLIB:
        unpacker = zlib.decompressobj(zdict=b"" if base is None else base[-_ZLIB_WINDOW:])
        return unpacker.decompress(data, max(size, 1))
    if number == _ZSTD:
        zstd = _zstd()
        if zstd is None:
            raise SnapshotFormatError(
                "the snapshot is compressed with zstd, which is not installed: pip install 'stackful[zstd]'"
            )
        return zstd.decompress(data, size, base)
    if number != 0:
        raise SnapshotFormatError(f"the snapshot is compressed in a way that this release does not know: {number}")
    return data
