"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable    runs that survive kill -9
  4  snapshot   fibers as bytes
  1  fibers     suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from typing import TYPE_CHECKING, Any

from stackful import snapshot
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
from stackful.fibers import NULL, Fiber, Frame, current, is_suspendable, suspend

if TYPE_CHECKING:
    from stackful.durable.checkpoints import checkpoint

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


def __getattr__(name: str) -> Any:
    """`checkpoint` lives on floor 6, which nobody loads who does not ask for it."""
    if name == "checkpoint":
        from stackful.durable.checkpoints import checkpoint

        globals()["checkpoint"] = checkpoint
        return checkpoint
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
