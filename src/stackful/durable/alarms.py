"""What happens when: one thread that waits for the next thing that is due, and for what others tell. It never looks without a reason."""

from __future__ import annotations

import heapq
import logging
import math
import threading
import time
from collections import deque
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any

from stackful.durable.records import Reach
from stackful.durable.schedules import fire_due
from stackful.durable.services import settle
from stackful.errors import StoreError

if TYPE_CHECKING:
    from stackful.durable.active import ActiveRun
    from stackful.durable.engine import Engine
    from stackful.durable.records import Claimed

__all__ = ["Alarms"]

_log = logging.getLogger("stackful.durable")

# Seconds for which work may wait for threads that are in code of runs, before another thread is started.
_PATIENCE = 0.002
# As many runs are claimed at once.
_CLAIM = 64
# Seconds before its time that a sleeping run is claimed, so that the claim is over when it comes; others with it that sleep not much longer.
_LEAD, _AHEAD = 0.02, 0.04
# Seconds after which the store is tried again.
_AGAIN = 0.2
# The clock of the wall may be set while we wait for a moment of it.
_LONGEST = 3600.0


class Alarms:
    """The thread of an engine that claims what is due, and ends what is late.

    Args:
        engine: whose.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._bell = threading.Lock()
        self._bell.acquire()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self.is_draining = False
        self._heard: deque[str] = deque()
        self._next: float | None = None  # when to claim, by the store's clock
        self._noted: deque[float] = deque()  # when runs want to be woken that have left memory since
        # Runs that were claimed before their time, which is by time.monotonic().
        self._held: list[tuple[float, int, ActiveRun]] = []
        self._holding = threading.Lock()
        self._next_beat = 0.0
        self._timeouts: list[tuple[float, int, ActiveRun, Any]] = []  # by time.monotonic()
        self._deadlines: list[tuple[float, int, ActiveRun]] = []  # by the store's clock
        self._numbers = count()
        self._early: set[str] = set()  # runs that were cancelled when they were in the store and not in memory yet
        self._is_watching = False
        self._turns = -1
        self._is_full = False

    def begin(self) -> None:
        """Take up what is due, in the thread that calls this: runs go on before anything else is made ready. What is missed here `start` sees."""
        try:
            self._engine.store.recover()
            self._claim_some()
        except Exception:  # noqa: BLE001 - as it says: the thread looks again, and says what is wrong
            _log.debug("the first look at the store", exc_info=True)

    def start(self) -> None:
        """Begin, with a look at everything."""
        self._heard.extend(("worker", "due"))
        self._thread = threading.Thread(target=self._loop, name="stackful-alarms", daemon=True)
        self._thread.start()
        self._ring()

    def stop(self) -> None:
        """End the thread."""
        self._is_stopping = True
        self._ring()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)

    def drain(self) -> None:
        """Take up no more runs; those that are held for their time are given back with the rest."""
        self.is_draining = True
        self.let_go(are_all_due=True)

    # --- from other threads -------------------------------------------------------------------------------------------

    def hear(self, kind: str) -> None:
        """Something happened in the store."""
        if kind in ("due", "cancel", "worker", "lost"):
            self._heard.append(kind)
            self._ring()

    def left(self, wake: float | None) -> None:
        """A run has left memory; it wants to be woken then."""
        if self._is_full:
            self._heard.append("due")
            self._ring()
        if wake is not None:
            self._noted.append(wake - _LEAD)  # before the look: who sets `_next` at this moment takes note of it after
            if self._next is None or wake - _LEAD < self._next:
                self._ring()

    def watch(self) -> None:
        """Work waits while threads are in code of runs: see to it that it does not wait long."""
        if not self._is_watching:
            self._is_watching = True
            self._ring()

    def held_for(self) -> float | None:
        """Seconds until the time of a run comes that was claimed before it; None: of no run."""
        with self._holding:
            return self._held[0][0] - time.monotonic() if self._held else None

    def let_go(self, are_all_due: bool = False) -> None:
        """Runs that were claimed before their time go on: it has come."""
        if not self._held:
            return
        due, now = [], math.inf if are_all_due else time.monotonic()
        with self._holding:
            while self._held and self._held[0][0] <= now:
                due.append(heapq.heappop(self._held)[2])
        for run in due:
            if self._engine.active.get(run.id) is run:
                self._engine.threads.offer(run)
            else:  # this process was taken for dead
                run.abandon()

    def set_timeout(self, run: ActiveRun, future: Any, seconds: float) -> None:
        """Give up a future that long from now."""
        heapq.heappush(self._timeouts, (time.monotonic() + seconds, next(self._numbers), run, future))
        self._ring()

    def ask_again(self, run: ActiveRun) -> None:
        """The store did not answer a run: have it ask again, in a while."""
        heapq.heappush(self._timeouts, (time.monotonic() + _AGAIN, next(self._numbers), run, None))
        self._ring()

    def _ring(self) -> None:
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it rings already

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while not self._is_stopping:
            self._bell.acquire(timeout=self._pause() if self._look_safely() else _AGAIN)

    def _look_safely(self) -> bool:
        """Whether all went well; else everything is looked at again, soon."""
        try:
            self._look()
        except StoreError as error:
            if not self._is_stopping:
                _log.warning("the store did not answer, it will be asked again: %s", error)
        except Exception:  # noqa: BLE001 - this thread must go on: runs wait for it
            _log.exception("a bug in Stackful: please report it")
        else:
            return True
        self._heard.extend(("due", "cancel", "worker"))
        return False

    def _pause(self) -> float:
        if self._heard:
            return 0.0
        pauses = [_LONGEST]
        now = self._engine.store.now()
        self._take_note()
        if self._next is not None:
            pauses.append(self._next - now)
        held_for = self.held_for()
        if held_for is not None:  # an idle thread lets it go, but there may be none
            pauses.append(held_for + _PATIENCE)
        if self._deadlines:
            pauses.append(self._deadlines[0][0] - now)
        if self._timeouts:
            pauses.append(self._timeouts[0][0] - time.monotonic())
        if self._engine.store.heartbeat_every is not None:
            pauses.append(self._next_beat - time.monotonic())
        if self._is_watching:
            pauses.append(_PATIENCE)
        return max(0.0, min(pauses))

    def _look(self) -> None:
        self._look_at_threads()
        self._beat()
        heard = set()
        while self._heard:
            heard.add(self._heard.popleft())
        now = self._engine.store.now()
        if heard & {"worker", "lost"}:
            self._engine.store.recover()
        if heard & {"cancel", "lost"}:
            self._cancel()
        self._end_late(now)
        self.let_go()
        self._take_note()
        if heard & {"due", "lost", "worker"} or (self._next is not None and self._next <= now):
            self._claim()

    def _take_note(self) -> None:
        """Of who fell asleep here, unless nothing is to be claimed: then the next claim finds it."""
        while self._noted:
            wake = self._noted.popleft()
            if not (self._is_full or self.is_draining):
                self._next = wake if self._next is None else min(wake, self._next)

    def _look_at_threads(self) -> None:
        if not self._is_watching:
            return
        threads = self._engine.threads
        if not threads.has_work():
            self._is_watching = False
            self._turns = -1
            if threads.has_work():  # it came in between
                self._is_watching = True
        elif threads.turns == self._turns:
            threads.reinforce()
        else:
            self._turns = threads.turns

    def _beat(self) -> None:
        every = self._engine.store.heartbeat_every
        if every is None or time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + every
        worker = self._engine.worker
        if worker is not None and not self._engine.store.heartbeat(worker):
            self._engine.taken_for_dead()

    def _claim(self) -> None:
        engine = self._engine
        while engine.worker is not None and not self.is_draining and not self._is_stopping:
            if self._claim_some() < _CLAIM:
                break
        self._next = None if self._is_full or self.is_draining else self._next_claim()

    def _claim_some(self) -> int:
        """Claim as many as one transaction takes, and have them go on; how many there were."""
        engine = self._engine
        room = min(_CLAIM, engine.concurrency - len(engine.active))
        self._is_full = room <= 0
        claimed = engine.store.claim(engine.worker or "", room, engine.reach, _AHEAD) if room > 0 else []
        now = engine.store.now()
        for one in claimed:
            self._take_up(one, now)
        return len(claimed)

    def _take_up(self, claimed: Claimed, now: float) -> None:
        engine, state = self._engine, claimed.state
        run = engine.threads.recall(claimed.run.id, claimed.fence, state.seq) if state else None
        if run is None:
            run = engine.active_run(claimed)
        elif claimed.run.cancelled:
            run.interrupt = "cancel"
        engine.active[run.id] = run
        self.check_deadline(run)
        with self._holding:
            # One that sleeps although its end was asked for has been told of it: who has not is due at once.
            wake = now if claimed.wake is None or self.is_draining else claimed.wake
            if wake > now:
                heapq.heappush(self._held, (time.monotonic() + wake - now, next(self._numbers), run))
        if wake > now:
            engine.threads.expect()
        else:
            engine.threads.offer(run)

    def _next_claim(self) -> float | None:
        """When there is something to be claimed. What is due and was not claimed is a schedule, most often: it is fired."""
        engine = self._engine
        when, now = engine.store.next_due(engine.reach), engine.store.now()
        if when is not None and when <= now:
            unread = fire_due(engine)  # it is heard of: what begins by it is claimed the next time
            reach = replace(engine.reach or Reach(), unread=unread) if unread else engine.reach
            when, now = engine.store.next_due(reach), engine.store.now()
        if when is None or when - _LEAD <= now:  # too late to be early, or nothing that sleeps
            return when
        return when - _LEAD

    def check_deadline(self, run: ActiveRun) -> None:
        """See to it that a run that is under way ends in time."""
        if run.deadline is None or run.interrupt:
            return
        if run.deadline <= self._engine.store.now():
            run.interrupt = "deadline"
        else:
            heapq.heappush(self._deadlines, (run.deadline, next(self._numbers), run))
            self._ring()

    def _cancel(self) -> None:
        engine = self._engine
        for run_id in engine.store.cancelled(engine.worker or ""):
            self._early.add(run_id)  # before we look whether the run is there: it may come at this moment
            run = engine.active.get(run_id)
            if run is not None:
                self._early.discard(run_id)
                self._interrupt(run, "cancel")

    def was_cancelled(self, run_id: str) -> bool:
        """Whether the end of a run was asked for before it was in memory."""
        was_early = run_id in self._early
        self._early.discard(run_id)
        return was_early

    def _interrupt(self, run: ActiveRun, why: str) -> None:
        run.interrupt = run.interrupt or why
        with self._holding:
            kept = [held for held in self._held if held[2] is not run]
            is_held, self._held = len(kept) < len(self._held), kept
            heapq.heapify(kept)
        if is_held:
            self._engine.threads.offer(run)
        future = run.future
        if future is not None and self._engine.threads.take_future(run, future):
            future.cancel()
            self._engine.threads.offer(run)

    def _end_late(self, now: float) -> None:
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, run = heapq.heappop(self._deadlines)
            if self._engine.active.get(run.id) is run:
                self._interrupt(run, "deadline")
        while self._timeouts and self._timeouts[0][0] <= time.monotonic():
            _, _, run, future = heapq.heappop(self._timeouts)
            if future is None:
                self._engine.threads.offer(run)
            elif run.future is future:
                settle(self._engine, run, future, TimeoutError(f"step {run.step} took longer than its timeout"))
                future.cancel()  # type: ignore[union-attr]
