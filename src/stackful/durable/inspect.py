"""Stored runs, to be looked at: stacks with lines and locals, timelines, differences. No code of the run is executed but for what unpickling does."""

from __future__ import annotations

import linecache
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from stackful import _core, snapshot
from stackful.durable.large import large_values_of
from stackful.durable.records import Filter, State
from stackful.durable.store import ENDED
from stackful.errors import SnapshotFormatError, StackfulError, StoreError

if TYPE_CHECKING:
    from stackful.durable.large import LargeValues
    from stackful.durable.seals import Seals
    from stackful.durable.store import Store
    from stackful.fibers import Fiber

__all__ = [
    "MISSING",
    "Difference",
    "Event",
    "StackFrame",
    "diff",
    "edited",
    "stack",
    "stack_of",
    "state_of",
    "state_with_values",
    "timeline",
]

_OWN = str(Path(__file__).parents[1])


@dataclass(slots=True)
class StackFrame:
    """One call of a suspended run, outermost first in a stack.

    Attributes:
        is_own: the library's own, as that of `step`, whose local ``result`` is what the step returned.
        offset: the byte offset of its current instruction.
        operands: its evaluation stack; None where it is not known.
        source: the line's text as the file is now; "" if there is none.
    """

    function: str
    file: str
    line: int
    locals: dict[str, Any]
    is_own: bool
    offset: int = 0
    operands: tuple[Any, ...] | None = None

    @property
    def source(self) -> str:
        """The text of the line."""
        return linecache.getline(self.file, self.line).strip()

    def lines(self, around: int = 3) -> list[tuple[int, str]]:
        """The lines around, with their numbers."""
        numbers = range(max(1, self.line - around), self.line + around + 1)
        found = [(number, linecache.getline(self.file, number).rstrip("\n")) for number in numbers]
        return [(number, text) for number, text in found if text or number <= self.line]


@dataclass(slots=True)
class Event:
    """Something that is known of a run's past or future. Kinds: created, started, checkpoint, state, signal, child, sleeping, waiting, ended."""

    when: float
    kind: str
    text: str
    seq: int | None = None


@dataclass(slots=True)
class Difference:
    """What changed in one call between two states: lines (None: the call was not there), and locals by name: (before, after); `MISSING` if not there."""

    function: str
    file: str
    before: int | None
    after: int | None
    locals: dict[str, tuple[Any, Any]]


class _Missing:
    def __repr__(self) -> str:
        return "<not there>"


MISSING = _Missing()


def state_of(store: Store, run_id: str, seq: int | None = None) -> State:
    """A state of a run: the last, or the kept one of this number.

    Raises:
        StoreError: there is none.
    """
    if seq is not None:
        return store.load_state(run_id, seq)
    state = store.state(run_id)
    if state is None:
        run = store.run(run_id)
        kept = store.checkpoints(run.id)
        if kept:
            return store.load_state(run.id, kept[0].seq)
        why = "it has ended" if run.status in ENDED else "it has not come to its first step"
        raise StoreError(f"run {run.id} has no state: {why}; with @run(history=True) its states stay")
    return state


def state_with_values(
    store: Store, seals: Seals, run_id: str, seq: int | None = None
) -> tuple[State, LargeValues | None]:
    """The same with all that it needs; the run may be under way meanwhile.

    Raises:
        StoreError: there is no such state.
        SealError, SnapshotFormatError: it, or a large value of it, is damaged.
    """
    while True:
        state = state_of(store, run_id, seq)
        try:
            return state, large_values_of(store, seals.keys, state.data or b"")
        except SnapshotFormatError:
            if state_of(store, run_id, seq).seq == state.seq:
                raise
            # The run has gone on, and what only that state needed was dropped.


def stack(store: Store, seals: Seals, run_id: str, seq: int | None = None) -> list[StackFrame]:
    """The suspended calls of a run, outermost first, as of its last state, or of another that is kept.

    Raises:
        StoreError: there is no such run, or state.
        SnapshotError: the state cannot be read: another key, another Python, other code.
    """
    run_id = store.run(run_id).id
    state, large = state_with_values(store, seals, run_id, seq)
    fiber, *_ = seals.load_state(state, large=large)
    return stack_of(fiber)


def stack_of(fiber: Fiber) -> list[StackFrame]:
    """The calls of a suspended fiber, outermost first; those of a coroutine that it drives, too."""
    found: list[StackFrame] = []
    for frame in fiber.frames:
        is_own = frame.file.startswith(_OWN)
        where = (frame.code.co_qualname, frame.file, frame.line or 0)
        found.append(StackFrame(*where, frame.locals, is_own, frame.offset, frame.stack))
        running = frame.locals.get("running") if is_own else None
        while isinstance(running, CoroutineType):
            inner = running.cr_frame
            if inner is not None:
                code = inner.f_code
                is_own = code.co_filename.startswith(_OWN)
                where = (code.co_qualname, code.co_filename, inner.f_lineno)
                found.append(StackFrame(*where, dict(inner.f_locals), is_own, inner.f_lasti))
            running = running.cr_await
    return found


