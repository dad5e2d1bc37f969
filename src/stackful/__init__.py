"""Stackful: a running Python program is a value.

Floors (imports point down only; ARCHITECTURE.md has the picture):
  6  durable         runs that survive kill -9
  5  tasks           channels, and who runs next
  4  snapshot        fibers as bytes
  3  search          choose, fail, cut
     effects         perform and handle
     coroutines      transfer
     generators      yields from any depth; copies of CPython's own generators
     tail            goto with arguments
  2  continuations   prompts and continuations
  1  fibers          suspend, resume, copy
  0  _core (C), stackmap, errors
This file only re-exports.
"""

from __future__ import annotations

from importlib import import_module

from stackful import interpreter as _interpreter

_interpreter.check_interpreter()

from stackful import _core
from stackful.errors import (
    AlreadyResumedError,
    BarrierError,
    ChannelClosedError,
    CodeChangedError,
    DeadlockError,
    FiberError,
    FiberExit,
    InternalError,
    KeyFileError,
    NameRefusedError,
    PromptNotFoundError,
    ReconnectError,
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
from stackful.fibers import NULL, Fiber, current, is_capturable, is_suspendable, resume, suspend, suspend_to

TYPE_CHECKING = False  # the module `typing` is slow to load, and a script under `stackful run` would wait for it
if TYPE_CHECKING:
    from typing import Any

    from stackful import snapshot, tasks
    from stackful.continuations import (
        PromptTag,
        abort,
        barrier,
        call_cc,
        call_ec,
        control,
        control0,
        dynamic_wind,
        prompt,
        prompt0,
        reset,
        reset0,
        run,
        shift,
        shift0,
    )
    from stackful.coroutines import Coroutine, transfer
    from stackful.durable.checkpoints import checkpoint
    from stackful.effects import Clause, Handler, Operation, Resumption, effect, handle, perform
    from stackful.fibers import Frame
    from stackful.fibers.drawing import picture
    from stackful.generators import Generator, copy_generator, generator, yield_
    from stackful.search import choose, cut, fail, require, solutions
    from stackful.tail import tail_call, trampolined

__all__ = [
    "NULL",
    "AlreadyResumedError",
    "BarrierError",
    "ChannelClosedError",
    "Clause",
    "CodeChangedError",
    "Coroutine",
    "DeadlockError",
    "Fiber",
    "FiberError",
    "FiberExit",
    "Frame",
    "Generator",
    "Handler",
    "InternalError",
    "KeyFileError",
    "NameRefusedError",
    "Operation",
    "PromptNotFoundError",
    "PromptTag",
    "ReconnectError",
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
    "abort",
    "barrier",
    "call_cc",
    "call_ec",
    "checkpoint",
    "choose",
    "control",
    "control0",
    "copy_generator",
    "current",
    "cut",
    "dynamic_wind",
    "effect",
    "fail",
    "generator",
    "handle",
    "is_capturable",
    "is_suspendable",
    "perform",
    "picture",
    "prompt",
    "prompt0",
    "require",
    "reset",
    "reset0",
    "resume",
    "run",
    "shift",
    "shift0",
    "snapshot",
    "solutions",
    "suspend",
    "suspend_to",
    "tail_call",
    "tasks",
    "trampolined",
    "transfer",
    "yield_",
]


_core.register("reduce", "stackful.snapshot:reduce_fiber")
_core.register("deepcopy", "stackful.snapshot:deepcopy_fiber")
_core.register("why_not_portable", "stackful.snapshot:why_not_portable")
_core.register("prompt_not_found", "stackful.continuations.missing:prompt_not_found")


def __getattr__(name: str) -> Any:
    """Upper floors are loaded by whoever first asks for them."""
    if name in ("snapshot", "tasks"):
        return import_module(f"stackful.{name}")
    homes = {
        "stackful.durable.checkpoints": ("checkpoint",),
        "stackful.effects": ("Clause", "Handler", "Operation", "Resumption", "effect", "handle", "perform"),
        "stackful.tail": ("tail_call", "trampolined"),
        "stackful.search": ("choose", "cut", "fail", "require", "solutions"),
        "stackful.generators": ("Generator", "copy_generator", "generator", "yield_"),
        "stackful.fibers.drawing": ("picture",),
        "stackful.fibers.frames": ("Frame",),
        "stackful.continuations": (
            "PromptTag",
            "abort",
            "barrier",
            "call_cc",
            "call_ec",
            "control",
            "control0",
            "dynamic_wind",
            "prompt",
            "prompt0",
            "reset",
            "reset0",
            "run",
            "shift",
            "shift0",
        ),
        "stackful.coroutines": ("Coroutine", "transfer"),
    }
    for home, names in homes.items():
        if name in names:
            globals()[name] = getattr(import_module(home), name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
