"""What keeps a restored frame from harming the interpreter.

CPython trusts what its compiler guarantees: FOR_ITER calls a slot that only iterators have, LOAD_FAST reads a local that is bound. A frame
built from stored data must keep those guarantees. This is what stands between a damaged state and a crash.

No generators where frames are verified: CPython 3.12 and 3.13 crash when there is no memory for one.
"""

from __future__ import annotations

import opcode
import sys
from itertools import repeat
from operator import contains
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from stackful import stackmap
from stackful._core import NULL, loops_by_number
from stackful.errors import SnapshotFormatError
from stackful.fibers.frames import slot_names
from stackful.stackmap import Kind

__all__ = ["is_half_built", "verify"]

_YIELD = opcode.opmap["YIELD_VALUE"]
_MAY_BE_NULL = {Kind.NULL, Kind.MAYBE_NULL, Kind.SAVED_LOCAL, Kind.INDEX}
_DISPLAYS = {Kind.LIST, Kind.SET, Kind.DICT}
_NUMBERS = {Kind.LASTI, Kind.INDEX} if sys.version_info >= (3, 14) else set()
_MOST = 1 << 60
_EXACT: dict[Kind, type] = {
    Kind.LIST: list,
    Kind.SET: set,
    Kind.DICT: dict,
    Kind.TUPLE: tuple,
    Kind.CODE: CodeType,
    Kind.FUNCTION: FunctionType,
    Kind.CELL: CellType,
}
if sys.version_info >= (3, 14):
    from string.templatelib import Interpolation

    _EXACT[Kind.INTERPOLATION] = Interpolation


# What the core can check by itself (csrc/rules.c, slot_fits): a letter for each slot. Kinds that are not here, and locals of a certain
# kind, need the bytecode; frames that have them are checked here each time.
_ANYTHING, _NOT_NULL, _CELL = "a", "o", "c"
_LETTERS: dict[Kind, str] = {
    Kind.OBJECT: _NOT_NULL,
    Kind.NULL: "n",
    Kind.MAYBE_NULL: _ANYTHING,
    Kind.SAVED_LOCAL: _ANYTHING,
    Kind.ITERATOR: "i",
    Kind.LIST: "l",
    Kind.SET: "s",
    Kind.DICT: "d",
    Kind.TUPLE: "t",
    Kind.CELL: _CELL,
    Kind.EXCEPTION: "e",
    Kind.MAYBE_EXCEPTION: "m",
}


class _Rules(NamedTuple):
    """What a frame must hold that waits at one instruction of one code object."""

    slots: int
    stack: tuple[Kind, ...]
    bound: tuple[int, ...]
    cells: tuple[int, ...]
    typed: tuple[tuple[int, Kind], ...]
    names: tuple[tuple[str, Kind], ...]
    answer: tuple[int, tuple[int, ...]]
    demands: bytes | None
    """For the core: a letter for each local and each slot of the stack; None if that cannot say it."""


_rules: dict[tuple[int, int, str], tuple[CodeType, _Rules]] = {}


def _expected_stack(code: CodeType, offset: int, waiting: str) -> tuple[stackmap.Slot, ...]:
    if waiting == "call":
        return stackmap.stack_during_call(code, offset)
    if waiting == "fresh":
        return stackmap.stack_when_fresh(code)
    if code.co_code[offset] != _YIELD:
        raise ValueError("no yield stands there")
    return stackmap.stack_before(code, offset)[:-1]


def _caches(code: CodeType, offset: int) -> int:
    """How many code units of inline cache (zeros) follow the instruction."""
    following = code.co_code[offset + 2 :: 2]
    return len(following) - len(following.lstrip(b"\0"))


def _make_rules(code: CodeType, offset: int, waiting: str) -> _Rules:
    if not 0 <= offset < len(code.co_code) or offset % 2 or stackmap.instruction_start(code, offset) != offset:
        raise ValueError("no instruction starts there")
    stack = tuple(slot.kind for slot in _expected_stack(code, offset, waiting))
    begun = waiting != "fresh"  # else the core compares its cells and arguments with those of another one
    cells = tuple(stackmap.cells_needed(code, offset)) if begun else ()
    typed = tuple(stackmap.local_kinds(code).items())
    names = tuple(stackmap.name_kinds(code).items())
    bound = tuple(stackmap.locals_needed(code, offset)) if begun else ()
    count = len(slot_names(code))
    numbers = tuple(index for index, kind in enumerate(stack) if kind in _NUMBERS)
    demands = None if typed or names else _demands(count, stack, bound, cells)
    return _Rules(count, stack, bound, cells, typed, names, (_caches(code, offset), numbers), demands)


def _demands(count: int, stack: tuple[Kind, ...], bound: tuple[int, ...], cells: tuple[int, ...]) -> bytes | None:
    if any(kind not in _LETTERS for kind in stack):
        return None
    slots = [_CELL if i in cells else _NOT_NULL if i in bound else _ANYTHING for i in range(count)]
    return "".join((*slots, *(_LETTERS[kind] for kind in stack))).encode()


