"""Values as short text, made without running any code of theirs: no ``__repr__``, no property, no ``__len__``."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["describe", "tree"]

# repr() of exactly these types runs nobody else's code.
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, range, type(None), type(Ellipsis), type(NotImplemented))
_BRACKETS: dict[Any, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}
_NAMED: dict[Any, str] = {
    types.FunctionType: "function",
    types.BuiltinFunctionType: "function",
    types.MethodType: "method",
    types.GeneratorType: "generator",
    types.CoroutineType: "coroutine",
}
_EMPTY: dict[Any, str] = {set: "set()", frozenset: "frozenset()"}
_ITEMS = 6
_DEPTH = 3
_DIGITS = 40


def describe(value: object, width: int = 100) -> str:
    """One line that says what a value is, at most ``width`` characters long.

    Example:
        >>> describe([1, "two", (3,)])
        "[1, 'two', (3,)]"
        >>> describe("a" * 100, width=10)
        "'aaaaaaaa…"
    """
    return _cut(_text(value, _DEPTH), width)


def tree(value: object, depth: int = 4, most: int = 100) -> dict[str, Any]:
    """A value with its parts, for a page to show: ``kind``, ``text``, ``parts`` as (name, tree) pairs, ``more``: how many were left out.

    Args:
        value: anything; no code of its own is run.
        depth: how many levels of parts.
        most: how many parts of each.

    Example:
        >>> tree({"a": 1})
        {'kind': 'dict', 'text': "{'a': 1}", 'parts': [("'a'", {'kind': 'int', 'text': '1'})]}
    """
    kind: Any = type(value)
    found: dict[str, Any] = {"kind": type.__getattribute__(kind, "__qualname__"), "text": describe(value)}
    size, parts = _named_parts(value, kind)
    if size and depth:
        shown = [(name, tree(part, depth - 1, most)) for (name, part), _ in zip(parts, range(most), strict=False)]
        found["parts"] = shown
        if size > len(shown):
            found["more"] = size - len(shown)
    return found


def _named_parts(value: Any, kind: Any) -> tuple[int, Iterable[tuple[str, Any]]]:
    """How many parts a value has, and those by the names that lead to them."""
    base: Any = next((base for base in kind.__mro__ if base in _BRACKETS), None)
    if base is dict:
        return dict.__len__(value), ((_text(key, 1), item) for key, item in dict.items(value))
    if base is not None:
        items = enumerate(base.__iter__(value))
        return base.__len__(value), ((f"[{index}]" if base in (list, tuple) else "·", item) for index, item in items)
    if issubclass(kind, type | types.ModuleType) or kind in _NAMED or kind.__module__.partition(".")[0] == "stackful":
        return 0, ()
    fields = _fields(value)
    return len(fields), fields.items()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _text(value: object, depth: int) -> str:
    kind: Any = type(value)  # isinstance() would ask the value for its __class__
    if kind in _PLAIN:
        return _plain(value, kind)
    if kind in _BRACKETS:
        return _container(value, kind, depth)
    if kind.__module__.partition(".")[0] == "stackful":
        return repr(value)
    return _named(value, kind) or _instance(value, kind, depth)


def _plain(value: Any, kind: Any) -> str:
    if kind is int and abs(value) >= 10**_DIGITS:
        return f"<int of {value.bit_length()} bits>"
    return repr(value[:200]) if kind in (str, bytes, bytearray) else repr(value)


def _container(value: Any, kind: Any, depth: int) -> str:
    opening, closing = _BRACKETS[kind]
    size = kind.__len__(value)
    if not size:
        return _EMPTY.get(kind, opening + closing)
    if not depth:
        return f"{opening}…{closing}"
    parts = list(_parts(value, kind, depth - 1))
    comma = "," if kind is tuple and size == 1 else ""
    rest = f", … {size} in all" if size > _ITEMS else ""
    return f"{opening}{', '.join(parts)}{comma}{rest}{closing}"


def _parts(value: Any, kind: Any, depth: int) -> Iterator[str]:
    if kind is dict:
        return (f"{_text(key, depth)}: {_text(item, depth)}" for key, item in _first(dict.items(value)))
    return (_text(item, depth) for item in _first(kind.__iter__(value)))


def _first(items: Iterable[Any]) -> Iterator[Any]:
    return (item for item, _ in zip(items, range(_ITEMS), strict=False))


def _named(value: Any, kind: Any) -> str | None:
    """Code is its name, and CPython's own iterators are what they have before them."""
    if issubclass(kind, type):
        return f"<class {type.__getattribute__(value, '__qualname__')}>"
    if issubclass(kind, types.ModuleType):
        return f"<module {types.ModuleType.__getattribute__(value, '__name__')}>"
    if kind in _NAMED:
        return f"<{_NAMED[kind]} {value.__qualname__}>"
    if kind.__module__ == "builtins" and "__length_hint__" in kind.__dict__:
        return f"<{kind.__name__}, {kind.__length_hint__(value)} to go>"
    return None


def _instance(value: object, kind: Any, depth: int) -> str:
    """An object by its attributes; a subclass of a container or an exception by what it contains."""
    name = type.__getattribute__(kind, "__qualname__")
    base: Any = next((base for base in kind.__mro__ if base in _BRACKETS or base in _PLAIN), None)
    if base in _BRACKETS:
        return f"{name}({_container(value, base, depth)})"
    if base is not None:
        return f"{name}({base.__repr__(value)})"
    if issubclass(kind, BaseException):
        return f"{name}({', '.join(_text(part, depth - 1) for part in _args(value))})" if depth else f"{name}(…)"
    return _object(name, _fields(value), depth)


def _object(name: str, fields: dict[str, Any], depth: int) -> str:
    if not fields:
        return f"<{name}>"
    if not depth:
        return f"{name}(…)"
    parts = [f"{key}={_text(field, depth - 1)}" for key, field in _first(fields.items())]
    return f"{name}({', '.join(parts)}{', …' if len(fields) > _ITEMS else ''})"


def _args(error: Any) -> tuple[Any, ...]:
    args: tuple[Any, ...] = BaseException.__dict__["args"].__get__(error)
    return args


def _fields(value: object) -> dict[str, Any]:
    try:
        fields = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return fields if type(fields) is dict else {}
