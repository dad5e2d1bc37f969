"""What a store of runs is: its records and its operations, whatever database lies beneath."""

from __future__ import annotations

import enum
from collections import namedtuple

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Any, Protocol

    from stackful.durable.records import (
        Change,
        Claimed,
        Filter,
        NewRun,
        NewSignal,
        Outcome,
        Queue,
        Reach,
        Save,
        Schedule,
        Signal,
        State,
        Worker,
    )
else:
    Protocol = object

__all__ = ["ENDED", "Checkpoint", "Run", "SavedState", "Status", "Store", "Transaction"]


class Status(enum.StrEnum):
    """How a run stands. Stores keep all but ``INTERRUPTED`` literally; see :func:`stackful.durable.runs.status_of`."""

    PENDING = "pending"
    """It has not begun, or is to be tried again: nobody is at work on it, somebody will be when its time, or its turn in its queue, has come."""
    RUNNING = "running"
    """A process is at work on it: a worker owns it, or the process of its script holds its lock."""
    SLEEPING = "sleeping"
    """It goes on when ``wake`` has come."""
    WAITING = "waiting"
    """It goes on when what ``waits`` names is there, or when ``wake`` has come."""
    INTERRUPTED = "interrupted"
    """It did not finish and nobody is at work on it: killed, Ctrl-C, or the machine went down."""
    FINISHED = "finished"
    """It ended by itself; a script's ``exit_status`` says how."""
    FAILED = "failed"
    """An exception ended it; it can go on from its last state."""
    CANCELLED = "cancelled"
    """Somebody, or its deadline, ended it."""


ENDED = frozenset({Status.FINISHED, Status.FAILED, Status.CANCELLED})
"""The statuses in which nothing goes on by itself any more."""

# typing.NamedTuple would do the same, and load `typing`.
_RUN = namedtuple(  # noqa: PYI024
    "_RUN",
    [
        "id", "program", "argv", "cwd", "every", "python", "created", "status", "exit_status",
        "updated", "kind", "queue", "priority", "dedup", "parent", "started", "wake", "waits",
        "deadline", "cancelled", "attributes", "question", "error", "version", "history", "origin", "owner",
        "seq", "steps", "step", "line", "taken", "size",
    ],
    defaults=(
        Status.RUNNING, None, 0.0, "script", None, 0, None, None, None, None, None, None, False, None, None, None, "", 0, None,
        None, 0, 0, "", "", None, 0,
    ),
)  # fmt: skip
_SAVED_STATE = namedtuple("_SAVED_STATE", ["environment", "program", "blobs", "unused"], defaults=(None, None))  # noqa: PYI024
_CHECKPOINT = namedtuple("_CHECKPOINT", ["run", "seq", "when", "size"])  # noqa: PYI024


class Run(_RUN):
    """One durable execution: of a script, or of a function. Times are seconds since the epoch.

    Attributes:
        program: the script's path, or "module:qualname" of the function.
        argv, cwd, every: of scripts.
        kind: "script" or "function".
        queue: the queue that it waits in, and counts for; None: none.
        priority: greater ones begin first, within a queue.
        dedup: while a run with this key has not ended, no other is added; None: no such rule.
        parent: the run that started it.
        started: when it first began.
        wake: when it is due; see `records.Change`.
        waits: what it waits for; see `records.Change`.
        deadline: when it is cancelled with DeadlineError, if it has not ended.
        cancelled: somebody asked for its end.
        attributes: JSON values by name, to search for.
        question: JSON object of `ask`.
        error: the text of the exception that ended it, traceback and all.
        version: what the application calls itself.
        history: how many checkpoints it keeps besides its state; 0: none.
        origin: "RUN@SEQ" that it was forked from.
        owner: the worker that is at work on it.
        seq, steps, step, line, taken, size: of its last state: number, how many steps it has behind it, the last one's name, where it
            stands ("file:line function"), when, bytes (with the large values that it needs, but in what `Store.claim` gives).
    """

    __slots__ = ()

    id: str
    program: str
    argv: tuple[str, ...]
    cwd: str
    every: float | None
    python: str
    created: float
    status: Status
    exit_status: int | None
    updated: float
    kind: str
    queue: str | None
    priority: int
    dedup: str | None
    parent: str | None
    started: float | None
    wake: float | None
    waits: str | None
    deadline: float | None
    cancelled: bool
    attributes: Mapping[str, Any] | None
    question: str | None
    error: str | None
    version: str
    history: int
    origin: str | None
    owner: str | None
    seq: int
    steps: int
    step: str
    line: str
    taken: float | None
    size: int


class SavedState(_SAVED_STATE):
    """Two sealed snapshots: ``environment`` must be in force before ``program`` can be loaded; ``blobs`` and ``unused`` as in `records.Save`."""

    __slots__ = ()

    environment: bytes
    program: bytes
    blobs: Mapping[str, bytes] | None
    unused: tuple[str, ...] | None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.environment) + len(self.program)


