"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable    runs that survive kill -9
  4  snapshot   fibers as bytes
  3  effects    perform and handle
     search     choose, fail, cut
     tail       goto with arguments
     generators yields from any depth; copies of CPython's own generators
  1  fibers     suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from stackful import _core
from stackful.errors import (
    AlreadyResumedError,
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
    UnhandledError,
    UnsaveableError,
)
from stackful.fibers import NULL, Fiber, Frame, current, is_suspendable, suspend

if TYPE_CHECKING:
    from stackful import snapshot
    from stackful.durable.checkpoints import checkpoint
    from stackful.effects import Clause, Handler, Operation, Resumption, effect, handle, perform
    from stackful.generators import Generator, copy_generator, generator, yield_
    from stackful.search import choose, cut, fail, solutions
    from stackful.tail import tail_call, trampolined

__all__ = [
    "NULL",
    "AlreadyResumedError",
    "BarrierError",
    "Clause",
    "CodeChangedError",
    "Fiber",
    "FiberError",
    "FiberExit",
    "Frame",
    "Generator",
    "Handler",
    "InternalError",
    "Operation",
    "Resumption",
    "RunLockedError",
    "RunNotFoundError",
    "SealError",
    "SnapshotError",
    "SnapshotFormatError",
    "SnapshotVersionError",
    "StackfulError",
    "StoreError",
    "UnhandledError",
    "UnsaveableError",
    "checkpoint",
    "choose",
    "copy_generator",
    "current",
    "cut",
    "effect",
    "fail",
    "generator",
    "handle",
    "is_suspendable",
    "perform",
    "snapshot",
    "solutions",
    "suspend",
    "tail_call",
    "trampolined",
    "yield_",
]


_core.register("reduce", "stackful.snapshot:reduce_fiber")
_core.register("deepcopy", "stackful.snapshot:deepcopy_fiber")
_core.register("why_not_portable", "stackful.snapshot:why_not_portable")


def __getattr__(name: str) -> Any:
    """Upper floors are loaded by whoever first asks for them."""
    if name == "snapshot":
        return import_module("stackful.snapshot")
    homes = {
        "stackful.durable.checkpoints": ("checkpoint",),
        "stackful.effects": ("Clause", "Handler", "Operation", "Resumption", "effect", "handle", "perform"),
        "stackful.tail": ("tail_call", "trampolined"),
        "stackful.search": ("choose", "cut", "fail", "solutions"),
        "stackful.generators": ("Generator", "copy_generator", "generator", "yield_"),
    }
    for home, names in homes.items():
        if name in names:
            globals()[name] = getattr(import_module(home), name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
