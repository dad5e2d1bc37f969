"""Objects that hold frames: pickled and copied as fibers are."""

from __future__ import annotations

from typing import Any, SupportsIndex

from stackful import _core

__all__ = ["SCRIPTS", "Portable"]

SCRIPTS = frozenset({"__main__", "__mp_main__"})
"""Modules that another process has not got, or has another one by that name: what stands in them travels with what refers to it."""


class Portable:
    """Pickled as a snapshot, or within one by its parts; never changed, so that a shallow copy is the object itself."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return _core.reduce(self)

    def __copy__(self) -> Portable:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return _core.deepcopy(self, memo)

    def reduce_within_snapshot(self) -> Any:
        """As `object` pickles what has slots."""
        return object.__reduce_ex__(self, 5)
