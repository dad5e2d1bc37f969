"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable    runs that survive kill -9
  4  snapshot   fibers as bytes
  1  fibers     suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from stackful import snapshot
from stackful.durable.checkpoints import checkpoint
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
