"""One process at work on a run: resume the script, store it whenever it suspends, note how it ended."""

from __future__ import annotations

import atexit
import os
from _weakref import ref
from functools import partial

from stackful import _core
from stackful.durable import checkpoints
from stackful.durable.checkpoints import Suspension
from stackful.durable.contexts import here
from stackful.durable.notices import flush_output, notice
from stackful.durable.requests import Request
from stackful.durable.store import Status
from stackful.durable.timer import Timer
from stackful.errors import FiberError, RunCancelled, StackfulError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Any

    from stackful.durable.locks import RunLock
    from stackful.durable.program import Script
    from stackful.durable.records import Change
    from stackful.durable.script_services import ScriptDrives
    from stackful.durable.state import Keeper
    from stackful.durable.store import Run, Store, Transaction
    from stackful.fibers import Fiber

__all__ = ["Execution"]


class Execution:
    """The right and the means to go on with a run in this process, to the script's end.

    Args:
        run: the run; its lock is held.
        script: its program, installed.
        fiber: the script's fiber, fresh or loaded from a checkpoint.
        store: where checkpoints go.
        keeper: how they become bytes.
        lock: the run's lock.

    Attributes:
        status, exit_status: how the run will be recorded when the process ends.
        id, fiber, drives, seq, steps, step, key, attempt, is_in_step: see `contexts.Driver`.
        consumed, sharing, shared, is_told: see `active.ActiveRun`.
        refusal: what was raised in the script because a checkpoint could not be stored, last; or None.

    Example:
        >>> execution = runs.start(Path(".stackful/runs.db"), ["count.py"])  # doctest: +SKIP
        >>> execution.play()  # doctest: +SKIP
    """

    def __init__(self, run: Run, script: Script, fiber: Fiber, *, store: Store, keeper: Keeper, lock: RunLock) -> None:
        self.run = run
        self.script = script
        self.status = Status.INTERRUPTED
        self.exit_status: int | None = None
        self.refusal: BaseException | None = None
        self.id, self.fiber, self.seq = run.id, fiber, run.seq
        self._store, self._keeper, self._lock = store, keeper, lock
        self.is_told: bool = keeper.progress.get("is_told", False)
        self.steps: int = keeper.progress.get("steps", 0)
        self.begun: int = keeper.progress.get("begun", 0)
        self.step: str = keeper.progress.get("step", "")
        self.key: str | None = keeper.progress.get("key")
        self.attempt: int = keeper.progress.get("attempt", 1)
        self.is_in_step: bool = keeper.progress.get("is_in_step", False)
        self.handled: BaseException | None = None
        self.consumed: list[int] = []
        self.sharing: AbstractContextManager[Transaction] | None = None
        self.shared: Transaction | None = None
        self._drives: ScriptDrives | None = None
        self._timer = Timer(vars(script.module), run.every) if run.every else None
        self._process = os.getpid()
        self._warnings: set[str] = set()

    def play(self, value: object = None) -> None:
        """Run the script to its end. Whatever it raises leaves as from plain ``python``, SystemExit included.

        Args:
            value: what the suspension that a loaded fiber goes on from returns.
        """
        self._begin()
        try:
            self._drive(self._keeper.progress.get("answer", value))
            self._ended(Status.FINISHED, 0)
        except SystemExit as error:
            self._ended(Status.FINISHED, _exit_status(error.code))
            raise
        except KeyboardInterrupt:
            self._ended(Status.INTERRUPTED, None)
            raise
        except RunCancelled:
            self._ended(Status.CANCELLED, 1)
            raise
        except BaseException:
            self._ended(Status.FAILED, 1)
            raise

    def has_checkpoint(self) -> bool:
        """Whether there is something to resume from."""
        return bool(self._store.checkpoints(self.run.id))

    def _begin(self) -> None:
        # Registered before the script runs, hence called after all that the script registers: until its last
        # output is out, the run has not finished.
        atexit.register(self._finish)
        if self._timer:
            os.register_at_fork(before=_weak(self._timer.halt), after_in_parent=_weak(self._timer.wake))
        os.register_at_fork(after_in_child=_weak(self._forget))
        _core.script(self.fiber)
        here.driver = self
        checkpoints.activate(self.fiber, self._timer.refused if self._timer else None)
        if self._timer:
            self._timer.start()

    def _drive(self, value: object) -> None:
        step: Callable[[], object] = partial(self.fiber.resume, value)
        while True:
            request = step()
            if self.fiber.status == "dead":
                return
            step = self._answer(request)

    def _answer(self, request: object) -> Callable[[], object]:
        """Do what the script suspended for; what goes wrong, Ctrl-C included, happens inside the script."""
        try:
            answer = self._serve(request)
        except BaseException as error:  # noqa: BLE001 - raised again in the script
            self.refusal = error
            return partial(self.fiber.throw, error.with_traceback(None))
        return partial(self.fiber.resume, answer)

    def _serve(self, request: object) -> object:
        if request is Suspension.EXPLICIT:
            self.save(answer=True)
        elif request is Suspension.TIMED:
            self._serve_timer()
        elif isinstance(request, Request):
            from stackful.durable.script_services import serve

            return serve(self, request)
        else:
            raise FiberError("suspend() was called outside of every fiber that the script made: nobody would resume it")
        return True

    @property
    def drives(self) -> ScriptDrives:
        """The store, and the seals."""
        if self._drives is None:
            from stackful.durable.script_services import ScriptDrives

            self._drives = ScriptDrives(self._store, self._keeper.key)
        return self._drives

    def save(self, change: Change | None = None, shared: Transaction | None = None, answer: bool | None = None) -> None:
        """Store the script as it is, with what else changes; in a transaction that is open, if one is given.

        Args:
            change: see `records.Change`.
            shared: the transaction.
            answer: what the script's suspension returns when it is resumed in another process.
        """
        flush_output()
        progress = {
            "answer": answer, "is_told": self.is_told, "steps": self.steps, "begun": self.begun, "step": self.step,
            "key": self.key, "attempt": self.attempt, "is_in_step": self.is_in_step,
        }  # fmt: skip
        state = self._keeper.save(self.script, self.fiber, progress)
        if self.consumed:
            from stackful.durable.records import Change

            change = change or Change()
            change.consumed = tuple(self.consumed)
        store = self._store if shared is None else shared
        try:
            self.seq = store.add_checkpoint(self.run.id, state, change).seq
        except BaseException:
            self.forget()
            raise
        self.consumed = []

    def forget(self) -> None:
        """The last state has not been stored after all."""
        self._keeper.forget()

    def _serve_timer(self) -> None:
        """Nobody asked for this checkpoint by name: if it fails, the script goes on without it, after one warning."""
        if self._timer is None or self._timer.revive():
            return
        try:
            self.save(answer=True)
        except Exception as error:  # noqa: BLE001 - a value's own way of being pickled may raise anything
            self._warn_once(f"warning: this checkpoint was not stored, the program goes on: {error}")
        self._timer.rearm()

    def _warn_once(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.add(text)
            notice(text)

    def _ended(self, status: Status, exit_status: int | None) -> None:
        self.status, self.exit_status = status, exit_status
        here.driver = None
        checkpoints.deactivate()
        if self._timer:
            self._timer.stop()

    def _finish(self) -> None:
        """The last of the process's exit functions."""
        if os.getpid() != self._process:
            return
        try:
            flush_output()
            self._store.set_status(self.run.id, self.status, self.exit_status)
            self._store.close()
        except StackfulError as error:
            notice(f"warning: how the run ended could not be recorded: {error}")
        except OSError:
            pass  # stdout is gone; the interpreter says so itself, and the run is not finished
        self._lock.release()

    def _forget(self) -> None:
        """A forked child is not the run: it stores nothing and does not keep the lock."""
        here.driver = None
        checkpoints.deactivate()
        self._lock.forget()
        if self._timer:
            self._timer.forget()


def _weak(method: Any) -> Callable[[], None]:
    """A method for a hook that stays for ever, and must not keep the script's objects as long."""
    owner, name = ref(method.__self__), method.__name__

    def call() -> None:
        living = owner()
        if living is not None:
            getattr(living, name)()

    return call


def _exit_status(code: object) -> int:
    """What ``python`` makes of the argument of ``sys.exit``."""
    if code is None:
        return 0
    return code & 0xFF if isinstance(code, int) else 1
