"""Fibers: running functions as values.

`suspend` is deliberately a Python function: when it is called, every frame beneath it has called a Python function, and that is the
one state in which CPython has written a frame's stack pointer and position to memory. The core parks those frames (csrc/suspend.c).
"""

from __future__ import annotations

import opcode
from dataclasses import dataclass, field
from types import CellType, CodeType, FunctionType
from typing import Any

from stackful import _core, stackmap
from stackful._core import NULL, Fiber, current
from stackful._core import is_suspendable as _is_suspendable
from stackful._core import suspend as _suspend
from stackful.errors import SnapshotFormatError

__all__ = ["NULL", "Fiber", "Frame", "current", "is_suspendable", "suspend"]


def suspend(value: object = None) -> Any:
    """Suspend the running fiber: its ``resume`` returns `value`; the next ``resume(v)`` makes this return `v`.

    May be called at any depth of plain Python calls. `BarrierError` when a C call stands in between, `FiberError` outside of a fiber.
    (Lua's coroutine.yield.)

    >>> def add(a, b):
    ...     return suspend(a + b)
    >>> fiber = Fiber(add, 1, 2)
    >>> fiber.resume(), fiber.resume("done")
    (3, 'done')
    """
    return _suspend(value)


def is_suspendable() -> bool:
    """Whether `suspend` would succeed here (Lua's coroutine.isyieldable).

    >>> is_suspendable(), Fiber(is_suspendable).resume()
    (False, False)
    >>> Fiber(lambda: is_suspendable() or None).resume()
    True
    """
    return _is_suspendable()


@dataclass(frozen=True, slots=True)
class Frame:
    """One activation of a function, as it stood when it was looked at.

    `offset` is the byte offset of its current instruction (as ``f_lasti``). `locals` leaves unbound names out and shows what cells
    hold. `stack` has `NULL` where CPython's evaluation stack holds no object, and is None where a running frame's is unknown.

    >>> def outer(x):
    ...     return [x, suspend()]
    >>> fiber = Fiber(outer, 7)
    >>> fiber.resume()
    >>> fiber.frames[0].locals, fiber.frames[0].stack, fiber.frames[0].code.co_name
    ({'x': 7}, (7,), 'outer')
    """

    code: CodeType
    function: FunctionType
    file: str
    line: int | None
    offset: int
    locals: dict[str, Any] = field(repr=False)
    stack: tuple[Any, ...] | None = field(repr=False)


def _names(code: CodeType) -> tuple[str, ...]:
    """The names of all slots before the evaluation stack: variables, then cells that are no arguments, then free variables."""
    cells = tuple(name for name in code.co_cellvars if name not in code.co_varnames)
    return (*code.co_varnames, *cells, *code.co_freevars)


def _visible_locals(code: CodeType, namespace: dict[str, Any] | None, slots: tuple[Any, ...]) -> dict[str, Any]:
    if namespace is not None:
        return dict(namespace)
    shared = {*code.co_cellvars, *code.co_freevars}
    found: dict[str, Any] = {}
    for name, value in zip(_names(code), slots, strict=True):
        if name in shared and isinstance(value, CellType):
            try:
                found[name] = value.cell_contents
            except ValueError:  # an empty cell: the variable is unbound
                continue
        elif value is not NULL:
            found[name] = value
    return found


def line_of(code: CodeType, offset: int) -> int | None:
    """The line of the instruction at byte `offset`."""
    return next((line for start, end, line in code.co_lines() if start <= offset < end), None)


def _view(state: tuple[Any, ...]) -> Frame:
    function, code, offset, namespace, slots, stack = state
    visible = _visible_locals(code, namespace, slots)
    return Frame(code, function, code.co_filename, line_of(code, offset), offset, visible, stack)


def _frames(fiber: Fiber) -> tuple[Frame, ...]:
    return tuple(_view(state) for state in reversed(_core.look(fiber)))


def _describe_barrier(code: CodeType | None, offset: int, function: object) -> str:
    """The text of a BarrierError: which C operation stands in the way, and which Python frame began it."""
    way_out = "suspend outside of it, or replace it by plain Python"
    if code is None:
        name = getattr(function, "__qualname__", None) or repr(function)
        return f"cannot suspend across a C call: the fiber's own function {name} is not a plain Python function; {way_out}"
    operation = stackmap.describe_call(code, stackmap.instruction_start(code, offset))
    where = f"{code.co_filename}:{line_of(code, offset)}"
    return f'cannot suspend across a C call: {operation}, in frame "{code.co_qualname}" ({where}); {way_out}'


