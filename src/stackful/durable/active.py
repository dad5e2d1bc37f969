"""A run that this process is at work on: its fiber, its numbers, and how both become bytes."""

from __future__ import annotations

import copy
import sys
import traceback
from pathlib import Path
from types import CodeType, coroutine
from typing import TYPE_CHECKING, Any

from stackful import _core, snapshot
from stackful.durable.contexts import here, host
from stackful.durable.functions import find, options_of
from stackful.durable.large import LEAST, LargeValues, large_values_of
from stackful.durable.records import Change, Save
from stackful.durable.requests import Request
from stackful.durable.store import Status
from stackful.durable.unwinding import Before, note
from stackful.errors import (
    DeadlineError,
    FiberError,
    InternalError,
    RunCancelled,
    SnapshotError,
    StackfulError,
    UnsaveableError,
)
from stackful.fibers import Fiber, suspend_to
from stackful.fibers.frames import line_of
from stackful.snapshot.pickler import generators_saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from stackful.durable.contexts import Drives
    from stackful.durable.records import Claimed, State
    from stackful.durable.seals import Seals
    from stackful.durable.store import Run, Transaction
    from stackful.durable.telemetry import RunSpan

__all__ = [
    "ActiveRun",
    "drive_coroutine",
    "ending_of",
    "largest_local",
    "place_of",
    "request_of",
    "seal_error",
]

_OWN = str(Path(__file__).parent)
_places: dict[tuple[int, int], tuple[CodeType, str]] = {}


def place_of(fiber: Fiber) -> str:
    """Where the run's own code stands: "file:line function"."""
    for state in _core.look(fiber):
        known = _places.get((id(state[1]), state[2])) or _remember_place(state[1], state[2])
        if known[1]:
            return known[1]
    return ""


def _remember_place(code: CodeType, offset: int) -> tuple[CodeType, str]:
    """The text of a place; of one in Stackful's own functions, none."""
    is_own = code.co_filename.startswith(_OWN)
    text = "" if is_own else f"{code.co_filename}:{line_of(code, offset)} {code.co_qualname}"
    if len(_places) > 10_000:
        _places.clear()
    known = _places[id(code), offset] = (code, text)  # the code is kept alive: its id cannot come to mean another
    return known


