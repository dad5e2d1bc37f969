"""The threads that drive runs: which run goes on next, and when what they did is committed.

A thread takes a run from `ready`, resumes it, and has its next state as a Save in `pending`. When nothing is ready, or many are pending, that
thread commits all that are pending in one transaction; after that those runs are ready again. So a run alone needs no other thread, many
runs share a commit, and no code of a run goes on before its state is on the disk. No lock is held while code of a run runs.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, TypeAlias

from stackful.durable.active import ending_of, largest_local, seal_error
from stackful.durable.contexts import here
from stackful.durable.records import Change
from stackful.durable.requests import DONE
from stackful.durable.services import QUESTIONS, SERVICES
from stackful.durable.store import ENDED, Status
from stackful.durable.unwinding import reason
from stackful.errors import FiberError, StoreError

if TYPE_CHECKING:
    from stackful.durable.active import ActiveRun
    from stackful.durable.engine import Engine
    from stackful.durable.records import Save

__all__ = ["Threads"]

_log = logging.getLogger("stackful.durable")

_Batch: TypeAlias = "list[tuple[ActiveRun, Save]]"

_UNSTORED = "how the run ended cannot be stored"
# As many states go into one commit.
_GROUP = 64
# As many sleeping and waiting runs are kept in memory, so that they need not be loaded when they are woken.
_KEPT = 256
# Seconds after which a commit is tried again that the store refused: first, and at most.
_AGAIN, _AGAIN_AT_MOST = 0.05, 2.0
# Seconds for runs to come out of their own code when the engine is closed.
_GRACE = 1.0


class Threads:
    """The threads of an engine.

    Args:
        engine: whose.
        limit: how many at most.
    """

    def __init__(self, engine: Engine, limit: int) -> None:
        self._engine = engine
        self._limit = limit
        self._ready: deque[ActiveRun] = deque()
        self._results: list[ActiveRun] = []  # while it is stopping
        self._pending: deque[tuple[ActiveRun, Save]] = deque()
        self._mutex = threading.Lock()
        self._work = threading.Condition(self._mutex)
        self._committing = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._idle = 0
        self._is_stopping = False
        self._again = _AGAIN
        self._pause_until = 0.0
        self._asleep: OrderedDict[str, ActiveRun] = OrderedDict()
        self.turns = 0

    # --- from elsewhere -----------------------------------------------------------------------------------------------

    def offer(self, run: ActiveRun) -> None:
        """Have a run go on: its answer, or error, is set."""
        if self._is_stopping:
            with self._mutex:
                self._results.append(run)
                self._work.notify_all()
            return
        self._ready.append(run)
        with self._mutex:
            if self._idle:
                self._work.notify()
                return
            # Who commits waits for the disk: a run whose time has come does not wait with it.
            if not self._threads or (self._committing.locked() and len(self._threads) < self._limit):
                self._begin()
                return
        self._engine.alarms.watch()

    def expect(self) -> None:
        """A run is held for its time: an idle thread waits for that."""
        with self._mutex:
            self._work.notify()

    def has_work(self) -> bool:
        """Whether something waits for a thread."""
        return bool(self._ready or (self._pending and time.monotonic() >= self._pause_until))

    def reinforce(self) -> None:
        """All threads are in code of runs, and work waits: one more."""
        with self._mutex:
            if self._idle:
                self._work.notify()
            elif len(self._threads) < self._limit and not self._committing.locked():
                self._begin()

    def recall(self, run_id: str, fence: int, seq: int) -> ActiveRun | None:
        """A run that fell asleep here and is claimed again: as it is in memory, if nobody went on with it since."""
        run = self._asleep.pop(run_id, None)
        if run is not None and run.seq == seq and run.fence + 1 == fence:
            run.fence = fence
            return run
        if run is not None:
            run.abandon()
        return None

    def take_future(self, run: ActiveRun, future: Any) -> bool:
        """Whether the run still waits for this future; from now on it does not."""
        with self._mutex:
            if run.future is not future:
                return False
            run.future = None
            return True

    def stop(self, patience: float = _GRACE) -> int:
        """Take nothing up any more, and wait for those that are in their own code; the others are given back at once.

        Args:
            patience: seconds to wait.

        Returns:
            How many are in their own code still.
        """
        with self._mutex:
            self._is_stopping = True
            self._work.notify_all()
            threads = list(self._threads)
        end = time.monotonic() + patience
        self._give_back()
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, end - time.monotonic()))
        while (run := self._await_result(end)) is not None:
            self._turn(run)
            self._give_back()
        for run in self._asleep.values():
            run.abandon()
        self._asleep.clear()
        return len(self._engine.active)

    def _give_back(self) -> None:
        """Commit what is pending, and give those runs back that nobody is at work on: others go on with them."""
        try:
            self._commit()
            given = {}
            while self._ready:
                run = self._ready.popleft()
                if run.answer is None and run.error is None:
                    given[run.id] = run
                else:
                    self._results.append(run)  # what it waited for is there, and not stored yet
            if given:
                self._engine.store.release({run.id: run.fence for run in given.values()})
            for run in given.values():
                self._forget(run)
                run.abandon()
        except StoreError as error:
            _log.warning("the last states were not stored, their runs go on from those before: %s", error)

    def _await_result(self, end: float) -> ActiveRun | None:
        """A run whose step has ended elsewhere; None when there is none to be waited for, or no time."""
        with self._mutex:
            while not self._results:
                is_awaited = any(run.future is not None for run in self._engine.active.values())
                if not is_awaited or not self._work.wait(max(0.0, end - time.monotonic())):
                    return None
            return self._results.pop(0)

    # --- the threads --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        thread = threading.Thread(target=self._loop, name=f"stackful-runs-{len(self._threads)}", daemon=True)
        self._threads.add(thread)
        thread.start()

    def _loop(self) -> None:
        while not self._is_stopping:
            try:
                run = self._ready.popleft()
            except IndexError:
                if not (self._pending and self._commit(is_patient=False)) and not self._wait():
                    break
                self._engine.alarms.let_go()
                continue
            if self._ready or self._pending:
                self._engine.alarms.watch()
            self.turns += 1
            self._turn(run)
            if len(self._pending) >= _GROUP:
                self._commit()
        if self._is_stopping:
            self._give_back()
        with self._mutex:
            self._threads.discard(threading.current_thread())

    def _wait(self) -> bool:
        """Until there is something to do; False: end this thread."""
        with self._mutex:
            while not self._ready and not self._can_commit():
                if self._is_stopping:
                    return False
                pause = self._pause()
                if pause is not None and pause <= 0.0:
                    return True
                self._idle += 1
                try:
                    self._work.wait(pause)
                finally:
                    self._idle -= 1
        return True

    def _pause(self) -> float | None:
        """Seconds until a commit is tried again, or a run is let go that is held for its time."""
        pause = self._engine.alarms.held_for()
        if self._pending and not self._committing.locked():
            again = max(0.001, self._pause_until - time.monotonic())
            return again if pause is None else min(again, pause)
        return pause

    def _can_commit(self) -> bool:
        """Not while another thread does: that one sees to what is pending then."""
        return bool(self._pending) and not self._committing.locked() and time.monotonic() >= self._pause_until

    # --- one turn -----------------------------------------------------------------------------------------------------

    def _turn(self, run: ActiveRun) -> None:
        """Go on with a run until it waits for something, its next commit most often."""
        telemetry = self._engine.telemetry
        if telemetry is None:
            self._go_on(run)
        else:
            telemetry.turn(run, self._go_on)

    def _go_on(self, run: ActiveRun) -> None:
        here.driver = run
        try:
            if run.fiber is None and not self._load(run):
                return
            while True:
                request, run.request = run.request or run.go(), None
                if request is DONE:
                    run.steps += 1
                    self.save(run)
                    return
                assert run.fiber is not None
                if run.fiber.status == "dead":
                    self._finish(run, request)
                    return
                if not self._serve(run, request):
                    return
        except BaseException as error:  # noqa: BLE001 - whatever a run raises ends the run, not its thread
            self._fail(run, error)
        finally:
            here.driver = None

    def _load(self, run: ActiveRun) -> bool:
        """Make its fiber; False if the store, which has its large values, is away: then it is tried again."""
        try:
            run.load()
        except StoreError as error:
            if not _is_passing(error):
                raise
            self._engine.alarms.ask_again(run)
            return False
        return True

    def _serve(self, run: ActiveRun, request: Any) -> bool:
        """Do what was asked for; True: the run goes on at once. What goes wrong goes wrong in the run's code, but that the store is away."""
        service = SERVICES.get(type(request))
        if service is None:
            run.error = FiberError(
                "suspend() was called outside of every fiber that the run made: nobody would resume it"
            )
            return True
        try:
            return service(self._engine, run, request)
        except Exception as error:  # noqa: BLE001 - raised again in the run
            if _is_passing(error) and type(request) in QUESTIONS:
                run.request = request
                self._engine.alarms.ask_again(run)
                return False
            run.error = error.with_traceback(None)
            return True

    def save(self, run: ActiveRun, change: Change | None = None) -> None:
        """Have the state of a run committed; where it cannot be stored, its code is told."""
        try:
            save = run.next_state(change)
        except Exception as error:  # noqa: BLE001 - a value's own way of being pickled may raise anything
            run.error = error.with_traceback(None)
            self._ready.append(run)
            return
        size = len(save.data or b"")
        if save.blobs:
            size += sum(map(len, save.blobs.values()))
        if size > run.largest:
            self._warn(run, size)
        if save.change is not None:
            save.change.told = run.told
        self._pending.append((run, save))

    def _warn(self, run: ActiveRun, size: int) -> None:
        """Once for each doubling."""
        while run.largest < size:
            run.largest *= 2
        part, name = largest_local(run)
        _log.warning(
            "run %s: a state of it took %d bytes to store; the largest is %s, %d bytes", run.id, size, name, part
        )

    def _finish(self, run: ActiveRun, result: object) -> None:
        try:
            data = None if result is None else self._engine.seal(run.id, result)
        except Exception as error:  # noqa: BLE001 - as in `save`
            self._fail(run, error)
            return
        self._end(run, Change(Status.FINISHED, result=data))

    def _fail(self, run: ActiveRun, error: BaseException) -> None:
        if run.sharing is not None:  # it ended within a transaction
            sharing, run.sharing = run.sharing, None
            try:
                sharing.__exit__(type(error), error, None)
            except BaseException:  # noqa: BLE001 - the run has ended for another reason
                _log.debug("the transaction of run %s was rolled back", run.id, exc_info=True)
        status, text = ending_of(error)
        # Looked for first: to be sealed, an error may have to lose what it was raised from.
        before = reason(run.before, error)
        change = Change(status, error=text, result=seal_error(run, error))
        self._pending.append((run, run.last_state(change) if before is None else run.state_before(before, change)))

    def _end(self, run: ActiveRun, change: Change) -> None:
        self._pending.append((run, run.last_state(change)))

    # --- commits ------------------------------------------------------------------------------------------------------

    def _commit(self, is_patient: bool = True) -> bool:
        """Commit all that is pending; False if that must wait, or another thread is at it and we do not wait for that."""
        if not self._committing.acquire(blocking=is_patient):
            return False
        try:
            if time.monotonic() < self._pause_until:
                return False
            batch, lost = self._commit_pending()
        finally:
            self._committing.release()
        for run, save in batch:
            if lost and run.id in lost:
                self._lose(run)
            elif save.change is None or save.change.status is Status.RUNNING:
                self._ready.append(run)
            else:
                self._leave(run, save.change)
        if self._pending:
            with self._mutex:
                self._work.notify()
        return self._pause_until == 0.0

    def _commit_pending(self) -> tuple[_Batch, list[str]]:
        """What was committed, and the runs whose fence was lost."""
        batch = []
        while self._pending:
            run, save = self._pending.popleft()
            if self._engine.active.get(run.id) is run:
                batch.append((run, save))
            else:  # this process was taken for dead, and may have claimed the run anew: two states of it would be mixed up
                self._lose(run)
        lost: list[str] = []
        if batch:
            try:
                lost = self._engine.store.commit([save for _, save in batch])
            except Exception as error:  # noqa: BLE001 - no state may be lost, whatever the store raises
                return self._commit_singly(batch, error)
            self._again, self._pause_until = _AGAIN, 0.0
        return batch, lost

    def _commit_singly(self, batch: _Batch, error: Exception) -> tuple[_Batch, list[str]]:
        """The store did not take them together: all wait if it cannot be used now, else those are committed that it takes."""
        if _is_passing(error):
            self._postpone(batch, error)
            return [], []
        done: _Batch = []
        lost: list[str] = []
        for run, save in batch:
            try:
                if len(batch) == 1:
                    raise error
                lost += self._engine.store.commit([save])
            except Exception as raised:  # noqa: BLE001 - no state may be lost, whatever the store raises
                if _is_passing(raised):
                    self._postpone([(run, save)], raised)
                else:
                    self._refuse(run, save, raised)
            else:
                done.append((run, save))
        return done, lost

    def _postpone(self, batch: _Batch, error: Exception) -> None:
        """Try again later, after longer and longer pauses."""
        self._pending.extendleft(reversed(batch))
        self._pause_until = time.monotonic() + self._again
        self._again = min(2 * self._again, _AGAIN_AT_MOST)
        _log.warning("%d states are not stored yet, their runs wait: %s", len(batch), error)

    def _refuse(self, run: ActiveRun, save: Save, reason: Exception) -> None:
        """The store takes others, but not this state: its code is told."""
        has_ended = save.change is not None and save.change.status in ENDED
        if save.change is not None and has_ended and (save.change.error or "").startswith(_UNSTORED):
            _log.error("run %s has ended, but the store does not take that: %s", run.id, reason)
            self._forget(run)
            run.abandon()
            return
        if has_ended:  # and even that cannot be stored
            change = Change(Status.FAILED, error=f"{_UNSTORED}: {reason}"[:10_000])
            self._pending.append((run, run.last_state(change)))
            return
        run.take_back(save)
        run.error = reason.with_traceback(None)
        self._ready.append(run)

    def _forget(self, run: ActiveRun) -> None:
        """It is no longer under way here; what was claimed anew under its id meanwhile still is."""
        if self._engine.active.get(run.id) is run:
            del self._engine.active[run.id]

    def _lose(self, run: ActiveRun) -> None:
        _log.warning(
            "run %s was taken over by another worker; what was done here since its last state may be done again", run.id
        )
        self._forget(run)
        run.end_span("lost")
        run.abandon()

    def _leave(self, run: ActiveRun, change: Change) -> None:
        """A run is no longer under way here: it has ended, or sleeps."""
        self._forget(run)
        run.end_span(change.status.value, change)
        earlier = self._asleep.pop(
            run.id, None
        )  # it was claimed anew before it was here: another object went on with it
        if earlier is not None:
            earlier.abandon()
        if change.status in ENDED:
            run.fiber = None
        else:
            self._asleep[run.id] = run
            if len(self._asleep) > _KEPT:
                self._forget_one()
            deadline = None if change.told else run.deadline
            self._engine.alarms.left(min((w for w in (change.wake, deadline) if w is not None), default=None))
            return
        self._engine.alarms.left(None)

    def _forget_one(self) -> None:
        run_id, run = self._asleep.popitem(last=False)
        if run.has_generators:
            self._asleep[run_id] = run  # see ActiveRun.abandon: rather kept than leaked
        else:
            run.abandon()

    def lose(self, run: ActiveRun) -> None:
        """A run turned out to be another worker's."""
        self._lose(run)

    def committed(self, run: ActiveRun) -> None:
        """A run whose state was committed by a transaction of its own goes on."""
        self._ready.append(run)


def _is_passing(error: Exception) -> bool:
    """Whether the store may do later what it has not done now."""
    return isinstance(error, StoreError) and not error.is_final