def _check_slot(kind: stackmap.Kind, value: object) -> bool:
    """Whether the interpreter may find `value` in a slot of this kind."""
    Kind = stackmap.Kind
    if value is NULL:
        return kind in {Kind.NULL, Kind.MAYBE_NULL, Kind.SAVED_LOCAL}
    match kind:
        case Kind.NULL:
            return False
        case Kind.ITERATOR:
            return hasattr(type(value), "__next__")
        case Kind.EXCEPTION | Kind.MAYBE_EXCEPTION:
            return isinstance(value, BaseException) or (value is None and kind is Kind.MAYBE_EXCEPTION)
    exact = _EXACT.get(kind)
    return exact is None or type(value) is exact


_EXACT: dict[stackmap.Kind, type] = {
    stackmap.Kind.LIST: list,
    stackmap.Kind.SET: set,
    stackmap.Kind.DICT: dict,
    stackmap.Kind.TUPLE: tuple,
    stackmap.Kind.CODE: CodeType,
    stackmap.Kind.FUNCTION: FunctionType,
    stackmap.Kind.LASTI: int,
    stackmap.Kind.CELL: CellType,
}


def _expected_stack(code: CodeType, offset: int, waiting: str) -> tuple[stackmap.Slot, ...]:
    if waiting == "call":
        return stackmap.stack_during_call(code, offset)
    if code.co_code[offset] != _YIELD:
        raise ValueError("no yield stands there")
    return stackmap.stack_before(code, offset)[:-1]


_YIELD = opcode.opmap["YIELD_VALUE"]


def _verify(code: CodeType, offset: int, waiting: str, slots: tuple[Any, ...], stack: tuple[Any, ...]) -> int:
    """Refuse a frame that CPython could not have made; return how many inline caches follow the instruction.

    The interpreter trusts what its compiler guarantees, so restored frames must keep those guarantees: this is what stands between
    a damaged state and a crash. `waiting` is "call" or "yield".
    """
    try:
        if not 0 <= offset < len(code.co_code) or offset % 2 or stackmap.instruction_start(code, offset) != offset:
            raise ValueError("no instruction starts there")
        expected = _expected_stack(code, offset, waiting)
        _check_locals(code, offset, slots)
    except ValueError as error:
        raise SnapshotFormatError(f"frame {code.co_qualname!r} cannot stand at offset {offset}: {error}") from None
    kinds = [slot.kind for slot in expected]
    if len(kinds) != len(stack) or not all(map(_check_slot, kinds, stack)):
        held = ", ".join(type(value).__name__ for value in stack)
        raise SnapshotFormatError(
            f"frame {code.co_qualname!r} at offset {offset} must hold ({', '.join(kinds)}) on its stack, not ({held})"
        )
    return _caches(code, offset)


def _caches(code: CodeType, offset: int) -> int:
    units, count = code.co_code, 0
    while offset + 2 * (count + 1) < len(units) and units[offset + 2 * (count + 1)] == 0:
        count += 1
    return count


def _check_locals(code: CodeType, offset: int, slots: tuple[Any, ...]) -> None:
    names = _names(code)
    if len(names) != len(slots):
        raise ValueError(f"{len(names)} locals are expected, {len(slots)} given")
    for index in stackmap.locals_needed(code, offset):
        if slots[index] is NULL:
            raise ValueError(f"local {names[index]!r} must be bound there")
    for index in stackmap.cells_needed(code, offset):
        if not isinstance(slots[index], CellType):
            raise ValueError(f"local {names[index]!r} must be a cell there")
    for index, kind in stackmap.local_kinds(code).items():
        value = slots[index]
        if value is not NULL and not isinstance(value, CellType) and not _check_slot(kind, value):
            raise ValueError(f"local {names[index]!r} must be a {kind}")


def _why_not_portable(fiber: Fiber) -> str | None:
    """Soft fibers are portable whenever they do not run."""
    if fiber.status in {"running", "normal"}:
        return f"{fiber!r} is running: only a suspended fiber can be copied or pickled"
    return None


def register() -> None:
    """Tell the core what this floor does for it."""
    for name, hook in (
        ("suspend", suspend),
        ("is_suspendable", is_suspendable),
        ("frames", _frames),
        ("describe", _describe_barrier),
        ("verify", _verify),
        ("why_not_portable", _why_not_portable),
    ):
        _core.register(name, hook)


register()