class ActiveRun:
    """What there is of a run in memory while it is being worked on.

    Args:
        run: its record.
        fence: what commits must carry.
        drives: who works on it.
        seals: how it becomes bytes.

    Attributes:
        answer, error: with which it goes on next; an error is raised where it is suspended.
        consumed: the signals that its next state has behind it.
        interrupt: "cancel" or "deadline" when its end was asked for; `told`: it has been raised.
        future: what it waits for in memory.
        before: the states before the exceptions that it handles; see `unwinding`.
        handled: the exception that is handled in a coroutine which the run is.
        large: what its states share, once they are large.
        request: what it asked for, to be asked again: the store was away.
        shared: the transaction that its code is in.
        span: of this part of the run, where there is telemetry.
    """

    __slots__ = (
        "answer", "arguments", "attempt", "before", "begun", "consumed", "deadline", "drives", "error", "fence", "fiber", "future",
        "handled", "has_generators", "history", "id", "interrupt", "is_in_step", "key", "large", "largest", "line", "parent", "program", "request", "seals", "seq",
        "shared", "sharing", "span", "state", "step", "steps", "told",
    )  # fmt: skip

    def __init__(self, run: Run, fence: int, drives: Drives, seals: Seals) -> None:
        self.id, self.program, self.fence, self.drives = run.id, run.program, fence, drives
        self.history, self.deadline, self.parent = run.history, run.deadline, run.parent
        self.seals = seals
        self.fiber: Fiber | None = None
        self.state: State | None = None
        self.arguments = b""
        self.seq, self.steps, self.step, self.line = run.seq, run.steps, run.step, run.line
        self.begun = 0
        self.key: str | None = None
        self.attempt = 1
        self.is_in_step = self.told = False
        self.has_generators = True  # as long as nobody has looked
        self.consumed: list[int] = []
        self.answer: Any = None
        self.error: BaseException | None = None
        self.interrupt = "cancel" if run.cancelled else ""
        self.future: Future[Any] | None = None
        self.request: Request | None = None
        self.sharing: AbstractContextManager[Transaction] | None = None
        self.shared: Transaction | None = None
        self.span: RunSpan | None = None
        self.before: list[Before] = []
        self.handled: BaseException | None = None
        self.largest = 65536
        self.large: LargeValues | None = None

    @classmethod
    def claimed(cls, claimed: Claimed, drives: Drives, seals: Seals) -> ActiveRun:
        """A run as it was claimed; nothing is unpickled yet."""
        self = cls(claimed.run, claimed.fence, drives, seals)
        self.arguments, self.state = claimed.arguments, claimed.state
        return self

    def load(self) -> None:
        """Make the fiber: from the state, or from the arguments.

        Raises:
            StackfulError: it cannot be made by this process.
        """
        if self.state is not None:
            self.large = large_values_of(self.drives.store, self.seals.keys, self.state.data or b"")
            self.fiber, told, self.before = self.seals.load_state(self.state, self.program, self.large)
            if self.before:
                self._find_before()
            if self.large is not None:
                self.large.loaded()
            # A run that was forked, or is tried again, has not been told, whatever the one was whose state it has.
            self.told = told and (self.interrupt == "cancel" or self.deadline is not None)
            self.state, self.has_generators = None, True
            return
        self.fiber = self._begun(self.arguments)
        self.arguments = b""

    def _begun(self, arguments: bytes) -> Fiber:
        """The fiber as it begins."""
        function = find(self.program)
        args, keywords = self.seals.unseal(self.id, arguments)
        if options_of(self.program).is_async:
            function, args, keywords = drive_coroutine, (function, args, keywords), {}
        # A copy: one that is dropped when the run leaves memory is not closed, no `finally` runs.
        return copy.copy(Fiber(function, *args, **keywords))

    def _find_before(self) -> None:
        """The large values of the states before are needed as long as those may be; where they are not there, it is done without."""
        try:
            wanted = self._needed_before()
            if wanted:
                self.large = self.large or LargeValues(self.drives.store)
                self.large.blobs.fetch(wanted)
                self.large.besides = wanted
        except SnapshotError:
            self.before = []

    def go(self) -> Any:
        """Go on to the next request, or to the end: then the fiber is dead, and this is the result. Raises what the code raises."""
        fiber, answer, error = self.fiber, self.answer, self.error
        self.answer = self.error = None
        assert fiber is not None
        if self.interrupt and not self.told and self.sharing is None:  # a transaction ends first: it holds the store
            self.told = True
            error = _interruption(self.interrupt, self.id)
        if error is not None:
            return fiber.throw(error)
        return fiber.resume(answer)

    def next_state(self, change: Change | None = None) -> Save:
        """The next state, to be committed with what else changes; what has come of signals is consumed by it. `take_back` undoes this.

        Raises:
            UnsaveableError, FiberError: it cannot be stored; nothing has changed.
        """
        assert self.fiber is not None
        before, large = generators_saved[0], self.large
        blobs = unused = None
        seq = self.seq + 1
        handled = _core.handled(self.fiber) if self.handled is None else self.handled
        if handled is not None or self.before:
            self._note(handled)
        data = self.seals.seal_state(self.id, seq, self.fiber, self.told, large, self.before)
        if large is not None:
            blobs, unused = large.changes(data)
        elif len(data) >= LEAST:
            self.large = LargeValues(self.drives.store)
        self.seq, self.line = seq, place_of(self.fiber)
        self.has_generators = generators_saved[0] != before
        if self.consumed:
            change = change or Change()
            change.consumed, self.consumed = tuple(self.consumed), []
        return Save(
            self.id, self.fence, seq, self.steps, self.step, self.line, data, change, self.history, blobs, unused
        )

    def _note(self, handled: BaseException | None) -> None:
        note(self.before, handled, self.drives.store, self.seals, self.id, self.seq)
        if self.large is not None:
            self.large.besides = self._needed_before()

    def _needed_before(self) -> set[bytes]:
        """The large values that the states before need."""
        return {digest for before in self.before for digest in before.digests}

    def take_back(self, save: Save) -> None:
        """The store did not take what `next_state` gave."""
        self.seq -= 1
        if save.change is not None:
            self.consumed = [*save.change.consumed]
        if self.large is not None:
            self.large.forget()

    def last_state(self, change: Change) -> Save:
        """How the run ends, to be committed."""
        has_values = self.large is not None or self.history  # checkpoints may have had some
        unused = () if has_values and change.status is not Status.FAILED else None
        return Save(self.id, self.fence, self.seq, self.steps, self.step, self.line, None, change, unused=unused)

    def state_before(self, before: Before, change: Change) -> Save:
        """How a run ends that has failed, to be committed: its last state is this one, to be tried again from there."""
        if change.status is not Status.FAILED:
            return self.last_state(change)
        seq = self.seq + 1
        try:
            data = self._again(before, seq)
        except Exception:  # noqa: BLE001 - what the run began with may raise anything; from the last state it can be tried again as well
            return self.last_state(change)
        unused = None if self.large is None else self.large.not_of(before.digests)
        self.seq, self.steps, self.step, self.line = seq, before.steps, before.step, before.line
        return Save(
            self.id, self.fence, seq, self.steps, self.step, self.line, data, change, self.history, unused=unused
        )

    def _again(self, before: Before, seq: int) -> bytes:
        if before.data:
            return self.seals.sealed_again(self.id, seq, before.data, self.large)
        fiber = self._begun(self.drives.store.arguments(self.id))
        return self.seals.seal_state(self.id, seq, fiber, False)

    def abandon(self) -> None:
        """Let go of the fiber, which lives on in the store, without running any code of it.

        CPython closes a generator or coroutine that is dropped while it is suspended, and its ``finally`` would run here, and in its next life
        again. So those are kept for ever.
        """
        if self.has_generators and self.fiber is not None:
            import ctypes

            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.fiber))
        self.fiber = self.large = None
        self.end_span("released")

    def end_span(self, status: str, change: Change | None = None) -> None:
        """This part of the run is over; see `RunSpan.end`."""
        if self.span is not None:
            span, self.span = self.span, None
            span.end(status, change)

    def __repr__(self) -> str:
        return f"<run {self.id} at state {self.seq}>"


