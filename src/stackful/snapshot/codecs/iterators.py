"""Iterators written in C: each goes on where it stood.

Those of itertools tell nobody where they stand from 3.14 on, and `pairwise` and `batched` never did; those of dicts tell what is left, but a
loop over a dict sees what becomes of it. So the core reads where they stand, and puts new ones there.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from stackful import _core
from stackful.errors import SnapshotFormatError
from stackful.fibers.iterators import reduce_count

__all__ = ["REBUILDERS", "REDUCERS"]

_END = _core.exhausted  # what is made of it may be filled
_GROUPER: Any = type(next(itertools.groupby("a"))[1])
_LINK = itertools._tee_dataobject  # type: ignore[attr-defined]

_BLANKS: dict[str, Callable[[], Any]] = {
    "accumulate": lambda: itertools.accumulate(_END),
    "chain": lambda: itertools.chain.from_iterable(_END),
    "combinations": lambda: itertools.combinations([_END], 0),
    "combinations_with_replacement": lambda: itertools.combinations_with_replacement([_END], 0),
    "compress": lambda: itertools.compress(_END, _END),
    "cycle": lambda: itertools.cycle(_END),
    "dropwhile": lambda: itertools.dropwhile(bool, _END),
    "filterfalse": lambda: itertools.filterfalse(None, _END),
    "groupby": lambda: itertools.groupby(_END),
    "_grouper": lambda: _GROUPER(itertools.groupby(()), _END),
    "islice": lambda: itertools.islice(_END, 0),
    "pairwise": lambda: itertools.pairwise(_END),
    "permutations": lambda: itertools.permutations([_END], 0),
    "product": lambda: itertools.product([_END]),
    "repeat": lambda: itertools.repeat(_END, 0),
    "starmap": lambda: itertools.starmap(bool, _END),
    "takewhile": lambda: itertools.takewhile(bool, _END),
    "tee": lambda: itertools.tee(_END, 1)[0],
    "zip_longest": lambda: itertools.zip_longest(_END),
    "dict keys": lambda: iter({_END: None}),
    "dict values": lambda: iter({_END: None}.values()),
    "dict items": lambda: iter({_END: None}.items()),
    "dict keys, reversed": lambda: reversed({_END: None}),
    "dict values, reversed": lambda: reversed({_END: None}.values()),
    "dict items, reversed": lambda: reversed({_END: None}.items()),
}
if hasattr(itertools, "batched"):  # 3.12
    _BLANKS["batched"] = lambda: vars(itertools)["batched"](_END, 1)

_NAMES: dict[type, str] = {type(make()): name for name, make in _BLANKS.items()}


def _reduce_iterator(_: Any, it: Any) -> Any:
    return iterator, (_NAMES[type(it)],), _core.iterator_state(it), None, None, fill_iterator


def iterator(kind: str) -> Any:
    """An iterator that is still to be filled."""
    make = _BLANKS.get(kind)
    if make is None:
        raise SnapshotFormatError(f"this Python has no iterator {kind!r}: load the snapshot with the one that made it")
    return make()


def fill_iterator(it: Any, state: tuple[Any, ...]) -> None:
    """Where an iterator stands."""
    _core.fill_iterator(it, state)


def _reduce_link(_: Any, __: Any) -> Any:
    """Which of the parts that the iterators of one ``tee()`` share; what is in it comes with those iterators."""
    return tee_link, ()


def tee_link() -> Any:
    """A part of what iterators of one ``tee()`` share, still empty."""
    return _LINK(_END, [], None)


def _reduce_count(_: Any, it: itertools.count[Any]) -> Any:
    return reduce_count(it)


def _reduce_memory_iterator(_: Any, it: Any) -> Any:
    view, index = _core.iterator_state(it)
    return memory_iterator, (None if view is _core.NULL else view, index)


def memory_iterator(view: memoryview | None, index: int) -> Any:
    """An iterator over a memoryview, from an index on."""
    it = iter(memoryview(b"") if view is None else view)
    for _ in itertools.islice(it, index):
        pass
    return it


REDUCERS: dict[type, Any] = {
    **dict.fromkeys(_NAMES, _reduce_iterator),
    _LINK: _reduce_link,
    itertools.count: _reduce_count,
    type(iter(memoryview(b""))): _reduce_memory_iterator,
}
REBUILDERS = (iterator, fill_iterator, tee_link, memory_iterator)