def _rules_for(code: CodeType, offset: int, waiting: str) -> _Rules:
    known = _rules.get((id(code), offset, waiting))
    if known is None:
        if len(_rules) >= 4096:
            _rules.clear()
        # The code is kept alive: its id cannot come to mean another. (Hashing code objects themselves is slow.)
        known = _rules[id(code), offset, waiting] = (code, _make_rules(code, offset, waiting))
    return known[1]


def _fits(kind: Kind, value: object, code: CodeType) -> bool:
    """Whether the interpreter may find `value` in a slot of this kind."""
    if value is NULL:
        return kind in _MAY_BE_NULL
    if kind is Kind.OBJECT:
        return True
    if kind is Kind.ITERATOR:
        return any(map(contains, map(vars, type(value).__mro__), repeat("__next__")))
    if kind is Kind.LASTI:
        return type(value) is int and 0 <= value < len(code.co_code) // 2
    if kind is Kind.INDEX:
        return type(value) is int and 0 <= value < _MOST
    if kind is Kind.STRINGS:
        return type(value) is tuple and set(map(type, value)) == {str}
    if kind is Kind.EXCEPTION or kind is Kind.MAYBE_EXCEPTION:
        return isinstance(value, BaseException) or (value is None and kind is Kind.MAYBE_EXCEPTION)
    exact = _EXACT.get(kind)
    return kind is not Kind.NULL and (exact is None or type(value) is exact)


def is_half_built(code: CodeType, offset: int, waiting: str, index: int) -> bool:
    """Whether slot `index` of the stack of a frame that waits there is a list, set or dict that its code is still filling."""
    return _rules_for(code, offset, waiting).stack[index] in _DISPLAYS


def _content(value: object) -> object:
    """What a cell holds; NULL where that is nothing, or not known yet."""
    try:
        return value.cell_contents if isinstance(value, CellType) else NULL
    except ValueError:
        return NULL


def _check_locals(code: CodeType, rules: _Rules, slots: tuple[Any, ...]) -> None:
    if len(slots) != rules.slots:
        raise ValueError(f"{rules.slots} locals are expected, {len(slots)} given")
    for index in rules.bound:
        if slots[index] is NULL:
            raise ValueError(f"local {slot_names(code)[index]!r} must be bound there")
    for index in rules.cells:
        if not isinstance(slots[index], CellType):
            raise ValueError(f"local {slot_names(code)[index]!r} must be a cell there")
    for index, kind in rules.typed:
        name, value = slot_names(code)[index], slots[index]
        if name in (*code.co_cellvars, *code.co_freevars):
            value = _content(value)
        if value is not NULL and not _fits(kind, value, code):
            raise ValueError(f"local {name!r} must be a {kind} there")


def _slot_fits(rules: _Rules, stack: tuple[Any, ...], place: int, code: CodeType) -> bool:
    kind, value = rules.stack[place], stack[place]
    if kind is Kind.ITERATOR and rules.stack[place + 1 : place + 2] == (Kind.INDEX,) and stack[place + 1] is not NULL:
        return loops_by_number(type(value))
    return _fits(kind, value, code)


def _check_stack(code: CodeType, rules: _Rules, stack: tuple[Any, ...]) -> None:
    fits = len(rules.stack) == len(stack) and all(
        map(_slot_fits, repeat(rules), repeat(stack), range(len(stack)), repeat(code))
    )
    if not fits:
        held = ", ".join(type(value).__name__ for value in stack)
        raise ValueError(f"its evaluation stack must hold ({', '.join(rules.stack)}), not ({held})")


def _check_names(rules: _Rules, namespace: dict[str, Any] | None) -> None:
    for name, kind in rules.names:
        if namespace and name in namespace and type(namespace[name]) is not _EXACT[kind]:
            raise ValueError(f"{name!r} must be a {kind} in its namespace")


def verify(
    code: CodeType,
    offset: int,
    waiting: str,
    slots: tuple[Any, ...],
    stack: tuple[Any, ...],
    namespace: dict[str, Any] | None = None,
) -> tuple[tuple[int, tuple[int, ...]], bytes | None]:
    """Refuse, with `SnapshotFormatError`, a frame that CPython could not have made.

    `waiting` is "call", "yield" or (for a generator that has not begun, at offset 0) "fresh". Returns what the core needs to know (how
    many code units of inline cache follow the instruction; which slots of the stack must become bare numbers, from 3.14 on, unless they
    are NULL), and what it may remember of the rules.
    """
    try:
        rules = _rules_for(code, offset, waiting)
        _check_locals(code, rules, slots)
        _check_stack(code, rules, stack)
        _check_names(rules, namespace)
    except ValueError as error:
        raise SnapshotFormatError(f"frame {code.co_qualname!r} cannot stand at offset {offset}: {error}") from None
    return rules.answer, rules.demands
