"""Runs as people and programs look at them: where one stands, with source and variables; what it has behind it. Nothing of a run goes on by that.

Looking at a stack unpickles it, which imports the modules that it stands in.
"""

from __future__ import annotations

import linecache
import os
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import stackful
from stackful.durable.records import Claimed, Filter, State
from stackful.durable.runs import as_it_is, check_script
from stackful.durable.store import ENDED, Checkpoint, Status
from stackful.durable.values import describe, tree
from stackful.errors import StackfulError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackful.durable.engine import Engine
    from stackful.durable.store import Run, Store
    from stackful.fibers import Fiber, Frame

__all__ = ["Diagnosis", "as_it_stands", "diagnose", "frame_data", "frames_of_fiber", "frames_of_run", "last_checkpoint", "list_runs", "result_of_run", "run_data", "signals_of_run", "source_lines", "states_of_run", "variables"]

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


def list_runs(store: Store, where: Filter | None = None, limit: int | None = None) -> list[Run]:
    """Runs, the newest first, as they stand: one whose script's process is gone is INTERRUPTED."""
    return [_as_it_is(store, run) for run in store.runs(where, limit=limit)]


def _as_it_is(store: Store, run: Run) -> Run:
    return as_it_is(store.path, run) if run.kind == "script" and run.status is Status.RUNNING else run


def as_it_stands(store: Store, run_id: str) -> Run:
    """The run with this id, or whose id begins so, as it stands.

    Raises:
        RunNotFoundError: there is none, or there are several.
    """
    return _as_it_is(store, store.run(run_id))


def last_checkpoint(store: Store, run: Run) -> Checkpoint | None:
    """What a run would go on from now."""
    if run.kind == "script":
        return next(iter(store.checkpoints(run.id)), None)
    return None if run.taken is None or not run.size else Checkpoint(run.id, run.seq, run.taken, run.size)


def states_of_run(store: Store, run: Run) -> list[State]:
    """The checkpoints of a function's run, the newest first, each with the step that it came after and the line that it stands at."""
    return [store.load_state(run.id, checkpoint.seq) for checkpoint in store.checkpoints(run.id)]


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


@dataclass(slots=True)
class Diagnosis:
    """Whether a run would go on with the code that is here: `findings` say what speaks against it, a sentence each."""

    run: Run
    findings: list[str] = field(default_factory=list)

    def data(self) -> dict[str, Any]:
        """As JSON-ready data."""
        run = self.run
        return {"run": run.id, "program": run.program, "status": run.status.value, "findings": self.findings}


def diagnose(engine: Engine, run: Run) -> Diagnosis:
    """Look whether a run would go on in this process, without building or running anything of it; modules are imported."""
    found = Diagnosis(run)
    try:
        if run.kind == "script":
            found.findings += check_script(engine.store, run)
        else:
            found.findings += engine.check_code(run)
    except StackfulError as error:
        found.findings.append(str(error))
    return found
