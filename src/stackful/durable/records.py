"""What stores of runs are given and give back: plain records, bytes in them sealed already, nothing in them pickled by a store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackful.durable.given import check_count, check_text
from stackful.durable.store import Run, Status

__all__ = [
    "Change",
    "Claimed",
    "Filter",
    "NewRun",
    "NewSignal",
    "Outcome",
    "Queue",
    "Reach",
    "Save",
    "Schedule",
    "Signal",
    "State",
    "Worker",
]


@dataclass(slots=True)
class NewSignal:
    """A signal to be sent: ``key``, if not None, makes a second one with the same run and key vanish, for as long as the run lives."""

    run: str
    name: str
    payload: bytes
    key: str | None = None


@dataclass(slots=True)
class Signal:
    """A signal that has been sent and not yet consumed; ``id`` grows with the order in which the store took them in."""

    id: int
    run: str
    name: str
    payload: bytes
    sent: float


@dataclass(slots=True)
class Outcome:
    """How a run ended, or stands: ``result`` when it has finished, ``error`` (text) when it has failed or was cancelled."""

    run: str
    status: Status
    result: bytes | None = None
    error: str | None = None


@dataclass(slots=True)
class NewRun:
    """A run to be added.

    Attributes:
        run: its row: id, program, kind, queue, priority, deadline, attributes, parent, ... ; ``run.wake`` is when it is to begin.
        arguments: sealed; what it begins with as long as it has no state.
        source: the script's bytes, for runs of kind "script".
        state: for a fork, the state that it goes on from.
        blobs: large values by their digest, all that this state refers to.
    """

    run: Run
    arguments: bytes = b""
    source: bytes = b""
    state: State | None = None
    blobs: Mapping[str, bytes] | None = None


@dataclass(slots=True)
class State:
    """A stored state of a run. In lists ``data`` is left out (None); ``size`` is its length always."""

    run: str
    seq: int
    steps: int
    step: str
    line: str
    taken: float
    size: int
    data: bytes | None = None


@dataclass(slots=True)
class Change:
    """What a commit changes of a run besides its state. None leaves a field as it is, where nothing else is said.

    Attributes:
        status: RUNNING: it goes on in this worker. Every other status releases it: no owner. SLEEPING and WAITING runs are claimed again when
            ``wake`` has come, or what they wait for is there. FINISHED and CANCELLED drop the state and the signals (checkpoints of a run with
            history stay); FAILED keeps them. PENDING: as SLEEPING, for a run that is to begin or to be tried again.
        wake: when it is due, in seconds of the store's clock; None: not by the clock. A deadline that comes earlier counts, too.
        waits: what it waits for, to be shown: "signal:NAME", "run:ID", "runs:COUNT"; with "signal:NAME" it is due when there is a signal of that name.
        awaits: runs; it is due when all of them have ended, or one has ended without success (FAILED, CANCELLED). In both cases: if what it waits
            for is there already, it is due at once; the store looks in the same transaction, after `consumed` is deleted.
        question: what `ask` shows, a JSON object as text; dropped whenever the status becomes another than WAITING.
        consumed: ids of signals whose delivery this state has behind it: deleted.
        signals: to be sent with this commit.
        runs: to be added with this commit: children. One whose dedup key or id is taken is not added.
        attributes: merged into those of the run; a value None removes the name.
        result, error, exit_status: with a status that ends the run.
        told: the run has been told of its end: that it is cancelled, or late, does not make it due any more.
        source: of a script's run, the text that its checkpoint belongs to from now on.
    """

    status: Status = Status.RUNNING
    wake: float | None = None
    waits: str | None = None
    awaits: tuple[str, ...] = ()
    question: str | None = None
    consumed: tuple[int, ...] = ()
    signals: tuple[NewSignal, ...] = ()
    runs: tuple[NewRun, ...] = ()
    attributes: Mapping[str, Any] | None = None
    result: bytes | None = None
    error: str | None = None
    exit_status: int | None = None
    told: bool = False
    source: bytes | None = None


@dataclass(slots=True)
class Save:
    """One state of one run, to be committed if the fence is still the run's.

    Attributes:
        data: the state; None leaves the last one (the run has failed, or ended). With FAILED: from which it is tried again.
        change: what else is to change; None for the common case that the run only went on.
        history: how many checkpoints to keep, thinned (see `Store.commit`); 0: none but the state itself.
        blobs: large values by their digest, which the state refers to and the one before did not; those that the store has already are skipped.
        unused: digests that the state before referred to, and this one does not; not None with the good end, or the cancellation, of a run that may have such values.
    """

    run: str
    fence: int
    seq: int
    steps: int
    step: str
    line: str
    data: bytes | None
    change: Change | None = None
    history: int = 0
    blobs: Mapping[str, bytes] | None = None
    unused: tuple[str, ...] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nothing but the state changes: what nearly all saves are."""
        has_values = self.blobs is not None or self.unused is not None
        return self.change is None and self.data is not None and not self.history and not has_values


