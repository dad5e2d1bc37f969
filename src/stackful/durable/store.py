"""What a store of runs is: its records and its operations, whatever database lies beneath."""

from __future__ import annotations

import enum
from collections import namedtuple

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object

__all__ = ["Checkpoint", "Run", "SavedState", "Status", "Store"]


class Status(enum.StrEnum):
    """How a run stands. Stores keep all but ``INTERRUPTED`` literally; see :func:`stackful.durable.runs.status_of`."""

    RUNNING = "running"
    """A process is at work on it: it holds the run's lock."""
    INTERRUPTED = "interrupted"
    """It did not finish and nobody is at work on it: killed, Ctrl-C, or the machine went down."""
    FINISHED = "finished"
    """The script ended by itself; ``exit_status`` says how."""
    FAILED = "failed"
    """An exception ended the script; it can be resumed from its last checkpoint."""


# typing.NamedTuple would do the same, and load `typing`.
_RUN = namedtuple(  # noqa: PYI024
    "_RUN",
    ["id", "script", "argv", "cwd", "every", "python", "created", "status", "exit_status", "updated"],
    defaults=(Status.RUNNING, None, 0.0),
)
_SAVED_STATE = namedtuple("_SAVED_STATE", ["environment", "program"])  # noqa: PYI024
_CHECKPOINT = namedtuple("_CHECKPOINT", ["run", "seq", "when", "size"])  # noqa: PYI024


class Run(_RUN):
    """One durable execution of a script. Times are seconds since the epoch."""

    __slots__ = ()

    id: str
    script: str
    argv: tuple[str, ...]
    cwd: str
    every: float | None
    python: str
    created: float
    status: Status
    exit_status: int | None
    updated: float


class SavedState(_SAVED_STATE):
    """Two sealed snapshots: ``environment`` must be in force before ``program`` can be loaded."""

    __slots__ = ()

    environment: bytes
    program: bytes

    @property
    def size(self) -> int:
        """Bytes in all."""
        return len(self.environment) + len(self.program)


class Checkpoint(_CHECKPOINT):
    """A stored state without its bytes."""

    __slots__ = ()

    run: str
    seq: int
    when: float
    size: int


class Store(Protocol):
    """Runs and their checkpoints. Every method raises StoreError when the database cannot be read or written."""

    def add_run(self, run: Run, source: bytes) -> None:
        """Record a new run of a script with this source; StoreError if its id is taken."""

    def source(self, run: Run) -> bytes:
        """The script as it was when the run started."""

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts so; RunNotFoundError otherwise."""

    def runs(self) -> list[Run]:
        """All runs, the newest first."""

    def set_status(self, run_id: str, status: Status, exit_status: int | None = None) -> None:
        """Record how a run stands; a finished run's checkpoints are dropped in the same transaction."""

    def add_checkpoint(self, run_id: str, state: SavedState) -> Checkpoint:
        """Record a state and drop those that are too old, in one transaction: on any error nothing has changed."""

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """The checkpoints of a run, the newest first."""

    def load(self, checkpoint: Checkpoint) -> SavedState:
        """The bytes of a checkpoint."""

    def close(self) -> None:
        """Let go of the database."""
