"""The store: what its parts do, in sessions that outlive the server's absence."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager
from functools import partial

from stackful.durable.postgres import adding, blobs, claiming, queues, rows, saving, scripts, signalling, workers
from stackful.durable.postgres.attending import Attendant
from stackful.durable.postgres.schema import migrate
from stackful.durable.postgres.sessions import Sessions
from stackful.durable.postgres.shared import SharedTransaction
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
    from stackful.durable.store import Checkpoint, Run, SavedState, Status

__all__ = ["PostgresStore"]

# Seconds after which a worker that is not heard of is taken for dead, if its connections have not told it before.
_LEASE = 15.0

# Seconds for which the difference between the server's clock and this process's is taken as known.
_CLOCK_FOR = 5.0


class PostgresStore:
    """A :class:`stackful.durable.store.Store` in a PostgreSQL database (14 or later), shared by workers on any number of machines.

    The tables are in a schema of their own, ``stackful``, so that an application's can be in the same database. All times are of the
    server's clock.

    Args:
        url: ``postgresql://user:password@host:port/database``, or any connection string that libpq understands.
        create: False to require that the tables are there.
        lease: seconds after which a worker that is not heard of is taken for dead; each says what holds for itself.

    Raises:
        StoreError: the server is away or refuses, the database is missing, or was made by a later Stackful.

    Example:
        >>> store = PostgresStore("postgresql://ada@db.example/runs")  # doctest: +SKIP
        >>> [run.id for run in store.runs()]  # doctest: +SKIP
        ['crossref-k3f9']
    """

    def __init__(self, url: str, create: bool = True, lease: float = _LEASE) -> None:
        self.heartbeat_every: float | None = lease / 3
        self._lease = lease
        self._name = f"stackful {os.getpid()} {secrets.token_hex(6)}"
        self._sessions = Sessions(url, self._name)
        self.path = self._sessions.address
        self._numbers: dict[str, int] = {}
        self._attendant = Attendant(self._sessions)
        self._clock: tuple[float, float] | None = None
        self._unknown_until = 0.0  # by time.monotonic()
        try:
            self._sessions.run(partial(migrate, address=self.path, create=create))
        except BaseException:
            self._sessions.close()
            raise

    def __repr__(self) -> str:
        return f"<PostgresStore {self.path}>"

    def check_keys(self, ids: Sequence[str]) -> None:
        """See that keys are those that others seal this store with; those of whoever is first are.

        Args:
            ids: what the keys are known by, the newest first.

        Raises:
            StoreError: none of them has been used here, and others have.
        """
        if not self._sessions.run(partial(workers.note_keys, ids=ids)):
            raise StoreError(
                f"what is in {self.path} was sealed with another key: give all that use it the same, in STACKFUL_KEY or ~/.stackful/key"
            )

    def now(self) -> float:
        """The server's clock."""
        clock = self._clock
        if clock is None or time.monotonic() - clock[1] > _CLOCK_FOR:
            clock = self._look_at_clock()
        return clock[0] + time.monotonic() - clock[1]

    def _look_at_clock(self) -> tuple[float, float]:
        """The server's clock, and ours at that moment. When the server's was set since the last look, who is late is not known for a while."""
        began = time.monotonic()
        ((there,),) = self._sessions.run(lambda session: session.ask("SELECT stackful.clock()").fetchall())
        ended = time.monotonic()
        clock, before = (there, (began + ended) / 2), self._clock
        is_set = (
            before is not None and abs(there - clock[1] - before[0] + before[1]) > (ended - began) / 2 + self._lease / 3
        )
        if is_set:
            self._unknown_until = ended + self._sessions.run(workers.longest_lease)
        self._clock = clock
        return clock

    def close(self) -> None:
        """Let go of the database; workers of this store leave."""
        try:
            for worker in list(self._numbers):
                self.leave(worker)
        finally:
            self._attendant.close()
            self._sessions.close()

    # --- runs ---------------------------------------------------------------------------------------------------------

    def add_runs(self, runs: Sequence[NewRun], owner: str | None = None) -> list[tuple[str, int]]:
        """Add runs; for each, its id and a fence."""
        if not runs:
            return []
        return self._sessions.transact(partial(adding.add_runs, address=self.path, runs=runs, owner=owner))

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts so."""
        return self._sessions.run(partial(rows.run, address=self.path, run_id=run_id))

    def runs(self, where: Filter | None = None, *, limit: int | None = None, offset: int = 0) -> list[Run]:
        """Runs, the newest first."""
        return self._sessions.run(partial(rows.runs, where=where, limit=limit, offset=offset))

    def count(self, where: Filter | None = None) -> dict[Status, int]:
        """How many runs there are of each status."""
        return self._sessions.run(partial(rows.count, where=where))

    def arguments(self, run_id: str) -> bytes:
        """What a run began with."""
        return self._sessions.run(partial(rows.field, address=self.path, run_id=run_id, column="arguments"))

    def outcomes(self, run_ids: Sequence[str]) -> list[Outcome]:
        """How runs stand, in this order."""
        return self._sessions.run(partial(rows.outcomes, address=self.path, run_ids=run_ids))

    def children(self, run_id: str) -> list[str]:
        """The ids of the runs that a run has started and that have not ended."""
        return self._sessions.run(partial(rows.children, run_id=run_id))

    def cancel(self, run_id: str) -> Status:
        """Ask for a run's end, and return its status from then on."""
        return self._sessions.transact(partial(claiming.cancel, address=self.path, run_id=run_id))

    def retry(self, run_id: str) -> None:
        """A run that has failed goes on from its last state, or from its arguments if it has none."""
        self._sessions.transact(partial(claiming.retry, address=self.path, run_id=run_id))

    def delete(self, run_ids: Sequence[str]) -> int:
        """Forget runs that have ended, with all that belongs to them; how many there were."""
        return self._sessions.transact(partial(blobs.delete_runs, run_ids=run_ids))

    # --- states -------------------------------------------------------------------------------------------------------

    def claim(self, worker: str, limit: int, reach: Reach | None = None, ahead: float = 0.0) -> list[Claimed]:
        """Take over up to `limit` runs that are due, or sleep and will be due so soon; the fence of each grows."""
        return self._sessions.transact(partial(claiming.claim, worker=worker, limit=limit, reach=reach, ahead=ahead))

    def commit(self, saves: Sequence[Save]) -> list[str]:
        """Commit states, all in one transaction; the ids of the runs whose fence was lost."""
        if not saves:
            return []
        if all(save.is_plain for save in saves):
            return self._sessions.run(partial(saving.save_plain, saves=saves))
        return self._sessions.transact(partial(saving.save_all, saves=saves))

    @contextmanager
    def transaction(self) -> Iterator[SharedTransaction]:
        """A transaction that code of the run shares."""
        with SharedTransaction(self._sessions) as shared:
            yield shared

    def release(self, fences: Mapping[str, int]) -> None:
        """Give runs back that this worker holds: their last state is due at once, for anybody."""
        if fences:
            self._sessions.transact(partial(claiming.release, fences=fences))

    def cancelled(self, worker: str) -> list[str]:
        """The runs of this worker whose end was asked for."""
        return self._sessions.run(partial(claiming.cancelled, worker=worker))

    def state(self, run_id: str) -> State | None:
        """The last state of a run, with its data."""
        return self._sessions.run(partial(rows.state, run_id=run_id))

    def checkpoints(self, run_id: str) -> list[Checkpoint]:
        """The checkpoints of a run, the newest first."""
        return self._sessions.run(partial(rows.checkpoints, run_id=run_id))

    def load_state(self, run_id: str, seq: int) -> State:
        """A checkpoint of a function's run with its data."""
        return self._sessions.run(partial(rows.load_state, address=self.path, run_id=run_id, seq=seq))

    # --- signals, large values ----------------------------------------------------------------------------------------

    def send(self, signals: Sequence[NewSignal]) -> list[bool]:
        """Send signals; for each whether it was taken in."""
        if not signals:
            return []
        return self._sessions.transact(partial(signalling.send, address=self.path, sent=signals))

    def signals(self, run_id: str, name: str | None = None) -> list[Signal]:
        """The signals of a run that have not been consumed, the oldest first."""
        return self._sessions.run(partial(signalling.signals, run_id=run_id, name=name))

    def blobs(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Large values that states refer to, by digest; those that are not there are left out."""
        return self._sessions.run(partial(blobs.read_blobs, digests=digests))

    # --- queues and schedules -----------------------------------------------------------------------------------------

    def put_queue(self, queue: Queue) -> None:
        """Make a queue, or change its limits."""
        self._sessions.run(partial(queues.put_queue, queue=queue))

    def queues(self) -> list[Queue]:
        """All queues that were made, by name."""
        return self._sessions.run(queues.queues)

    def put_schedule(self, schedule: Schedule) -> None:
        """Make a schedule, or change it."""
        self._sessions.run(partial(queues.put_schedule, schedule=schedule))

    def schedules(self) -> list[Schedule]:
        """All schedules, by name."""
        return self._sessions.run(queues.schedules)

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule; harmless if there is none."""
        self._sessions.run(partial(queues.drop_schedule, name=name))

    def fire(self, schedule: Schedule, next: float, run: NewRun) -> bool:  # noqa: A002
        """Add the run that is due by a schedule and set when the next is; False if another worker was first."""
        return self._sessions.transact(partial(queues.fire, address=self.path, schedule=schedule, then=next, run=run))

    # --- workers ------------------------------------------------------------------------------------------------------

    def join(self, worker: Worker) -> None:
        """Become a worker: from now on its runs are taken over when this process has died, or is late with `heartbeat`."""
        query = "SELECT nextval('stackful.worker_numbers')"
        ((number,),) = self._sessions.run(lambda session: session.ask(query).fetchall())
        self._attendant.hold(number)
        self._sessions.run(partial(workers.add, worker=worker, number=number, lease=self._lease, sessions=self._name))
        self._numbers[worker.id] = number

    def leave(self, worker: str) -> None:
        """Be a worker no more; runs that it still holds are due for others at once."""
        number = self._numbers.pop(worker, None)
        try:
            self._sessions.transact(partial(workers.remove, workers=[worker]))
        finally:
            if number is not None:
                self._attendant.drop(number)

    def heartbeat(self, worker: str) -> bool:
        """Say that a worker lives; False if others took it for dead."""
        is_alive = self._sessions.run(partial(workers.heartbeat, worker=worker))
        if self._sessions.run(workers.is_any_late):
            self._attendant.tell("worker")
        return is_alive

    def drain(self, worker: str) -> None:
        """Mark a worker as one that takes no more runs."""
        query = "UPDATE stackful.workers SET draining = true WHERE id = %s"
        self._sessions.run(lambda session: session.ask(query, [worker]))

    def recover(self) -> int:
        """Make due all runs whose worker is dead, forget those workers; how many runs there were."""
        self._look_at_clock()
        are_late_dead = time.monotonic() >= self._unknown_until
        dead = self._sessions.run(partial(workers.find_dead, are_late_dead=are_late_dead))
        if not dead:
            return 0
        return self._sessions.transact(partial(workers.recover, dead=dead, are_late_dead=are_late_dead))

    def workers(self) -> list[Worker]:
        """The workers that live, the oldest first."""
        return self._sessions.run(workers.workers)

    # --- time and wake-ups --------------------------------------------------------------------------------------------

    def next_due(self, reach: Reach | None = None) -> float | None:
        """When `claim` will next have something that it has not now, or a schedule fires."""
        return self._sessions.run(partial(claiming.next_due, reach=reach))

    def listen(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Have `callback(kind, subject)` called from a thread when something happened, here or in another process."""
        return self._attendant.add(callback)

    # --- scripts ------------------------------------------------------------------------------------------------------

    def add_run(self, run: Run, source: bytes) -> None:
        """Record a new run of a script with this source; StoreError if its id is taken."""
        self._sessions.transact(partial(scripts.add_run, address=self.path, run=run, source=source))

    def source(self, run: Run) -> bytes:
        """The script as it was when the run started."""
        return self._sessions.run(partial(rows.field, address=self.path, run_id=run.id, column="source"))

    def set_status(self, run_id: str, status: Status, exit_status: int | None = None) -> None:
        """Record how a script's run stands; a finished run's checkpoints are dropped in the same transaction."""
        self._sessions.transact(partial(scripts.set_status, run_id=run_id, status=status, exit_status=exit_status))

    def add_checkpoint(self, run_id: str, state: SavedState, change: Change | None = None) -> Checkpoint:
        """Record a script's state, with what else changes, and drop those that are too old, in one transaction."""
        return self._sessions.transact(partial(scripts.add_checkpoint, run_id=run_id, state=state, change=change))

    def load(self, checkpoint: Checkpoint) -> SavedState:
        """The bytes of a script's checkpoint."""
        return self._sessions.run(partial(scripts.load, address=self.path, checkpoint=checkpoint))
