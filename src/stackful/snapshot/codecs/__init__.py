"""How values of the types that the standard pickler leaves out are saved: one module for each family, and one table of them all.

A module has reducers, which say how an object is saved, as ``__reduce_ex__`` would, and rebuilders, which a snapshot calls to have it
back. A rebuilder is named in the bytes by its module and its name, so both are part of the format: they stay, and a load calls none that
is not in `REBUILDERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any

from stackful.snapshot.codecs import exceptions, files, iterators, streams, views, wrappers

__all__ = ["BASES", "REBUILDERS", "REDUCERS", "Reducer"]

Reducer = Callable[[Any, Any], Any]
"""``reducer(pickler, value)``: what ``__reduce_ex__`` gives; NotImplemented leaves the value to the standard pickler."""

_FAMILIES = (exceptions, files, iterators, streams, views, wrappers)

REDUCERS: dict[type, Reducer] = {kind: how for family in _FAMILIES for kind, how in family.REDUCERS.items()}
"""By the exact type of the value."""

BASES: tuple[tuple[type, Reducer], ...] = tuple(exceptions.BASES)
"""Those for subclasses as well; the first that fits is taken."""

REBUILDERS: dict[tuple[str, str], Callable[..., Any]] = {
    (function.__module__, function.__qualname__): function
    for function in chain.from_iterable(family.REBUILDERS for family in _FAMILIES)
}
"""What a snapshot may call, by the names that it has in the bytes."""
