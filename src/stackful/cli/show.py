"""``stackful show``: a suspended program as a person wants to read it. Nothing of the program is executed."""

from __future__ import annotations

import json
import linecache
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stackful.cli.listing import COLOURS, ago, count, listed, program_text, size_text
from stackful.cli.options import connected
from stackful.durable.inspect import StackFrame, stack_of
from stackful.durable.overview import as_it_stands, last_checkpoint, result_of_run, signals_of_run
from stackful.durable.runs import Suspended, load_suspended
from stackful.durable.store import Status
from stackful.durable.values import describe, tree
from stackful.errors import StackfulError, StoreError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from stackful.durable.engine import Engine
    from stackful.durable.store import Checkpoint, Run

__all__ = ["print_run"]


class _Shown:
    """A run with all that there is to see of it; its frames are outermost first."""

    def __init__(self, engine: Engine, run: Run, seq: int | None) -> None:
        self.run = run
        self.checkpoint: Checkpoint | None = last_checkpoint(engine.store, run)
        self.checkpoints = engine.store.checkpoints(run.id)
        self.children = engine.store.children(run.id)
        self.frames: list[StackFrame] = []
        self.result: Any = None
        self.signals: Any = []
        self.problem: StackfulError | None = None
        if run.kind == "script":
            self._take_script(engine, seq)
        else:
            self._take_function(engine, seq)

    def _take_script(self, engine: Engine, seq: int | None) -> None:
        if seq is not None:
            raise StoreError(f"of the script run {self.run.id} only the last checkpoint can be shown: leave --at out")
        try:
            suspended = load_suspended(engine.store.path, self.run.id)
        except StackfulError as error:
            self.problem = error  # of the run itself there is more to tell
            return
        _remember_source(suspended)
        self.frames = _of_the_program(stack_of(suspended.fiber)) if suspended.fiber else []

    def _take_function(self, engine: Engine, seq: int | None) -> None:
        self.result, self.signals = result_of_run(engine, self.run), signals_of_run(engine, self.run)
        if seq is not None:
            self.checkpoint = next((each for each in self.checkpoints if each.seq == seq), None)
        if self.checkpoint is None:
            return
        try:
            self.frames = _of_the_program(engine.stack(self.run.id, seq))
        except StackfulError as error:
            self.problem = error


def _of_the_program(frames: list[StackFrame]) -> list[StackFrame]:
    """At the top of a stack stand frames of the library, which say nothing."""
    return [frame for frame in frames if not frame.is_own]


def print_run(store: str, run_id: str, seq: int | None, as_json: bool) -> None:
    """Print a run and its suspended stack.

    Args:
        store: a path or URL.
        run_id: the run, or the beginning of its id.
        seq: a checkpoint of it; None for its last state.
        as_json: for programs.

    Raises:
        StackfulError: there is no such run, or its checkpoint cannot be read.
    """
    with connected(store) as engine:
        shown = _Shown(engine, as_it_stands(engine.store, run_id), seq)
    if as_json:
        print(json.dumps(_data(shown), indent=2))
        return
    _print(shown)
    if shown.problem:
        raise shown.problem


def _remember_source(suspended: Suspended) -> None:
    """Lines are shown as they were when the run started, whatever the file says today."""
    text = suspended.source.decode("utf-8", "replace")
    linecache.cache[suspended.run.program] = (len(text), None, text.splitlines(keepends=True), suspended.run.program)


def _data(shown: _Shown) -> dict[str, Any]:
    return listed(shown.run, shown.checkpoint) | {
        "frames": [_frame_data(frame) for frame in shown.frames],
        "problem": str(shown.problem) if shown.problem else None,
        "checkpoints": [{"seq": each.seq, "when": each.when, "size": each.size} for each in shown.checkpoints],
        "children": shown.children,
        "result": None if shown.result is None else tree(shown.result),
        "signals": [(name, tree(value)) for name, value in shown.signals],
    }


def _print(shown: _Shown) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    _print_heading(console, shown)
    for line in _notes(shown):
        console.print(line, soft_wrap=True)
    for frame in shown.frames:
        console.print()
        for line in _frame_lines(frame, _signs(console.encoding)):
            console.print(line, soft_wrap=True)


