"""The engine: drives the runs of a store in this process, and answers for them.

`Engine` is what a program uses. `Threads` (threads.py) says which run goes on next, `Timer` (alarms.py) what happens when. All three know the
store by its contract only.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self
from weakref import ref

from stackful.durable.active import ActiveRun
from stackful.durable.alarms import Alarms
from stackful.durable.connections import set_current
from stackful.durable.forms import checked_answer
from stackful.durable.functions import find
from stackful.durable.given import id_of
from stackful.durable.handles import Handle
from stackful.durable.inspect import Difference, StackFrame, diff, edited, stack, state_with_values
from stackful.durable.names import checked_name, new_id
from stackful.durable.records import Filter, NewRun, NewSignal, Outcome, Queue, Reach, State, Worker
from stackful.durable.seals import Seals
from stackful.durable.services import resolve, stop_loop
from stackful.durable.store import ENDED, Run, Status, Store
from stackful.durable.threads import Threads
from stackful.errors import KeyFileError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.durable.telemetry import Telemetry
    from stackful.snapshot import Finding, Keys

__all__ = ["Engine"]

_log = logging.getLogger("stackful.durable")


class Engine:
    """Starts, signals, cancels and looks at the runs of a store; with `work` it drives them as well, in threads of its own.

    Args:
        store: where the runs are.
        key: seals what is stored; whoever has it can make this program run code of his. Or the reason why it is not there.
        threads: how many runs may be inside of their own code at once.
        concurrency: how many runs may be under way here at once.
        version: what this release of the program is called.
        reach: the runs that it takes up; None: all.

    Attributes:
        store: the store.
        worker: its id as a worker; None as long as it drives no runs.
        telemetry: makes spans of the runs that it drives, where `telemetry.instrument` was called.

    Example:
        >>> engine = durable.connect("shop.db")  # doctest: +SKIP
        >>> engine.runs()  # doctest: +SKIP
        []
    """

    telemetry: Telemetry | None = None

    def __init__(
        self,
        store: Store,
        key: bytes | tuple[bytes, ...] | Keys | KeyFileError,
        *,
        threads: int = 32,
        concurrency: int = 1000,
        version: str = "",
        reach: Reach | None = None,
    ) -> None:
        self.store = store
        self.reach = reach
        self.version = version
        self.worker: str | None = None
        self.seals = Seals(key)
        self._process = os.getpid()
        self._is_closed = False
        self._waiters: dict[str, list[Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._stop_listening: Callable[[], None] | None = None
        self.active: dict[str, ActiveRun] = {}
        self.concurrency = concurrency
        self.threads = Threads(self, threads)
        self.alarms = Alarms(self)
        atexit.register(_weakly(self, "close"))
        os.register_at_fork(after_in_child=_weakly(self, "_forget"))

    # --- driving ------------------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Become a worker: take up what is due in the store, now and from now on, until `close`."""
        self._check()
        if self.worker is not None:
            return
        self._join()
        self.alarms.begin()
        self._listen()
        self.alarms.start()

    def _join(self) -> None:
        now = self.store.now()
        worker = new_id(socket.gethostname(), (), 8)
        self.store.join(Worker(worker, socket.gethostname(), os.getpid(), now, now))
        self.worker = worker

    @property
    def is_working(self) -> bool:
        """Whether it takes up runs."""
        return self.worker is not None and not self._is_closed and not self.alarms.is_draining

    def adopt(self, run: Run, fence: int) -> ActiveRun:
        """A run that was added for this worker, to be begun."""
        active = ActiveRun(run, fence, self, self.seals)
        self.active[run.id] = active
        if self.alarms.was_cancelled(run.id):
            active.interrupt = "cancel"
        return active

    def taken_for_dead(self) -> None:
        """Others took this worker's runs over, since it was late: forget them, and be another worker."""
        _log.warning("%s was taken for dead: its runs go on elsewhere", self.worker)
        for run in list(self.active.values()):
            self.active.pop(run.id, None)
        self._join()
        self.alarms.hear("due")

    def drain(self, patience: float = 30.0) -> int:
        """Take up nothing more, let the steps end that are in flight, give all runs back, and close: nothing is repeated, and nothing waits for us.

        Runs that are not within a step are given back at once.

        Args:
            patience: seconds to wait for steps.

        Returns:
            How many steps were still in flight then: they are done again, elsewhere.

        Raises:
            StoreError: the store cannot be told.
        """
        self._check()
        left = 0
        if self.worker is not None:
            self.alarms.drain()
            self.store.drain(self.worker)
            left = self.threads.stop(patience)
        self.close()
        return left

    def close(self) -> None:
        """Stop, and give the runs back that are under way: others, or the next process, go on with them. Harmless when done twice."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
        if was_closed or os.getpid() != self._process:
            return
        set_current(self, False)
        self.alarms.stop()
        self.threads.stop()
        stop_loop(self)
        if self._stop_listening:
            self._stop_listening()
        try:
            if self.worker is not None:
                self.store.leave(self.worker)
        except StoreError as error:
            _log.warning("the store could not be told that this worker ends: %s", error)
        try:
            self.store.close()
        except StoreError as error:
            _log.warning("the store could not be closed: %s", error)
        for run in list(self.active.values()):
            run.abandon()
        _call_all([wake for wakes in self._waiters.values() for wake in wakes])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else f"{len(self.active)} runs under way" if self.worker else "no worker"
        return f"<Engine of {self.store.path}: {state}>"

    # --- what can be asked of it --------------------------------------------------------------------------------------

    def start(self, new: NewRun) -> Handle[Any]:
        """Add a run; see `operations.start`."""
        return self.start_all([new])[0]

    def start_all(self, new: Sequence[NewRun]) -> list[Handle[Any]]:
        """Add runs, in one commit."""
        self._check()
        has_room = self.is_working and len(self.active) + len(new) <= self.concurrency
        added = self.store.add_runs(new, self.worker if has_room else None)
        for record, (run_id, fence) in zip(new, added, strict=True):
            if fence > 0:
                active = self.adopt(record.run._replace(id=run_id), fence)
                active.arguments, active.state = record.arguments, record.state
                self.alarms.check_deadline(active)
                self.threads.offer(active)
        return [Handle(run_id) for run_id, _ in added]

    def send(self, run_id: Handle[Any] | str, name: str, value: Any = None, key: str | None = None) -> bool:
        """Send a signal; whether it was taken in."""
        self._check()
        run_id = id_of(run_id)
        return self.store.send([NewSignal(run_id, name, self.seal(run_id, value), key)])[0]

    def wait(self, run_id: str, timeout: float | None = None) -> Outcome:
        """Block until a run has ended.

        Raises:
            TimeoutError: it has not, within so many seconds.
            StoreError: the engine was closed meanwhile.
        """
        self._check()
        end = None if timeout is None else time.monotonic() + timeout
        news = threading.Event()
        forget = self.when_ended(run_id, news.set)
        try:
            while True:
                outcome = self.store.outcomes([run_id])[0]
                if outcome.status in ENDED:
                    return outcome
                if not news.wait(None if end is None else max(0.0, end - time.monotonic())):
                    raise TimeoutError(f"run {run_id} has not ended within {timeout} seconds")
                news.clear()
                self._check()
        finally:
            forget()

    def wait_all(self, run_ids: Sequence[str]) -> list[Outcome]:
        """Block until all have ended, or one has failed: then the others are cancelled and waited for."""
        outcomes: list[Outcome] = []
        for run_id in run_ids:
            outcomes.append(self.wait(run_id))
            if outcomes[-1].status is not Status.FINISHED:
                for other in run_ids:
                    self.store.cancel(other)
                return [outcomes[-1]]
        return outcomes

    def when_ended(self, run_id: str, wake: Callable[[], None]) -> Callable[[], None]:
        """Have `wake` called when a run may have ended; what is returned ends that. It must not block."""
        self._listen()
        with self._lock:
            self._waiters.setdefault(run_id, []).append(wake)

        def forget() -> None:
            with self._lock:
                wakes = self._waiters.get(run_id, [])
                if wake in wakes:
                    wakes.remove(wake)
                if not wakes:
                    self._waiters.pop(run_id, None)

        return forget

    def resolve(self, run_id: str, dedup: str) -> str:
        """The run with this id, or else the newest with this key."""
        return resolve(self.store, run_id, dedup)

    def runs(self, where: Filter | None = None, *, limit: int | None = None, offset: int = 0) -> list[Run]:
        """Runs, the newest first."""
        self._check()
        if not isinstance(where, Filter | None):
            raise TypeError(f"runs are chosen by a durable.Filter(...), not by {where!r}")
        return self.store.runs(where, limit=limit, offset=offset)

    def retry(self, run_id: Handle[Any] | str) -> None:
        """Have a failed run go on from its last state before what ended it was raised, whatever handlers have done since.

        Raises:
            RunNotFoundError: there is no such run.
            StoreError: it has not failed, or is a script's, or another run with its key is under way.
        """
        self._check()
        self.store.retry(id_of(run_id))

    def answer(self, run_id: Handle[Any] | str, answer: Any) -> bool:
        """Answer what a run asks (`operations.ask`); whether it was the first answer.

        Args:
            run_id: the run, by its id or its handle.
            answer: names to values, as its form wants them; or True or False, if it only asks for that.

        Raises:
            StoreError: it does not ask anything.
            ValueError: the answer does not fit.
        """
        run = self.store.run(id_of(run_id))
        if run.question is None:
            raise StoreError(f"run {run.id} asks nothing: it is {run.status.value}")
        given = {"answer": answer} if isinstance(answer, bool) else answer
        name = json.loads(run.question)["signal"]
        return self.send(run.id, name, checked_answer(run.question, given), f"answer to {name}")

    def fork(
        self,
        run_id: Handle[Any] | str,
        at: int | None = None,
        *,
        edit: Mapping[str, Any] | None = None,
        result: Sequence[Any] = (),
        id: str | None = None,  # noqa: A002 - as in `start`
    ) -> Handle[Any]:
        """Start a new run that goes on where another one stands, or stood; that one is as it was.

        Args:
            run_id: the run, or the beginning of its id, or its handle.
            at: the number of the state; by default its last. Earlier ones are there with ``@run(history=...)``.
            edit: locals that are to have other values: "name", of the innermost call that has it, or "function.name".
            result: ``[value]``: what the step before this state is to have returned instead.
            id: what the new run is called.

        Raises:
            StoreError: there is no such state, or no such local; or the run is a script's.
            SnapshotError: the state cannot be read.
        """
        self._check()
        run = self.store.run(id_of(run_id))
        if run.kind == "script":
            raise StoreError(f"{run.id} is the run of a script: only a run of a function can be forked")
        state, large = state_with_values(self.store, self.seals, run.id, at)
        fiber, told, _ = self.seals.load_state(state, run.program, large)
        if edit or result:
            fiber = edited(fiber, dict(edit or {}), result)
        new_name = checked_name(id) if id else new_id(run.id.rpartition("-")[0] or run.id, (), 8)
        data = self.seals.seal_state(new_name, state.seq, fiber, told, large)
        blobs = None if large is None else large.taken_along()
        now = self.store.now()
        record = run._replace(
            id=new_name, created=now, updated=now, status=Status.PENDING, started=None, wake=None, waits=None, question=None,
            deadline=None, cancelled=False, error=None, dedup=None, parent=None, queue=None, origin=f"{run.id}@{state.seq}",
            seq=state.seq, steps=state.steps, step=state.step, line=state.line,
        )  # fmt: skip
        copied = State(new_name, state.seq, state.steps, state.step, state.line, now, len(data), data)
        return self.start(NewRun(record, self.seal(new_name, ((), {})), state=copied, blobs=blobs))

    def stack(self, run_id: Handle[Any] | str, seq: int | None = None) -> list[StackFrame]:
        """The suspended calls of a run; see `inspect.stack`."""
        return stack(self.store, self.seals, id_of(run_id), seq)

    def diff(self, run_id: Handle[Any] | str, before: int, after: int) -> list[Difference]:
        """What changed between two states of a run; see `inspect.diff`."""
        return diff(self.store, self.seals, id_of(run_id), before, after)

    def check_code(self, run_id: Handle[Any] | str) -> list[Finding]:
        """What speaks against going on with a run in this process; nothing of it is built or run, but modules are imported.

        Raises:
            SnapshotError: its state cannot be read at all: another key, another Python.
            CodeChangedError: its function is not to be found.
        """
        run = self.store.run(id_of(run_id))
        find(run.program)
        if self.store.state(run.id) is None:
            return self.seals.findings(self.store.arguments(run.id))
        state, large = state_with_values(self.store, self.seals, run.id)
        return self.seals.findings(state.data or b"", run.program, large)

    def put_queue(self, queue: Queue) -> None:
        """Make a queue, or change its limits."""
        self._check()
        if not isinstance(queue, Queue):
            raise TypeError(f"a queue is made as durable.Queue(name, ...), not as {queue!r}")
        self.store.put_queue(queue)

    # --- seals --------------------------------------------------------------------------------------------------------

    def seal(self, run_id: str, value: object) -> bytes:
        """A value for a run as bytes."""
        return self.seals.seal(run_id, value)

    def unseal(self, run_id: str, data: bytes) -> Any:
        """What `seal` was given; SealError if these bytes are not for this run."""
        return self.seals.unseal(run_id, data)

    def active_run(self, claimed: Any) -> ActiveRun:
        """A claimed run, to be gone on with."""
        return ActiveRun.claimed(claimed, self, self.seals)

    # --- hearing ------------------------------------------------------------------------------------------------------

    def _listen(self) -> None:
        with self._lock:
            if self._stop_listening is None:
                self._stop_listening = self.store.listen(self._hear)

    def _hear(self, kind: str, subject: str) -> None:
        if kind in ("ended", "lost"):
            with self._lock:
                wakes = list(self._waiters.get(subject, ()))
                if kind == "lost":
                    wakes = [wake for waiting in self._waiters.values() for wake in waiting]
            _call_all(wakes)
        if self.worker is not None:
            self.alarms.hear(kind)

    def _check(self) -> None:
        if os.getpid() != self._process:
            raise StoreError(
                f"{self.store.path} was opened by the process that this one was forked from: call durable.connect() here"
            )
        if self._is_closed:
            raise StoreError(f"{self.store.path} has been closed by this process: call durable.connect() again")

    def _forget(self) -> None:
        """In a forked child: threads, locks and runs are the parent's. Whoever uses this engine here is told so."""
        self._is_closed = True
        self.worker = None
        for run in self.active.values():
            run.span = None
            run.has_generators = True  # the parent goes on with it: nothing of it may be closed here
            run.abandon()
        self.active = {}
        self._lock = threading.Lock()
        set_current(self, False)


def _call_all(wakes: list[Callable[[], None]]) -> None:
    """One that raises is not the store's fault, which has committed what it tells of."""
    for wake in wakes:
        try:
            wake()
        except Exception:  # noqa: BLE001 - as it says
            _log.exception("who waits for the end of a run raised an error when told of it")


def _weakly(engine: Engine, name: str) -> Callable[[], None]:
    """A method for a hook that stays for ever, and must not keep the engine as long."""
    found = ref(engine)

    def call() -> None:
        living = found()
        if living is not None:
            getattr(living, name)()

    return call
