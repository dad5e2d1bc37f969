"""What the process of a script does for each request of its run: the same as an engine does, but it waits here.

Loaded by the first request: a script that only calls ``checkpoint()`` does not pay for it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from stackful.durable.connections import connect, is_connected
from stackful.durable.records import Change
from stackful.durable.requests import (
    Abort,
    AwaitRuns,
    Begin,
    CancelRuns,
    Commit,
    Done,
    Receive,
    Resolve,
    Sleep,
    Submit,
    Transact,
)
from stackful.durable.seals import Seals
from stackful.durable.services import future_of, resolve, roll_back
from stackful.durable.store import ENDED, Status
from stackful.errors import FiberError, RunCancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.durable.execution import Execution
    from stackful.durable.store import Store
    from stackful.durable.telemetry import Telemetry

__all__ = ["ScriptDrives", "serve"]


class ScriptDrives:
    """What operations need to know of whoever drives a script."""

    version = ""
    telemetry: Telemetry | None = None

    def __init__(self, store: Store, key: bytes | tuple[bytes, ...]) -> None:
        self.store = store
        self._seals = Seals(key)

    def seal(self, run_id: str, value: object) -> bytes:
        """A value for a run as bytes."""
        return self._seals.seal(run_id, value)

    def unseal(self, run_id: str, data: bytes) -> Any:
        """What `seal` was given."""
        return self._seals.unseal(run_id, data)


def serve(execution: Execution, request: Any) -> Any:
    """Do what a script's run asks for; the answer."""
    run = execution.drives.store.run(execution.id)
    if run.cancelled and not execution.is_told and execution.sharing is None:  # a transaction comes to its end first
        execution.is_told = True
        if type(request) is Done:
            _done(execution, request)
        raise RunCancelled(f"run {execution.id} was cancelled")
    return _SERVICES[type(request)](execution, request)


def _done(execution: Execution, request: Done) -> None:
    execution.steps += 1
    execution.save()


def _commit(execution: Execution, request: Commit) -> None:
    change = Change(signals=request.signals, runs=request.runs, attributes=request.attributes)
    execution.save(change)
    if request.runs:
        _work(execution)


def _work(execution: Execution) -> None:
    """Somebody must drive the runs that a script starts: this process does, beside others."""
    if not is_connected():
        connect(execution.drives.store.path)


def _sleep(execution: Execution, request: Sleep) -> None:
    _wait(execution, Change(Status.SLEEPING, wake=request.wake), request.wake, lambda: None)


def _receive(execution: Execution, request: Receive) -> tuple[Any, ...] | None:
    store = execution.drives.store

    def look() -> tuple[Any, ...] | None:
        for signal in store.signals(execution.id, request.name):
            if signal.id not in execution.consumed:
                execution.consumed.append(signal.id)
                return (execution.drives.unseal(execution.id, signal.payload),)
        return None

    change = Change(Status.WAITING, wake=request.until, waits=f"signal:{request.name}", question=request.question)
    found: tuple[Any, ...] | None = look() or _wait(execution, change, request.until, look)
    return found if found is not None else ()


def _await_runs(execution: Execution, request: AwaitRuns) -> Any:
    store = execution.drives.store

    def look() -> Any:
        outcomes = store.outcomes(request.run_ids)
        is_failed = any(outcome.status in (Status.FAILED, Status.CANCELLED) for outcome in outcomes)
        return outcomes if is_failed or all(outcome.status in ENDED for outcome in outcomes) else None

    found = look()
    if found is None:
        _work(execution)
        waits = f"run:{request.run_ids[0]}" if len(request.run_ids) == 1 else f"runs:{len(request.run_ids)}"
        change = Change(Status.WAITING, wake=request.until, waits=waits, awaits=request.run_ids)
        found = _wait(execution, change, request.until, look)
    return found if found is not None else ()


def _wait(execution: Execution, change: Change, until: float | None, look: Callable[[], Any]) -> Any:
    """Store the script as one that waits; then wait until `look` finds something, or the time is up: then None."""
    store = execution.drives.store
    news = threading.Event()
    end = store.listen(lambda kind, subject: news.set())  # noqa: ARG005 - whatever it is, it is looked at
    try:
        execution.save(change)
        while True:
            news.clear()
            found = look()
            left = None if until is None else until - store.now()
            if found is not None or (left is not None and left <= 0):
                return found
            if store.run(execution.id).cancelled and not execution.is_told:
                execution.is_told = True
                raise RunCancelled(f"run {execution.id} was cancelled")
            news.wait(left if left is None else min(left, threading.TIMEOUT_MAX))
    finally:
        end()
        store.set_status(execution.id, Status.RUNNING)


def _resolve(execution: Execution, request: Resolve) -> str:
    return resolve(execution.drives.store, request.run_id, request.dedup)


def _cancel_runs(execution: Execution, request: CancelRuns) -> None:
    for run_id in request.run_ids:
        execution.drives.store.cancel(run_id)


def _submit(execution: Execution, request: Submit) -> Any:
    future = future_of(execution, request)
    try:
        return future.result(request.timeout)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"step {execution.step} took longer than its timeout") from None
    finally:
        future.cancel()


def _begin(execution: Execution, request: Begin) -> Any:
    execution.sharing = execution.drives.store.transaction()
    execution.shared = execution.sharing.__enter__()
    return execution.shared.connection


def _abort(execution: Execution, request: Abort) -> None:
    roll_back(execution, request.error)


def _transact(execution: Execution, request: Transact) -> None:
    sharing, shared = execution.sharing, execution.shared
    execution.sharing = execution.shared = None
    if sharing is None or shared is None:
        raise FiberError("transaction() ended twice: its function was continued a second time")
    execution.steps += 1
    try:
        execution.save(None, shared)
    except BaseException as error:
        sharing.__exit__(type(error), error, error.__traceback__)
        raise
    try:
        sharing.__exit__(None, None, None)
    except BaseException:
        execution.forget()
        raise


_SERVICES: dict[type, Callable[[Execution, Any], Any]] = {
    Abort: _abort,
    AwaitRuns: _await_runs,
    Begin: _begin,
    CancelRuns: _cancel_runs,
    Commit: _commit,
    Done: _done,
    Receive: _receive,
    Resolve: _resolve,
    Sleep: _sleep,
    Submit: _submit,
    Transact: _transact,
}