def _print_heading(console: Console, shown: _Shown) -> None:
    from rich.text import Text

    run, last = shown.run, shown.checkpoint
    stored = f"checkpoint {last.seq}, {ago(last.when)}, {size_text(last.size)}" if last else "no checkpoint"
    heading = Text.assemble(
        (run.id, "bold"), f"  {program_text(run)}  ", (run.status.value, COLOURS[run.status]), f"  {stored}"
    )
    console.print(heading, soft_wrap=True)


def _notes(shown: _Shown) -> Iterator[RenderableType]:
    """What else a person asks of a run."""
    from rich.text import Text

    run = shown.run
    if run.steps:
        yield Text(f"{count(run.steps, 'step')}, the last was {run.step}", "dim")
    if run.waits and not run.question:
        yield Text(f"waits for {run.waits}" + (f", until {ago(run.wake)}" if run.wake else ""), "blue")
    elif run.wake and run.status in (Status.SLEEPING, Status.PENDING):
        yield Text(f"wakes {ago(run.wake)}", "blue")
    if run.question:
        yield from _question_lines(run.id, json.loads(run.question))
    for name, value in shown.signals:
        yield Text(f"signal {name} has come: {describe(value)}", "dim")
    if shown.children:
        yield Text(f"its children under way: {', '.join(shown.children)}", "dim")
    if shown.result is not None:
        yield Text(f"result: {describe(shown.result)}")
    if run.error:
        yield Text(run.error.rstrip(), "red")


def _question_lines(run_id: str, asked: dict[str, Any]) -> Iterator[RenderableType]:
    """A question with its form, and the command that answers it."""
    from rich.text import Text

    yield Text(f"asks: {asked['text']}", "bold yellow")
    for field in asked["fields"]:
        label = f"  {field['label']}" if field["label"] else ""
        kind = f"one of {', '.join(field['choices'])}" if field["kind"] == "choice" else field["kind"]
        default = "" if field["default"] is None else f", by default {field['default']}"
        yield Text(
            f"  {field['name']}: {kind}{default}{'' if field['required'] else ', may be left out'}{label}", "yellow"
        )
    needed = [field["name"] for field in asked["fields"] if field["required"] and field["default"] is None]
    answers = "".join(f" --answer {name}=..." for name in needed or [field["name"] for field in asked["fields"]])
    yield Text(f"  answer it: stackful signal {run_id}{answers}", "dim")


def _frame_data(frame: StackFrame) -> dict[str, Any]:
    return {
        "function": frame.function,
        "file": frame.file,
        "line": frame.line,
        "offset": frame.offset,
        "source": frame.source or None,
        "lines": frame.lines(4),
        "locals": {name: describe(value) for name, value in _variables(frame)},
        "variables": [(name, tree(value)) for name, value in _variables(frame)],
        "stack": None if frame.operands is None else [describe(value) for value in frame.operands],
    }


def _signs(encoding: str) -> tuple[str, str]:
    """What marks the current line, and what stands before its text."""
    try:
        "▶│".encode(encoding)
    except UnicodeEncodeError:
        return ">", "|"
    return "▶", "│"


def _frame_lines(frame: StackFrame, signs: tuple[str, str]) -> Iterator[RenderableType]:
    from rich.text import Text

    mark, rule = signs
    yield Text.assemble((frame.function, "bold cyan"), "  ", (f"{frame.file}:{frame.line}", "dim"))
    for number, source in frame.lines(1):
        if source and number == frame.line:
            yield Text.assemble((f"  {mark} {number:4} {rule} ", "yellow"), (source, "bold"))
        elif source:
            yield Text.assemble((f"    {number:4} {rule} {source}", "dim"))
    for name, value in _variables(frame):
        yield Text.assemble("      ", (name, "green"), " = ", describe(value))
    if frame.operands:
        yield Text.assemble("      ", ("evaluation stack: ", "magenta"), ", ".join(map(describe, frame.operands)))
    elif frame.operands is None:
        yield Text.assemble("      ", ("evaluation stack: unknown", "magenta"))


def _variables(frame: StackFrame) -> Iterator[tuple[str, Any]]:
    """A frame's locals; of a module's those that hold data, since its functions and classes stand in its source."""
    is_module = frame.function == "<module>"
    for name, value in frame.locals.items():
        is_code = isinstance(value, types.FunctionType | types.ModuleType | type)
        is_dunder = name.startswith("__") and name.endswith("__")
        if not is_dunder and not (is_module and is_code):
            yield name, value
