"""What is said of the C code that stands between a fiber and its prompt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stackful import stackmap
from stackful.fibers.frames import line_of

if TYPE_CHECKING:
    from types import CodeType

_BARRIER = str(Path(__file__).parents[1] / "continuations" / "prompts.py")

__all__ = ["describe_barrier", "describe_kept"]


def describe_barrier(code: CodeType | None, offset: int, function: object) -> str:
    """The text of a BarrierError: which C operation stands in the way, and which Python frame began it."""
    return f"cannot suspend across a C call: {_place(code, offset, function)}; suspend outside of it, or replace it by plain Python"


def describe_kept(code: CodeType | None, offset: int, function: object) -> str:
    """Why a fiber that waits with its C stack is not portable."""
    return f"it is suspended behind a C call: {_place(code, offset, function)}; what C code keeps on its stack can be neither copied nor stored"


def _place(code: CodeType | None, offset: int, function: object) -> str:
    if code is None:
        name = getattr(function, "__qualname__", None) or repr(function)
        return f"the fiber's own function {name} is not a plain Python function"
    if code.co_qualname == "barrier" and code.co_filename == _BARRIER:
        return "a barrier() stands in between"
    operation = stackmap.describe_call(code, stackmap.instruction_start(code, offset))
    return f'{operation}, in frame "{code.co_qualname}" ({code.co_filename}:{line_of(code, offset)})'
