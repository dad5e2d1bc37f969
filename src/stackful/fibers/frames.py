"""Suspended and running frames, as a person or a debugger wants to see them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import CellType, CodeType, FunctionType
from typing import Any, NamedTuple

from stackful import _core, stackmap
from stackful._core import NULL, Fiber

__all__ = ["Frame", "frames_captured", "frames_of", "line_of", "slot_names"]


class Frame(NamedTuple):
    """One activation of a function, as it stood when it was looked at.

    `offset` is the byte offset of its current instruction (as ``f_lasti``). `locals` leaves unbound names out and shows what cells
    hold. `stack` has `NULL` where CPython's evaluation stack holds no object, and is None where a running frame's is unknown. A
    loop is an iterator there, in every version: 3.15 itself keeps a list and a number instead.

    >>> from stackful import suspend
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
    locals: dict[str, Any]
    stack: tuple[Any, ...] | None

    def __repr__(self) -> str:
        return f"Frame({self.code.co_qualname}, {self.file}:{self.line})"


def slot_names(code: CodeType) -> tuple[str, ...]:
    """The names of all slots before the evaluation stack: variables, then cells that are no arguments, then free variables."""
    cells = [name for name in code.co_cellvars if name not in code.co_varnames]
    return (*code.co_varnames, *cells, *code.co_freevars)


def _visible_locals(code: CodeType, namespace: dict[str, Any] | None, slots: tuple[Any, ...]) -> dict[str, Any]:
    if namespace is not None:
        return dict(namespace)
    shared = {*code.co_cellvars, *code.co_freevars}
    found: dict[str, Any] = {}
    for name, value in zip(slot_names(code), slots, strict=True):
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
    for start, end, line in code.co_lines():
        if start <= offset < end:
            return line
    return None


def _loop(looped: Any, index: Any) -> Any:
    """The iterator for a loop as 3.15 keeps it: over `looped`, which stands at `index`; or `looped` is the iterator, and NULL follows."""
    if index is NULL:
        return looped
    iterator = iter(looped)
    iterator.__setstate__(index)
    return iterator


def _fold_loops(code: CodeType, offset: int, stack: tuple[Any, ...]) -> tuple[Any, ...]:
    """The stack of a suspended frame with one slot for each loop, as it is until 3.14."""
    try:
        kinds = [slot.kind for slot in stackmap.stack_during_call(code, offset)]
    except ValueError:
        return stack
    if len(kinds) != len(stack):
        return stack  # it is running something else than a call
    shown = list(stack)
    for place in [place for place, kind in enumerate(kinds) if kind is stackmap.Kind.INDEX][::-1]:
        shown[place - 1 : place + 1] = [_loop(shown[place - 1], shown[place])]
    return tuple(shown)


def _view(state: tuple[Any, ...]) -> Frame:
    function, code, offset, namespace, slots, stack = state
    if namespace is True:
        namespace = function.__globals__
    visible = _visible_locals(code, namespace, slots)
    if stack and sys.version_info >= (3, 15):
        stack = _fold_loops(code, offset, stack)
    return Frame(code, function, code.co_filename, line_of(code, offset), offset, visible, stack)


def _views(states: Iterable[tuple[Any, ...]]) -> tuple[Frame, ...]:
    """Frames from their states, which the core gives innermost first: outermost first."""
    return tuple(map(_view, reversed(list(states))))


def frames_of(fiber: Fiber) -> tuple[Frame, ...]:
    """Its frames, outermost first; none when it has not begun or is dead."""
    states = _core.look(fiber)
    return _views(
        states[1:] if states and states[0][1] is frames_of.__code__ else states
    )  # it runs, and looks at itself


def frames_captured(captured: _core.Continuation) -> tuple[Frame, ...]:
    """The frames of a continuation, outermost first."""
    return _views(state for *_, frames in _core.capture_continuation(captured) for state in frames)
