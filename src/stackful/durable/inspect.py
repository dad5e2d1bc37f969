"""Runs as people and programs look at them: where one stands, with source and variables; what it has behind it. Nothing of a run goes on by that.

Looking at a stack unpickles it, which imports the modules that it stands in.
"""

from __future__ import annotations

import linecache
import os
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import stackful
from stackful.durable.records import Claimed, State
from stackful.durable.store import ENDED, Status
from stackful.durable.values import describe, tree

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackful.durable.engine import Engine
    from stackful.durable.store import Run
    from stackful.fibers import Fiber, Frame

__all__ = ["frame_data", "frames_of_fiber", "frames_of_run", "result_of_run", "run_data", "signals_of_run", "source_lines", "variables"]

_OWN = os.path.dirname(stackful.__file__) + os.sep  # noqa: PTH120 - compared with plain strings
_PRIVATE = {"argv", "cwd", "every"}  # what only scripts have


def run_data(run: Run) -> dict[str, Any]:
    """A run as JSON-ready data: its record, without what does not apply to its kind. Times are seconds since the epoch.

    >>> run_data(stackful.durable.store.Run("r", "m:f", (), "", None, "3.13", 0.0, kind="function"))["program"]
    'm:f'
    """
    data = {name: value for name, value in run._asdict().items() if run.kind == "script" or name not in _PRIVATE}
    data["status"] = run.status.value
    if run.kind == "script":
        data["argv"] = list(run.argv)
    return data


def frames_of_run(engine: Engine, run: Run, seq: int | None = None) -> list[Frame]:
    """The frames of a function's run as it is stored, innermost first, without those of Stackful.

    Args:
        engine: of the store that the run is in.
        run: its record.
        seq: a checkpoint; None for its last state.

    Returns:
        None at all when it has not begun, or has ended and dropped its state.

    Raises:
        StoreError: there is no such checkpoint.
        SnapshotError: the state cannot be understood by this process: its code has changed, another Python, damaged.
    """
    state = engine.store.state(run.id) if seq is None else engine.store.load_state(run.id, seq)
    return [] if state is None else frames_of_fiber(_fiber_of(engine, run, state))


def _fiber_of(engine: Engine, run: Run, state: State) -> Fiber:
    active = engine.active_run(Claimed(run, 0, state))
    active.load()
    fiber = active.fiber
    assert fiber is not None
    active.has_generators = True  # who only looks must not run a `finally` when he has seen enough
    active.abandon()
    return fiber


def frames_of_fiber(fiber: Fiber) -> list[Frame]:
    """Its frames, innermost first, without those of Stackful, which say nothing."""
    return [frame for frame in reversed(fiber.frames) if not frame.file.startswith(_OWN)]


def variables(frame: Frame) -> Iterator[tuple[str, Any]]:
    """A frame's locals; of a module's those that hold data, since its functions and classes stand in its source."""
    is_module = frame.code.co_name == "<module>"
    for name, value in frame.locals.items():
        is_code = isinstance(value, types.FunctionType | types.ModuleType | type)
        is_dunder = name.startswith("__") and name.endswith("__")
        if not is_dunder and not (is_module and is_code):
            yield name, value


def source_lines(frame: Frame, around: int = 1) -> list[tuple[int, str]]:
    """The line at which the frame stands, and its neighbours: (number, text); none where the source is not to be had."""
    middle = frame.line or 0
    numbers = range(max(1, middle - around), middle + around + 1) if middle else ()
    found = [(number, linecache.getline(frame.file, number).rstrip("\n")) for number in numbers]
    return found if any(text for _, text in found) else []


def frame_data(frame: Frame) -> dict[str, Any]:
    """A frame as JSON-ready data: where it stands, and its variables as text and as trees."""
    return {
        "function": frame.code.co_qualname,
        "file": frame.file,
        "line": frame.line,
        "offset": frame.offset,
        "source": linecache.getline(frame.file, frame.line).strip() if frame.line else None,
        "lines": source_lines(frame, 4),
        "locals": {name: describe(value) for name, value in variables(frame)},
        "variables": [(name, tree(value)) for name, value in variables(frame)],
        "stack": None if frame.stack is None else [describe(value) for value in frame.stack],
    }


def result_of_run(engine: Engine, run: Run) -> Any:
    """What a run has returned; None if it has not."""
    (outcome,) = engine.store.outcomes([run.id])
    if outcome.status not in ENDED or outcome.status is not Status.FINISHED or outcome.result is None:
        return None
    return engine.unseal(run.id, outcome.result)


def signals_of_run(engine: Engine, run: Run) -> Sequence[tuple[str, Any]]:
    """The signals that wait to be received: (name, value), the oldest first."""
    return [(signal.name, engine.unseal(run.id, signal.payload)) for signal in engine.store.signals(run.id)]
