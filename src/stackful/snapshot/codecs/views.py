"""Views: what shows another object, and goes on showing it."""

from __future__ import annotations

import gc
from types import MappingProxyType
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]

_VIEWS = {type({}.keys()): "keys", type({}.values()): "values", type({}.items()): "items"}


def _reduce_view(_: Any, seen: Any) -> Any:
    (mapping,) = gc.get_referents(seen)
    return view, (mapping, _VIEWS[type(seen)])


def view(mapping: dict[Any, Any], kind: str) -> Any:
    """A live view of a dict."""
    return getattr(mapping, kind)()


def _reduce_proxy(_: Any, proxy: MappingProxyType[Any, Any]) -> Any:
    (mapping,) = gc.get_referents(proxy)
    return MappingProxyType, (mapping,)


REDUCERS: dict[type, Any] = {MappingProxyType: _reduce_proxy, **dict.fromkeys(_VIEWS, _reduce_view)}
REBUILDERS = (view,)
