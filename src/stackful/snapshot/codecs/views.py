"""Views of dicts: they go on showing the dict."""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]

_KINDS = ("keys", "values", "items")
_DICTS: tuple[dict[Any, Any], ...] = ({}, OrderedDict())
_VIEWS = {type(getattr(mapping, kind)()): kind for mapping in _DICTS for kind in _KINDS}


def _reduce_view(_: Any, seen: Any) -> Any:
    (mapping,) = gc.get_referents(seen)
    return view, (mapping, _VIEWS[type(seen)])


def view(mapping: dict[Any, Any], kind: str) -> Any:
    """A live view of a dict."""
    if kind not in _KINDS:
        raise ValueError(f"dicts have no view {kind!r}")
    return getattr(mapping, kind)()


REDUCERS: dict[type, Any] = dict.fromkeys(_VIEWS, _reduce_view)
REBUILDERS = (view,)
