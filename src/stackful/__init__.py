"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable    runs that survive kill -9
  4  snapshot   fibers as bytes
  1  fibers     suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from stackful.errors import (
    BarrierError,
    FiberError,
    FiberExit,
)
from stackful.fibers import NULL, Fiber, Frame, current, is_suspendable, suspend

__all__ = ["NULL", "BarrierError", "Fiber", "FiberError", "FiberExit", "Frame", "current", "is_suspendable", "suspend"]
