"""Stacks as text, for people: what `picture` prints."""

from __future__ import annotations

import sys
from itertools import islice, zip_longest
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from stackful._core import Fiber

__all__ = ["picture"]

_OWN_FOLDER = str(Path(__file__).parent.parent)
_WIDTH = 44  # of a frame's text, beyond which variables are left out
_MOST = 4  # items of a value that are shown
_LONGEST = 16  # of a text
_CURLY = ("{", "}")
_BRACKETS: dict[type, tuple[str, str]] = {
    tuple: ("(", ")"),
    list: ("[", "]"),
    set: _CURLY,
    frozenset: _CURLY,
    dict: _CURLY,
}
_GAP = "   "


class _Row(NamedTuple):
    """A frame, or a mark that the library's own frame is shown as."""

    text: str
    is_mark: bool


def picture(*stacks: Any) -> str:
    """The frames of fibers, continuations and resumptions as text, side by side, innermost on top; without arguments those that run.

    Each frame is one line: function, line, variables. Frames of Stackful itself are marks (``prompt``, ``handle``), or left out. For people to
    read: the form may change; `Fiber.frames` is for programs.

    >>> from stackful import Fiber, picture, suspend
    >>> def inner(x):
    ...     suspend()
    >>> def outer(name):
    ...     inner(5)
    >>> fiber = Fiber(outer, "a")
    >>> fiber.resume()
    >>> print(picture(fiber))
    Fiber outer: suspended
    ┌──────────────────────┐
    │ inner, 2: x = 5      │
    ├──────────────────────┤
    │ outer, 2: name = 'a' │
    └──────────────────────┘
    """
    if not stacks:
        return "\n".join(_boxes("running", _running_rows(sys._getframe(1))))
    drawn = [_boxes(_title(stack), _rows_of(stack)) for stack in stacks]
    return _side_by_side(drawn)


def _title(stack: Any) -> str:
    owner = getattr(stack, "__self__", stack)
    if not hasattr(owner, "frames"):
        raise TypeError(f"picture takes fibers, continuations and resumptions, not {stack!r}")
    if not isinstance(owner, Fiber):
        return type(owner).__name__.removeprefix("_")
    code = getattr(owner.function, "__code__", None)
    is_own = code is not None and code.co_filename.startswith(_OWN_FOLDER)  # made for a prompt at top level
    name = "" if is_own else f" {getattr(owner.function, '__name__', '?')}"
    status = "not begun" if owner.status == "suspended" and not owner.frames else owner.status
    return f"{type(owner).__name__}{name}: {status}"


def _rows_of(stack: Any) -> list[_Row]:
    """Innermost first. A continuation is the method `resume` of what holds the frames."""
    frames = getattr(stack, "__self__", stack).frames
    rows = [_row(frame.code, frame.line, frame.locals) for frame in reversed(frames)]
    return [row for row in rows if row is not None]


def _running_rows(frame: Any) -> list[_Row]:
    rows = []
    while frame is not None:
        row = _row(frame.f_code, frame.f_lineno, frame.f_locals)
        if row is not None:
            rows.append(row)
        frame = frame.f_back
    return rows


def _row(code: CodeType, line: int | None, variables: dict[str, Any]) -> _Row | None:
    name = code.co_name
    if code.co_filename.startswith(_OWN_FOLDER):
        is_public = code.co_qualname in sys.modules["stackful"].__all__ and name != "picture"  # not methods
        return _Row(name, True) if is_public else None
    text = f"{name}, {line}"
    if name == "<module>":
        return _Row(text, False)
    kept: list[str] = []
    room = _WIDTH - len(text)
    for variable, value in variables.items():
        assignment = f"{variable} = {_value(value)}"
        if not variable.startswith(".") and len(assignment) + 2 <= room:
            kept.append(assignment)
            room -= len(assignment) + 2
    return _Row(f"{text}: {', '.join(kept)}" if kept else text, False)


def _value(value: Any, depth: int = 3) -> str:
    """Short, and the same in each run: no addresses."""
    kind = type(value)
    if kind in _BRACKETS:
        return _items(value, kind, depth)
    if kind in (str, bytes):
        return repr(value) if len(value) <= _LONGEST else f"{value[:_LONGEST]!r}…"
    if kind in (bool, float, type(None)) or (kind is int and value.bit_length() < 64):
        return repr(value)
    if isinstance(value, type | FunctionType | BuiltinFunctionType | ModuleType):
        return value.__name__
    owner = (
        value.__self__ if isinstance(value, MethodType) else value
    )  # a continuation is a method of what holds the frames
    return f"<{type(owner).__name__.removeprefix('_')}>"


def _items(value: Any, kind: type, depth: int) -> str:
    opening, closing = _BRACKETS[kind]
    if depth == 0 and value:
        return f"{opening}…{closing}"
    items = list(islice(value.items() if kind is dict else value, _MOST))
    if kind is dict:
        shown = [f"{_value(key, depth - 1)}: {_value(item, depth - 1)}" for key, item in items]
    else:
        shown = [_value(item, depth - 1) for item in items]
    if len(value) > _MOST:
        shown.append("…")
    comma = "," if kind is tuple and len(value) == 1 else ""
    return f"{opening}{', '.join(shown)}{comma}{closing}"


def _boxes(title: str, rows: list[_Row]) -> list[str]:
    """The lines of one stack."""
    if not rows:
        return [title, "(no frames)"]
    width = max(len(row.text) + (4 if row.is_mark else 2) for row in rows)
    lines = [title, f"┌{'─' * width}┐"]
    for number, row in enumerate(rows):
        if row.is_mark:
            lines.append(f"╞{f' {row.text} ':═^{width}}╡")
            continue
        if number and not rows[number - 1].is_mark:
            lines.append(f"├{'─' * width}┤")
        lines.append(f"│{' ' + row.text:<{width}}│")
    if not rows[-1].is_mark:
        lines.append(f"└{'─' * width}┘")
    if rows[0].is_mark:
        del lines[1]
    return lines


def _side_by_side(drawn: list[list[str]]) -> str:
    """Feet level, titles above."""
    height = max(map(len, drawn))
    widths = [max(map(len, lines)) for lines in drawn]
    padded = [[""] * (height - len(lines)) + lines for lines in drawn]
    rows = zip_longest(*padded, fillvalue="")
    return "\n".join(
        _GAP.join(f"{line:<{width}}" for line, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
