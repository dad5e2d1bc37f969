"""Positions carried over from one version of Python to another, where the source is the same.

The other version's bytecode cannot be read here. What is known of a position in it is the place in the source, and the values on the
evaluation stack. Python evaluates from left to right in every version: so the same expression has left the same values there, and
versions differ only in where they put a NULL beside what is to be called, and in how they keep a loop.
"""

from __future__ import annotations

import opcode
import sys
from types import CodeType, MethodType
from typing import TYPE_CHECKING, Any

from stackful import stackmap
from stackful._core import NULL
from stackful.fibers.frames import slot_names
from stackful.snapshot.sources import Place, waits_of
from stackful.snapshot.statements import text_of
from stackful.stackmap import Kind

if TYPE_CHECKING:
    from stackful.snapshot.changes import Stored
    from stackful.snapshot.statements import Text

__all__ = ["cross"]

_YIELD = opcode.opmap["YIELD_VALUE"]
_NULLS = {Kind.NULL, Kind.MAYBE_NULL}
_PLAIN = {Kind.OBJECT, Kind.ITERATOR, Kind.LIST, Kind.SET, Kind.DICT, Kind.TUPLE, Kind.INDEX, *_NULLS}

_EXITS = {"BEFORE_WITH", "BEFORE_ASYNC_WITH", "LOAD_SPECIAL"}

Shape = tuple[tuple[Kind, bool], ...]
Mapped = tuple[int, tuple[Any, ...], tuple[Any, ...]]


def cross(stored: Stored, offset: int, slots: tuple[Any, ...], stack: tuple[Any, ...], waiting: str) -> Mapped:
    """Offset, locals and stack in `stored.code`, which this Python has compiled; `ValueError` says why there are none."""
    code = stored.code
    to, shape = 0, _shape(code, 0, waiting)
    if waiting != "fresh":
        place = stored.waits.places.get(offset)
        if place is None:
            raise ValueError("its position is not known")
        to = _offset(stored, place, waiting)
        shape = _shape(code, to, waiting)
    return to, _locals(stored, slots), fitted(shape, stack, stored.made_by)


def _shape(code: CodeType, offset: int, waiting: str) -> Shape:
    """What stands on the stack here: of each slot the kind, and whether it is what a ``with`` block ends by calling."""
    if waiting == "call":
        found = stackmap.stack_during_call(code, offset) if offset else ()
    else:
        found = stackmap.stack_when_fresh(code) if waiting == "fresh" else stackmap.stack_before(code, offset)[:-1]
    ops = [opcode.opname[code.co_code[slot.origin]] if slot.origin >= 0 else "" for slot in found]
    return tuple((slot.kind, op in _EXITS) for slot, op in zip(found, ops, strict=True))


def _offset(stored: Stored, place: Place, waiting: str) -> int:
    """The only instruction of its kind for the expression at this place, in both versions."""
    text, first = text_of(stored.source), stored.source.line
    wanted = _anchor(text, place, first)
    found = []
    for offset, other in waits_of(stored.code, first).places.items():
        is_yield = stored.code.co_code[offset] == _YIELD
        if is_yield == (waiting == "yield") and _anchor(text, other, first) == wanted:
            found.append(offset)
    if wanted is None or not found:
        raise ValueError(f"line {place[0] + first} is compiled in another way here")
    copies = max(len(found), sum(_anchor(text, other, first) == wanted for other in stored.waits.places.values()))
    if copies > 1 and not text.statements[wanted[0]].has_equal_copies:
        raise ValueError(f"the compiler has made several copies of line {place[0] + first}")
    return found[0]


def _anchor(text: Text, place: Place, first: int) -> tuple[int, int] | None:
    line, last, column, end = place
    place = (line + first, last + first, column, end)
    statement = text.at(place)
    node = None if statement is None else text.node_at(statement, place)
    return None if statement is None or node is None else (statement, node)


def _locals(stored: Stored, slots: tuple[Any, ...]) -> tuple[Any, ...]:
    """The locals by name; those of comprehensions have slots of the function in some versions, and hold nothing here."""
    held = dict(zip(stored.waits.slots, slots, strict=True))
    names = slot_names(stored.code)
    lost = [name for name, value in held.items() if value is not NULL and name not in names]
    if lost:
        raise ValueError(f'the local "{lost[0]}" has no place here')
    return tuple(held.get(name, NULL) for name in names)


def fitted(shape: Shape, stack: tuple[Any, ...], made_by: tuple[int, int]) -> tuple[Any, ...]:
    """The values of another version's evaluation stack in slots of this shape; `ValueError` where that is in doubt.

    >>> called = ((Kind.OBJECT, False), (Kind.NULL, False), (Kind.OBJECT, False))
    >>> fitted(called, (NULL, print, 1), (3, 12))
    (<built-in function print>, NULL, 1)
    """
    if not {kind for kind, _ in shape} <= _PLAIN:
        raise ValueError("an exception, or a comprehension, is on the evaluation stack: versions differ in how")
    values, at = list(stack), 0
    found: list[Any] = []
    while at < len(shape):
        kind, is_exit = shape[at]
        following = shape[at + 1][0] if at + 1 < len(shape) else None
        slots: tuple[Any, ...]
        if is_exit:
            slots = _exit(values, made_by)
        elif kind is Kind.ITERATOR:
            slots = _loop(values, made_by)
        elif kind in _NULLS or following in _NULLS:
            slots = _callee(values, kind in _NULLS)
        else:
            slots = (_next(values),)
        found += slots
        at += len(slots)
    if values:
        raise ValueError("there is more on the evaluation stack than is expected here")
    return tuple(found)


def _next(values: list[Any]) -> Any:
    """The next value from the bottom, which must be one."""
    if not values or values[0] is NULL:
        raise ValueError("something is missing on the evaluation stack")
    return values.pop(0)


def _callee(values: list[Any], null_comes_first: bool) -> tuple[Any, Any]:
    """What is to be called: a method and its object, in this order everywhere, or something else and a NULL beside it."""
    pair = values[:2]
    del values[:2]
    called = [value for value in pair if value is not NULL]
    if len(pair) != 2 or not called:
        raise ValueError("something is missing on the evaluation stack")
    if len(called) == 2:
        return called[0], called[1]
    return (NULL, called[0]) if null_comes_first else (called[0], NULL)


def _exit(values: list[Any], made_by: tuple[int, int]) -> tuple[Any, ...]:
    """What a ``with`` block calls at its end: from 3.14 on a function and its object, before that a method (v3.14.0 LOAD_SPECIAL)."""
    function = _next(values)
    bound_to = NULL
    if made_by >= (3, 14):
        if not values:
            raise ValueError("something is missing on the evaluation stack")
        bound_to = values.pop(0)
    if sys.version_info >= (3, 14):
        return function, bound_to
    return (function if bound_to is NULL else MethodType(function, bound_to),)


def _loop(values: list[Any], made_by: tuple[int, int]) -> tuple[Any, ...]:
    """What a loop advances: in 3.15 it can be a list, tuple or string, and a number beside it."""
    looped = _next(values)
    if made_by >= (3, 15):
        index = values.pop(0) if values else NULL
        if index is not NULL:
            looped = iter(looped)
            looped.__setstate__(index)
    return (looped, NULL) if sys.version_info >= (3, 15) else (looped,)
