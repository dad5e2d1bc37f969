"""The standard streams: each process has its own."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS", "reduce_stream"]

_STREAMS = ("__stdin__", "__stdout__", "__stderr__")
_LAYERS = ("", "buffer", "buffer.raw")


def _layer(name: str, layers: str) -> Any:
    found = getattr(sys, name)
    for layer in layers.split(".") if layers else ():
        found = getattr(found, layer, None)
    return found


def reduce_stream(_: Any, file: Any) -> Any:
    """NotImplemented where `file` is none of the standard streams, nor what lies beneath one."""
    for name in _STREAMS:
        for layers in _LAYERS:
            if _layer(name, layers) is file:
                return stream, ((name, layers) if layers else (name,))
    return NotImplemented


def stream(name: str, layers: str = "") -> Any:
    """A standard stream of this process, or what lies beneath it."""
    if name not in _STREAMS or layers not in _LAYERS:
        raise ValueError(f"there is no standard stream {name!r}")
    return _layer(name, layers)


REDUCERS: dict[type, Any] = {}
REBUILDERS = (stream,)