def _interruption(kind: str, run_id: str) -> RunCancelled:
    if kind == "deadline":
        return DeadlineError(f"run {run_id} has not ended by its deadline")
    return RunCancelled(f"run {run_id} was cancelled")


def ending_of(error: BaseException) -> tuple[Status, str]:
    """How a run ends that raises this, and the text of it: the traceback without the frames of Stackful that say nothing."""
    told = traceback.TracebackException.from_exception(error)
    parts: list[tuple[Any, Any]] = [(told, error)]
    for part, raised in parts:
        _leave_out_own(part, raised)
        parts += [
            (getattr(part, name), getattr(raised, name)) for name in ("__cause__", "__context__") if getattr(part, name)
        ]
        parts += zip(part.exceptions or (), getattr(raised, "exceptions", ()), strict=False)
    return (Status.CANCELLED if isinstance(error, RunCancelled) else Status.FAILED), "".join(told.format())


def _leave_out_own(told: traceback.TracebackException, error: BaseException) -> None:
    """Innermost ones stay where they raise what is no error of Stackful's: it may be a bug in them."""
    innermost = len(told.stack)
    while innermost and told.stack[innermost - 1].filename.startswith(_OWN):
        innermost -= 1
    is_told = isinstance(error, StackfulError | RunCancelled) and not isinstance(error, InternalError)
    end = innermost if is_told else len(told.stack)
    told.stack[:] = [
        frame
        for place, frame in enumerate(told.stack[:end])
        if place >= innermost or not frame.filename.startswith(_OWN)
    ]


def seal_error(run: ActiveRun, error: BaseException) -> bytes | None:
    """An exception for those who wait for the run, if it can be stored; else without those that it came of."""
    for attempt in ("with all", "alone"):
        if attempt == "alone":
            error.__cause__ = error.__context__ = None
        try:
            data = run.seals.seal(run.id, error.with_traceback(None))
            run.seals.unseal(run.id, data)  # many an exception can be pickled, but not made again
        except Exception:  # noqa: BLE001 - a class of its own may do anything
            continue
        return data
    return None


def largest_local(run: ActiveRun) -> tuple[int, str]:
    """The variable of a run whose value alone takes the most bytes, and how many."""
    found = (0, "")
    for frame in run.fiber.frames if run.fiber is not None else ():
        if frame.file.startswith(_OWN):
            continue
        for name, value in frame.locals.items():
            try:
                size = len(snapshot.dumps(value))
            except (StackfulError, UnsaveableError):
                continue
            found = max(found, (size, f'local "{name}" of {frame.code.co_qualname} ({frame.file}:{frame.line})'))
    return found


# --- async def --------------------------------------------------------------------------------------------------------


@coroutine
def request_of(request: Request) -> Any:
    """In a coroutine: what it awaits to have its run suspend with a request."""
    here.driver.handled = sys.exception()  # type: ignore[union-attr]
    return (yield request)


def drive_coroutine(function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    """A run of an ``async def`` function. The coroutine is suspended by itself, and then the fiber: no C call stands in between."""
    running = function(*args, **keywords)
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            request = running.send(answer) if error is None else running.throw(error)
        except StopIteration as stop:
            return stop.value
        except RuntimeError as raised:
            if "no running event loop" in str(raised):
                raised.add_note(
                    "a durable run is under no event loop: await it within a step, or use stackful.durable.aio"
                )
            raise
        answer = error = None
        if not isinstance(request, Request):
            error = FiberError(
                f"a durable run awaited {request!r}, which is no request of it: await it within a step, or use stackful.durable.aio"
            )
            continue
        try:
            answer = suspend_to(host("await"), request)
        except BaseException as raised:  # noqa: BLE001 - raised again in the coroutine
            error = raised.with_traceback(None)
        request = None
