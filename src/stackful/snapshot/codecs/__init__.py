"""How values of the types that the standard pickler leaves out are saved: one module for each family, and one table of them all.

A module has reducers, which say how an object is saved, as ``__reduce_ex__`` would, and rebuilders, which a snapshot calls to have it
back. A rebuilder is named in the bytes by its module and its name, so both are part of the format: they stay, and a load calls none that
is not in `REBUILDERS`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

from stackful.errors import SnapshotFormatError
from stackful.snapshot.codecs import (
    buffers,
    context,
    exceptions,
    files,
    functions,
    iterators,
    locks,
    names,
    patterns,
    refusals,
    streams,
    views,
    weak,
    wrappers,
)

__all__ = ["BASES", "REDUCERS", "Reducer", "find_late", "find_rebuilder"]

Reducer = Callable[[Any, Any], Any]
"""``reducer(pickler, value)``: what ``__reduce_ex__`` gives; NotImplemented leaves the value to the standard pickler."""

_FAMILIES = (
    buffers,
    context,
    exceptions,
    files,
    functions,
    iterators,
    locks,
    names,
    patterns,
    streams,
    views,
    weak,
    wrappers,
)

# Families of modules that few programs load: where a type comes from -> the family, which is loaded when there is such a value.
_LATE = {"_csv": "parsers", "_json": "parsers", "decimal": "decimals", "random": "chance", "typing": "generics"}

REDUCERS: dict[type, Reducer] = {kind: how for family in _FAMILIES for kind, how in family.REDUCERS.items()}
"""By the exact type of the value."""

BASES: tuple[tuple[type, Reducer], ...] = tuple(exceptions.BASES)
"""Those for subclasses as well; the first that fits is taken."""


def find_late(value: object) -> Reducer | None:
    """The reducer of a value whose family is loaded only now; `PicklingError` for one whose type is not saved on purpose."""
    kind = type(value)
    late = _LATE.get(kind.__module__)
    if late is None:
        refusals.refuse(value)
        return None
    found: Reducer | None = importlib.import_module(f"{__name__}.{late}").REDUCERS.get(kind)
    return found


def find_rebuilder(module: str, name: str) -> Callable[..., Any]:
    """What a name in the namespace of codecs means: a load calls nothing that a family does not list.

    Raises:
        SnapshotFormatError: this release has no such rebuilder.
    """
    family = module.removeprefix(f"{__name__}.")
    if family in _LATE.values():
        importlib.import_module(module)
    found = [function for function in getattr(sys.modules.get(module), "REBUILDERS", ()) if function.__name__ == name]
    if not found or f"{__name__}.{family}" != module:
        raise SnapshotFormatError(
            f"this release of Stackful does not know what {module}.{name} means: load with the one that saved"
        )
    rebuilder: Callable[..., Any] = found[0]
    return rebuilder