@dataclass(slots=True)
class Claimed:
    """A run that a worker has claimed: nobody else can commit it from now on.

    Attributes:
        run: its row, as it is now: status RUNNING; ``run.cancelled`` says whether it is to be cancelled. (Only ``waits`` is what it was before.)
        fence: what its commits must carry.
        state: where it goes on; None if it is to begin.
        arguments: what it begins with; b"" if it has a state.
        wake: when it is to go on; None, or past: now.
    """

    run: Run
    fence: int
    state: State | None
    arguments: bytes = b""
    wake: float | None = None


@dataclass(slots=True)
class Filter:
    """Which runs to list: those for which all that is given holds.

    Attributes:
        attributes: name to value (JSON): runs that have it.
        text: part of the id or of the program.
        before, since: bounds of ``created``; before is exclusive.
    """

    statuses: tuple[Status, ...] = ()
    kind: str | None = None
    program: str | None = None
    queue: str | None = None
    parent: str | None = None
    dedup: str | None = None
    text: str | None = None
    attributes: Mapping[str, Any] | None = None
    since: float | None = None
    before: float | None = None

    def __post_init__(self) -> None:
        """Refuse a single status, which would be a list of its letters."""
        if not _are_several(self.statuses):
            raise TypeError(f"statuses= takes several, as (Status.FAILED,), not {self.statuses!r}")


def _are_several(given: object) -> bool:
    return not isinstance(given, str) and hasattr(given, "__iter__")


@dataclass(slots=True)
class Queue:
    """A queue: at most ``concurrency`` of its runs are under way (begun, not ended, sleeping ones too); at most ``rate[0]`` begin in ``rate[1]`` seconds."""

    name: str
    concurrency: int | None = None
    rate: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        """Refuse limits that no run could keep, and those that are none."""
        if not self.name:
            raise ValueError(f"a queue has a name, not {self.name!r}")
        check_text("the name of a queue", self.name)
        if self.concurrency is not None:
            check_count(f"the concurrency of queue {self.name!r}", self.concurrency, 0)
        if self.rate is not None and not _is_rate(self.rate):
            raise ValueError(
                f"queue {self.name!r}: rate={self.rate!r} is not (runs, seconds), both more than 0: (100, 60.0) for 100 a minute"
            )


def _is_rate(rate: Any) -> bool:
    is_pair = isinstance(rate, tuple | list) and len(rate) == 2
    return is_pair and all(isinstance(each, int | float) and each > 0 for each in rate)


@dataclass(slots=True)
class Reach:
    """Which runs a worker takes: those of these programs, and of these queues; None: of all. The queue "-" stands for none.

    Attributes:
        unread: the schedules that it cannot read, and does not fire.
    """

    programs: tuple[str, ...] | None = None
    queues: tuple[str, ...] | None = None
    unread: tuple[str, ...] = ()


@dataclass(slots=True)
class Schedule:
    """A run that is started again and again: ``next`` is when, next; ``zone`` is the time zone that the cron text is read in."""

    name: str
    program: str
    cron: str
    zone: str
    next: float
    arguments: bytes = b""
    queue: str | None = None


@dataclass(slots=True)
class Worker:
    """A process that drives runs. ``programs``: those that it knows, None: all."""

    id: str
    host: str
    pid: int
    started: float
    seen: float = 0.0
    draining: bool = False