class Checkpoint(_CHECKPOINT):
    """A stored state without its bytes; ``size`` counts them, and the large values that it needs, others as well perhaps."""

    __slots__ = ()

    run: str
    seq: int
    when: float
    size: int


class Transaction(Protocol):
    """An open transaction of the store, for `durable.transaction`.

    Attributes:
        connection: the database's own kind of connection (``sqlite3.Connection``, ``psycopg.Connection``), inside of the transaction. It cannot
            end the transaction, nor write to the store's own tables: both are refused with `StoreError`.
    """

    connection: Any

    def save(self, save: Save) -> bool:
        """Put a state in, to be committed with all the rest; False if the fence is lost: then the transaction is rolled back at its end."""

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """The same for a script's run; see `Store.add_checkpoint`."""


class Store(Protocol):
    """Runs and all that belongs to them.

    Every method may be called from any thread, and raises StoreError when the database cannot be read or written; then nothing has
    changed. Whatever a method has changed is on the disk when it returns. No method calls back, but through `listen`.

    Attributes:
        path: what the store is called in messages.
        heartbeat_every: seconds between calls of `heartbeat` that a worker owes; None: it owes none.
    """

    path: str
    heartbeat_every: float | None

    def now(self) -> float:
        """The store's clock, in seconds since the epoch: the same for all workers."""

    def close(self) -> None:
        """Let go of the database."""

    # --- runs ---------------------------------------------------------------------------------------------------------

    def add_runs(self, runs: Sequence[NewRun], owner: str | None = None) -> list[tuple[str, int]]:
        """Add runs; for each, its id and a fence.

        Where a run with the same dedup key has not ended, or one with the same id is there: the id of that one, and the fence -1 (a
        taken id with another program is a StoreError). With an `owner`, those that are in no queue and due at once are claimed for it:
        RUNNING, and the fence is at least 1; for all others 0. Wakes workers when there is something for them to claim.
        """

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts so; RunNotFoundError otherwise."""

    def runs(self, where: Filter | None = None, *, limit: int | None = None, offset: int = 0) -> list[Run]:
        """Runs, the newest first (by ``created``, then by the order in which they were added)."""

    def count(self, where: Filter | None = None) -> dict[Status, int]:
        """How many runs there are of each status; statuses without any are left out."""

    def arguments(self, run_id: str) -> bytes:
        """What a run began with."""

    def outcomes(self, run_ids: Sequence[str]) -> list[Outcome]:
        """How runs stand, in this order, with results and errors of those that have ended; RunNotFoundError for an id that is no run's."""

    def children(self, run_id: str) -> list[str]:
        """The ids of the runs that a run has started and that have not ended."""

    def cancel(self, run_id: str) -> Status:
        """Ask for a run's end, and return its status from then on.

        One that never began is CANCELLED at once, and whoever waits for it is due. One that sleeps or waits is due now. One that is
        running keeps its status; its worker is told. One that has ended stays as it is. Scripts: as running ones.
        """

    def retry(self, run_id: str) -> None:
        """A FAILED run goes on from its last state, or from its arguments if it has none: PENDING and due, not cancelled, no deadline, no error.

        StoreError if it has another status, or is a script, or a run with its dedup key is under way.
        """

    def delete(self, run_ids: Sequence[str]) -> int:
        """Forget runs that have ended, with all that belongs to them; how many there were. Others are left alone."""

    # --- states -------------------------------------------------------------------------------------------------------

    def claim(self, worker: str, limit: int, reach: Reach | None = None, ahead: float = 0.0) -> list[Claimed]:
        """Take over up to `limit` runs that are due, or SLEEPING and due within `ahead` seconds (see `Claimed.wake`); the fence of each grows.

        Due are: runs (of kind "function", and within reach) that are PENDING, SLEEPING or WAITING (or RUNNING, after `recover` and `release`) with ``wake`` not later
        than now; of those in a queue that have not begun only as many as the queue's concurrency and rate admit, those of greater
        priority first, then the older ones. They become RUNNING, ``started`` is set the first time, ``wake``, ``waits`` and ``question`` are cleared.
        """

    def commit(self, saves: Sequence[Save]) -> list[str]:
        """Commit states, all in one transaction; the ids of the runs whose fence was lost (of these nothing is changed).

        With ``history`` = K > 0 each state is kept as a checkpoint, and older ones are thinned: of those that lie between K * 2**n and K * 2**(n+1)
        states back, every 2**(n+1)-th stays.

        Large values (`Save.blobs`) stay as long as a state or checkpoint of a run needs them: each is needed by all from the one that it came with to
        the one before it was unused, or by all that come.

        Ending a run makes due whoever waits for it, admits the next of its queue, and frees its dedup key. Sending a signal makes
        due the run that waits for it; one to a run that is FINISHED or CANCELLED, or not there, is dropped.
        """

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction that code of the run shares: committed at the end of the block if `Transaction.save` was called and returned True, else rolled back.

        Nothing of the store is locked by it in this process; but others that write wait where the database lets only one write (SQLite).
        """

    def release(self, fences: Mapping[str, int]) -> None:
        """Give runs back that this worker holds (id to fence): their last state is due at once, for anybody."""

    def cancelled(self, worker: str) -> list[str]:
        """The runs of this worker whose end was asked for."""

    def state(self, run_id: str) -> State | None:
        """The last state of a run, with its data; None if it never had one, or has none any more."""

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """The checkpoints of a run, the newest first: of a script its last two, of a function the kept ones and its last state."""

    def load_state(self, run_id: str, seq: int) -> State:
        """A checkpoint of a function's run with its data; StoreError that names the kept ones if it is not among them."""

    # --- signals ------------------------------------------------------------------------------------------------------

    def send(self, signals: Sequence[NewSignal]) -> list[bool]:
        """Send signals; for each whether it was taken in: not if its key was seen before, or the run is FINISHED or CANCELLED.

        RunNotFoundError if there is no such run; then none is sent.
        """

    def signals(self, run_id: str, name: str | None = None) -> list[Signal]:
        """The signals of a run that have not been consumed, the oldest first; of one name, or all."""

    # --- blobs --------------------------------------------------------------------------------------------------------

    def blobs(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Large values that states refer to, by digest; those that are not there are left out."""

    # --- queues and schedules -----------------------------------------------------------------------------------------

    def put_queue(self, queue: Queue) -> None:
        """Make a queue, or change its limits. Runs may name queues that were never made: those have no limits."""

    def queues(self) -> list[Queue]:
        """All queues that were made, by name."""

    def put_schedule(self, schedule: Schedule) -> None:
        """Make a schedule, or change it; its ``next`` stays as it is when cron, zone and program are the same."""

    def schedules(self) -> list[Schedule]:
        """All schedules, by name."""

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule; harmless if there is none."""

    def fire(self, schedule: Schedule, next: float, run: NewRun) -> bool:  # noqa: A002
        """Add the run that is due by a schedule and set when the next is, in one transaction; False if another worker was first."""

    # --- workers ------------------------------------------------------------------------------------------------------

    def join(self, worker: Worker) -> None:
        """Become a worker: from now on its runs are taken over when this process has died, or is late with `heartbeat`."""

    def leave(self, worker: str) -> None:
        """Be a worker no more; runs that it still holds are due for others at once."""

    def heartbeat(self, worker: str) -> bool:
        """Say that a worker lives; False if others took it for dead: its runs are lost to it, it must `join` anew under another id."""

    def drain(self, worker: str) -> None:
        """Mark a worker as one that takes no more runs: `workers` shows it."""

    def recover(self) -> int:
        """Make due all runs whose worker is dead, forget those workers; how many runs there were."""

    def workers(self) -> list[Worker]:
        """The workers that live, the oldest first."""

    # --- time and wake-ups --------------------------------------------------------------------------------------------

    def next_due(self, reach: Reach | None = None) -> float | None:
        """When `claim` will next have something that it has not now, or a schedule fires; None: not by the clock alone.

        Not later than: the least ``wake``, ``deadline`` of a run that sleeps or waits, ``next`` of a schedule, and the moment at which the rate
        of a queue admits its next run. A time that is past: there is something now.
        """

    def listen(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Have `callback(kind, subject)` called when something happened, here or in another process; what is returned ends it.

        It is called in the thread that made the change, or in one of the store's: it must neither block nor call the store. Kinds: "due" (there
        may be something to claim, or `next_due` has changed by more than the commit of this process; subject ""), "cancel" (of a running run: its id), "signal" (sent to a run: its id),
        "ended" (a run has ended: its id), "worker" (one has come, or has died: call `recover`; subject ""), "lost" (some may have been missed:
        look at everything; subject ""). There may be more calls than needed; none is missing.
        """

    # --- scripts ------------------------------------------------------------------------------------------------------

    def add_run(self, run: Run, source: bytes) -> None:
        """Record a new run of a script with this source; StoreError if its id is taken."""

    def source(self, run: Run) -> bytes:
        """The script as it was when the run started, or when it went on in a new text."""

    def set_status(self, run_id: str, status: Status, exit_status: int | None = None) -> None:
        """Record how a script's run stands; the checkpoints of one that is FINISHED or CANCELLED are dropped in the same transaction.

        Its end makes due whoever waits for it, as in `commit`.
        """

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """Record a script's state, with what else changes, and drop those that are too old, in one transaction: on any error nothing has changed.

        Large values stay as long as one of the two that are kept needs them: see `commit`.

        A script's run is never claimed: SLEEPING and WAITING are for those who look at it; its own process wakes it.
        """

    def load(self, checkpoint: Checkpoint) -> SavedState:
        """The bytes of a script's checkpoint."""
