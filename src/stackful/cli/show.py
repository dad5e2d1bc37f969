"""``stackful show``: a suspended program as a person wants to read it. Nothing of the program is executed."""

from __future__ import annotations

import json
import linecache
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stackful
from stackful.cli.listing import ago, run_data, size_text
from stackful.durable.values import describe
from stackful.durable.runs import Suspended, load_suspended

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from stackful.fibers import Frame

__all__ = ["print_run"]

_OWN_FOLDER = str(Path(stackful.__file__ or "").parent)


def print_run(store: Path, run_id: str, as_json: bool) -> None:
    """Print a run and its suspended stack.

    Raises:
        StackfulError: there is no such run, or its checkpoint cannot be read.
    """
    suspended = load_suspended(store, run_id)
    _remember_source(suspended)
    if as_json:
        print(json.dumps(_data(suspended), indent=2))
    else:
        _print(suspended)


def _remember_source(suspended: Suspended) -> None:
    """Lines are shown as they were when the run started, whatever the file says today."""
    text = suspended.source.decode("utf-8", "replace")
    linecache.cache[suspended.run.program] = (len(text), None, text.splitlines(keepends=True), suspended.run.program)


def _frames(suspended: Suspended) -> list[Frame]:
    """The program's frames; at the top of the stack stand those of checkpoint() itself, which say nothing."""
    frames = suspended.fiber.frames if suspended.fiber else ()
    return [frame for frame in frames if not frame.file.startswith(_OWN_FOLDER)]


def _data(suspended: Suspended) -> dict[str, Any]:
    frames = [_frame_data(frame) for frame in _frames(suspended)]
    return run_data(suspended.run, suspended.checkpoint) | {"frames": frames}


def _frame_data(frame: Frame) -> dict[str, Any]:
    return {
        "function": frame.code.co_qualname,
        "file": frame.file,
        "line": frame.line,
        "offset": frame.offset,
        "source": linecache.getline(frame.file, frame.line).strip() if frame.line else None,
        "locals": {name: describe(value) for name, value in frame.locals.items() if not _is_dunder(name)},
        "stack": None if frame.stack is None else [describe(value) for value in frame.stack],
    }


def _print(suspended: Suspended) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    _print_heading(console, suspended)
    for frame in _frames(suspended):
        console.print()
        for line in _frame_lines(frame):
            console.print(line, soft_wrap=True)


def _print_heading(console: Console, suspended: Suspended) -> None:
    from rich.text import Text

    run, last = suspended.run, suspended.checkpoint
    stored = f"checkpoint {last.seq}, {ago(last.when)}, {size_text(last.size)}" if last else "no checkpoint"
    heading = Text.assemble((run.id, "bold"), f"  {' '.join(run.argv)}  ", (run.status.value, "yellow"), f"  {stored}")
    console.print(heading, soft_wrap=True)


def _frame_lines(frame: Frame) -> Iterator[RenderableType]:
    from rich.text import Text

    yield Text.assemble((frame.code.co_qualname, "bold cyan"), "  ", (f"{frame.file}:{frame.line}", "dim"))
    yield from _source_lines(frame)
    for name, value in _variables(frame):
        yield Text.assemble("      ", (name, "green"), " = ", describe(value))
    if frame.stack:
        yield Text.assemble("      ", ("evaluation stack: ", "magenta"), ", ".join(map(describe, frame.stack)))
    elif frame.stack is None:
        yield Text.assemble("      ", ("evaluation stack: unknown", "magenta"))


def _source_lines(frame: Frame) -> Iterator[RenderableType]:
    """The line at which the frame stands, between its neighbours."""
    from rich.text import Text

    for number in range((frame.line or 0) - 1, (frame.line or 0) + 2):
        source = linecache.getline(frame.file, number).rstrip()
        if source and number == frame.line:
            yield Text.assemble((f"  ▶ {number:4} │ ", "yellow"), (source, "bold"))
        elif source:
            yield Text.assemble((f"    {number:4} │ {source}", "dim"))


def _variables(frame: Frame) -> Iterator[tuple[str, Any]]:
    """A frame's locals; of a module's those that hold data, since its functions and classes stand in its source."""
    is_module = frame.code.co_name == "<module>"
    for name, value in frame.locals.items():
        is_code = isinstance(value, types.FunctionType | types.ModuleType | type)
        if not _is_dunder(name) and not (is_module and is_code):
            yield name, value


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
