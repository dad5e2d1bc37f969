"""What Python has one of and no module names, types of builtin objects among it; and modules that a program has made."""

from __future__ import annotations

import collections
import functools
import sys
import types
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS", "reduce_hidden_type"]

_FULL: tuple[Any, ...] = (
    [],
    (),
    {},
    set(),
    "",
    "ä",
    b"",
    bytearray(),
    range(0),
    range(1 << 70),
    memoryview(b""),
    {}.values(),
    {}.items(),
)
_TURNED: tuple[Any, ...] = ([], {}, {}.values(), {}.items(), collections.deque())
_ORDERED: Any = collections.OrderedDict()
_NEVER: Any = len
_EXAMPLES: tuple[Any, ...] = (
    *map(iter, _FULL), *map(reversed, _TURNED), iter(_NEVER, 0), iter(collections.UserString("")), iter(collections.deque()),
    {}.keys(), {}.values(), {}.items(), _ORDERED.keys(), _ORDERED.values(), _ORDERED.items(), iter(_ORDERED),
    functools.lru_cache(len), functools.cmp_to_key(max), sys.flags, sys.float_info, sys.version_info, sys.hash_info,
    sys.int_info, sys.thread_info, sys.implementation, list[int], int | str,
)  # fmt: skip
_HIDDEN = {f"{kind.__module__}.{kind.__qualname__}": kind for kind in map(type, _EXAMPLES)}
_NAMES = {kind: name for name, kind in _HIDDEN.items()}
_ONLY = {type(value): name for name in ("flags", "version_info") if (value := getattr(sys, name)) is not None}


def reduce_hidden_type(kind: type) -> Any:
    """NotImplemented where a module has the type under its name, or nothing is known of it."""
    name = _NAMES.get(kind)
    if name is None or getattr(sys.modules.get(kind.__module__), kind.__qualname__, None) is kind:
        return NotImplemented
    return hidden_type, (name,)


def hidden_type(name: str) -> type:
    """The type of something builtin that no module names."""
    return _HIDDEN[name]


def _reduce_only(_: Any, value: Any) -> Any:
    name = _ONLY[type(value)]
    return of_sys, (name,)


def of_sys(name: str) -> Any:
    """What `sys` has one of, and no type to make another."""
    if name not in _ONLY.values():
        raise ValueError(f"this is not taken from sys: {name!r}")
    return getattr(sys, name)


def made_module(name: str) -> types.ModuleType:
    """A module that the program has made, and nobody can import."""
    return types.ModuleType(name)


def fill_made_module(module: types.ModuleType, members: dict[str, Any]) -> None:
    """What is in such a module."""
    vars(module).update(members)


REDUCERS: dict[type, Any] = dict.fromkeys(_ONLY, _reduce_only)
REBUILDERS = (hidden_type, of_sys, made_module, fill_made_module)
