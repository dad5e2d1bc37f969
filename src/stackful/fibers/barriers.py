"""What a BarrierError says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stackful import stackmap
from stackful.fibers.frames import line_of

if TYPE_CHECKING:
    from types import CodeType

__all__ = ["describe_barrier"]


def describe_barrier(code: CodeType | None, offset: int, function: object) -> str:
    """The text of a BarrierError: which C operation stands in the way, and which Python frame began it."""
    way_out = "suspend outside of it, or replace it by plain Python"
    if code is None:
        name = getattr(function, "__qualname__", None) or repr(function)
        return (
            f"cannot suspend across a C call: the fiber's own function {name} is not a plain Python function; {way_out}"
        )
    operation = stackmap.describe_call(code, stackmap.instruction_start(code, offset))
    where = f"{code.co_filename}:{line_of(code, offset)}"
    return f'cannot suspend across a C call: {operation}, in frame "{code.co_qualname}" ({where}); {way_out}'
