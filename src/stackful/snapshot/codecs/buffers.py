"""Views of memory, and what reads binary records from it."""

from __future__ import annotations

import gc
import struct
from math import prod
from typing import Any

from stackful import _core
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_UNPACKER = type(struct.iter_unpack("B", b"1"))


def _reduce_memoryview(_: Any, view: memoryview) -> Any:
    try:
        shown = view.obj
    except ValueError:
        return released_view, ()
    if shown is None:  # of memory that is no object's
        raise RefusedError("a view of memory that belongs to no object is not saved: save what it shows")
    shape = tuple(view.shape or ())
    how = (_core.view_offset(view), view.itemsize, _step(view), view.format, shape, view.readonly)
    return memory_view, (shown, *how)


def _step(view: memoryview) -> int:
    """By how many items one is before the next."""
    if view.c_contiguous or not view.strides:
        return 1
    if view.ndim != 1 or view.strides[0] % view.itemsize:
        raise RefusedError("a view of scattered memory is not saved: save what it shows")
    return view.strides[0] // view.itemsize


def memory_view(
    shown: Any, offset: int, size: int, step: int, code: str, shape: tuple[int, ...], readonly: bool
) -> Any:
    """A view of (a part of) an object."""
    whole = memoryview(shown)
    if readonly and not whole.readonly:
        whole = whole.toreadonly()
    flat: Any = whole.cast("B") if whole.format != "B" or whole.ndim != 1 else whole
    if step == 1:
        part = flat[offset : offset + size * prod(shape)]
        return part if code == "B" and len(shape) == 1 else part.cast(code, shape)
    start, first = offset % size, offset // size
    items = flat[start : start + (len(flat) - start) // size * size].cast(code)
    last = first + step * shape[0]
    return items[first : last if last >= 0 else None : step]


def released_view() -> memoryview:
    """A view that shows nothing any more."""
    view = memoryview(b"")
    view.release()
    return view


def _reduce_struct(_: Any, packer: struct.Struct) -> Any:
    return struct.Struct, (packer.format,)


def _reduce_unpacker(_: Any, iterator: Any) -> Any:
    """It refers to its `Struct` and to what it reads; how many records are left it tells."""
    left = iterator.__length_hint__()
    packer = next((held for held in gc.get_referents(iterator) if type(held) is struct.Struct), None)
    if packer is None:
        return unpacker, (struct.Struct(""), b"")  # at its end it has let go of both
    (source,) = (held for held in gc.get_referents(iterator) if held is not packer and not isinstance(held, type))
    data = bytes(memoryview(source).cast("B"))
    return unpacker, (packer, data[len(data) - left * packer.size :])


def unpacker(packer: struct.Struct, data: bytes) -> Any:
    """What ``iter_unpack`` gives; at its end when there is no data."""
    return packer.iter_unpack(data) if data else advanced_to_end()


def advanced_to_end() -> Any:
    """An ``iter_unpack`` that has nothing left."""
    iterator = struct.iter_unpack("B", b"1")
    next(iterator)
    next(iterator, None)
    return iterator


REDUCERS: dict[type, Any] = {
    memoryview: _reduce_memoryview,
    struct.Struct: _reduce_struct,
    _UNPACKER: _reduce_unpacker,
}
REBUILDERS = (memory_view, released_view, unpacker)
