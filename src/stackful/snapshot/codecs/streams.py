"""The standard streams: each process has its own."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS", "reduce_stream"]

_STREAMS = ("__stdin__", "__stdout__", "__stderr__")


def reduce_stream(_: Any, file: Any) -> Any:
    """NotImplemented where `file` is none of the standard streams."""
    name = next((name for name in _STREAMS if getattr(sys, name) is file), None)
    return NotImplemented if name is None else (stream, (name,))


def stream(name: str) -> Any:
    """A standard stream of this process."""
    if name not in _STREAMS:
        raise ValueError(f"there is no standard stream {name!r}")
    return getattr(sys, name)


REDUCERS: dict[type, Any] = {}
REBUILDERS = (stream,)
