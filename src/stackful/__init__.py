"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable    runs that survive kill -9
  4  snapshot   fibers as bytes
  1  fibers     suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from __future__ import annotations

from importlib import import_module

from stackful import interpreter as _interpreter

_interpreter.check_interpreter()

from stackful import _core
from stackful.errors import (
    BarrierError,
    CodeChangedError,
    FiberError,
    FiberExit,
    InternalError,
    RunLockedError,
    RunNotFoundError,
    SealError,
    SnapshotError,
    SnapshotFormatError,
    SnapshotVersionError,
    StackfulError,
    StoreError,
    UnsaveableError,
)
from stackful.fibers import NULL, Fiber, current, is_suspendable, suspend

TYPE_CHECKING = False  # the module `typing` is slow to load, and a script under `stackful run` would wait for it
if TYPE_CHECKING:
    from typing import Any

    from stackful import snapshot
    from stackful.durable.checkpoints import checkpoint
    from stackful.fibers import Frame

__all__ = [
    "NULL",
    "BarrierError",
    "CodeChangedError",
    "Fiber",
    "FiberError",
    "FiberExit",
    "Frame",
    "InternalError",
    "RunLockedError",
    "RunNotFoundError",
    "SealError",
    "SnapshotError",
    "SnapshotFormatError",
    "SnapshotVersionError",
    "StackfulError",
    "StoreError",
    "UnsaveableError",
    "checkpoint",
    "current",
    "is_suspendable",
    "snapshot",
    "suspend",
]


_core.register("reduce", "stackful.snapshot:reduce_fiber")
_core.register("deepcopy", "stackful.snapshot:deepcopy_fiber")
_core.register("why_not_portable", "stackful.snapshot:why_not_portable")


def __getattr__(name: str) -> Any:
    """Upper floors are loaded by whoever first asks for them."""
    if name == "snapshot":
        return import_module("stackful.snapshot")
    places = {"Frame": "stackful.fibers.frames", "checkpoint": "stackful.durable.checkpoints"}
    if name in places:
        globals()[name] = getattr(import_module(places[name]), name)
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