def timeline(store: Store, run_id: str) -> list[Event]:
    """What is known of a run in the order of time; each step only with ``@run(history=...)``."""
    run = store.run(run_id)
    events = [Event(run.created, "created", run.program)]
    if run.started is not None:
        events.append(Event(run.started, "started", f"forked from {run.origin}" if run.origin else ""))
    for checkpoint in store.checkpoints(run.id):
        state = store.load_state(run.id, checkpoint.seq)
        events.append(Event(state.taken, "state", f"{state.step} at {_short(state.line)}", state.seq))
    events += [Event(signal.sent, "signal", signal.name) for signal in store.signals(run.id)]
    events += [Event(child.created, "child", child.id) for child in store.runs(Filter(parent=run.id))]
    if run.status in ENDED:
        last = (run.error or "").rstrip().rpartition("\n")[2]
        events.append(Event(run.updated, "ended", f"{run.status.value} {last}".rstrip()))
    elif run.waits or run.wake is not None:
        events.append(Event(run.updated, run.status.value, run.waits or ""))
    return sorted(events, key=lambda event: event.when)


def _short(line: str) -> str:
    return line.rpartition("/")[2]


def diff(store: Store, seals: Seals, run_id: str, before: int, after: int) -> list[Difference]:
    """What is different between two states of a run, call by call; calls in which nothing changed are left out.

    Raises:
        StoreError, SnapshotError: as `stack`.
    """
    old, new = stack(store, seals, run_id, before), stack(store, seals, run_id, after)
    found = []
    for place in range(max(len(old), len(new))):
        first = old[place] if place < len(old) else None
        second = new[place] if place < len(new) else None
        if first and second and (first.function, first.file) == (second.function, second.file):
            changed = _changed(first.locals, second.locals)
            if changed or first.line != second.line:
                found.append(Difference(first.function, first.file, first.line, second.line, changed))
            continue
        if first:
            found.append(Difference(first.function, first.file, first.line, None, _changed(first.locals, {})))
        if second:
            found.append(Difference(second.function, second.file, None, second.line, _changed({}, second.locals)))
    return found


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (before.get(name, MISSING), after.get(name, MISSING)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if not _is_same(*pair)}


def _is_same(first: Any, second: Any) -> bool:
    """By what would be stored of them: ``==`` would run their code."""
    if first is MISSING or second is MISSING or type(first) is not type(second):
        return first is second
    try:
        return snapshot.dumps(first) == snapshot.dumps(second)
    except StackfulError:
        return False


# --- editing ----------------------------------------------------------------------------------------------------------


def edited(fiber: Fiber, changes: dict[str, Any], result: Sequence[Any] = ()) -> Fiber:
    """A suspended fiber with other values in its locals, and with another result of the step that it has just done.

    Args:
        fiber: as loaded; it is used up.
        changes: "name", of the innermost call of the run's own code that has it, or "function.name".
        result: empty, or the one result.

    Raises:
        StoreError: no call has such a local, or no step was just done.
    """
    if _core.capture_levels(fiber) is not None:
        raise StoreError("locals of a run that is suspended within prompts or handlers cannot be changed")
    *rest, frames = _core.capture(fiber)
    states = [list(state) for state in frames]
    for name, value in changes.items():
        _set_local(states, name, value)
    if result:
        _set_result(states, result[0])
    return _core.reinstate(_core.blank(type(fiber)), (*rest, [tuple(state) for state in states]))


def _set_local(states: list[list[Any]], name: str, value: Any) -> None:
    function, _, local = name.rpartition(".")
    for state in states:  # the innermost first
        code = state[1]
        is_meant = code.co_qualname.rpartition(".<locals>.")[2] == function if function else not _is_own(code)
        if is_meant and _put(state, local, value):
            return
    names = sorted({n for _, code, *_ in states if not _is_own(code) for n in code.co_varnames + code.co_cellvars})
    raise StoreError(f"no call of this run has a local {name!r}; there are: {', '.join(names) or 'none'}")


def _is_own(code: Any) -> bool:
    return str(code.co_filename).startswith(_OWN)


def _set_result(states: list[list[Any]], value: Any) -> None:
    for state in states:
        if _is_own(state[1]) and state[1].co_name in ("step", "transaction") and _put(state, "result", value):
            return
    raise StoreError("this state is not the one after a step: there is no result to be replaced")


def _put(state: list[Any], name: str, value: Any) -> bool:
    from stackful.fibers.frames import slot_names

    code, namespace, slots = state[1], state[3], list(state[4])
    if isinstance(namespace, dict) and name in namespace:
        namespace[name] = value
        return True
    names = slot_names(code)
    if name not in names:
        return False
    place = names.index(name)
    if name in code.co_cellvars or name in code.co_freevars:
        if not hasattr(slots[place], "cell_contents"):
            return False
        slots[place].cell_contents = value
        return True
    slots[place] = value
    state[4] = tuple(slots)
    return True
