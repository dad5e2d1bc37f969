"""What an engine does for each request of a run. True: the run goes on at once, with what was set as its answer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from stackful.durable.contexts import Step, elsewhere
from stackful.durable.records import Change, Filter
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
from stackful.durable.store import ENDED, Status
from stackful.errors import FiberError, RunNotFoundError, StoreError
from stackful.executors import executor_of

if TYPE_CHECKING:
    import asyncio  # takes as long to load as the rest together: only steps that are coroutines do

    from stackful.durable.active import ActiveRun
    from stackful.durable.engine import Engine
    from stackful.durable.execution import Execution
    from stackful.durable.store import Store

__all__ = ["QUESTIONS", "SERVICES", "future_of", "resolve", "roll_back", "settle", "stop_loop"]


def _done(engine: Engine, run: ActiveRun, request: Done) -> bool:
    run.steps += 1
    engine.threads.save(run)
    return False


def _count_failed(run: ActiveRun) -> None:
    """A step that has failed is behind the run as well, when a state is stored that is no attempt's."""
    run.steps = max(run.steps, run.begun)


def _commit(engine: Engine, run: ActiveRun, request: Commit) -> bool:
    _count_failed(run)
    for new in request.runs:
        if not new.run.id.startswith(f"{run.id}."):
            _check_id(engine, new.run.id, new.run.program)
    change = Change(signals=request.signals, runs=request.runs, attributes=request.attributes)
    engine.threads.save(run, change)
    return False


def _check_id(engine: Engine, run_id: str, program: str) -> None:
    """A child's id must not be another function's run: the commit could not say so."""
    try:
        found = engine.store.run(run_id)
    except RunNotFoundError:
        return
    if found.id == run_id and found.program != program:
        raise StoreError(
            f"there is already a run called {run_id} in {engine.store.path}, of {found.program}; choose another id",
            is_final=True,
        )


def _sleep(engine: Engine, run: ActiveRun, request: Sleep) -> bool:
    if not request.is_retry:
        _count_failed(run)
    engine.threads.save(run, Change(Status.SLEEPING, wake=request.wake))
    return False


def _receive(engine: Engine, run: ActiveRun, request: Receive) -> bool:
    for signal in engine.store.signals(run.id, request.name):
        if signal.id not in run.consumed:
            value = engine.unseal(run.id, signal.payload)
            run.consumed.append(signal.id)
            run.answer = (value,)
            return True
    if request.until is not None and request.until <= engine.store.now():
        run.answer = ()
        return True
    waits = f"signal:{request.name}"
    _count_failed(run)
    engine.threads.save(run, Change(Status.WAITING, wake=request.until, waits=waits, question=request.question))
    return False


def _await_runs(engine: Engine, run: ActiveRun, request: AwaitRuns) -> bool:
    outcomes = engine.store.outcomes(request.run_ids)
    going = tuple(outcome.run for outcome in outcomes if outcome.status not in ENDED)
    is_failed = any(outcome.status in (Status.FAILED, Status.CANCELLED) for outcome in outcomes)
    if not going or is_failed:
        run.answer = outcomes
        return True
    if request.until is not None and request.until <= engine.store.now():
        run.answer = ()
        return True
    waits = f"run:{going[0]}" if len(going) == 1 else f"runs:{len(going)}"
    _count_failed(run)
    engine.threads.save(run, Change(Status.WAITING, wake=request.until, waits=waits, awaits=going))
    return False


def _resolve(engine: Engine, run: ActiveRun, request: Resolve) -> bool:
    run.answer = resolve(engine.store, request.run_id, request.dedup)
    return True


def resolve(store: Store, run_id: str, dedup: str) -> str:
    """The id of the run with this id, or else of the newest with this key."""
    try:
        return store.run(run_id).id
    except RunNotFoundError:
        found = store.runs(Filter(dedup=dedup), limit=1)
        return found[0].id if found else run_id


def _cancel_runs(engine: Engine, run: ActiveRun, request: CancelRuns) -> bool:
    for run_id in request.run_ids:
        engine.store.cancel(run_id)
    return True


# --- transactions -----------------------------------------------------------------------------------------------------


def _begin(engine: Engine, run: ActiveRun, request: Begin) -> bool:
    sharing = engine.store.transaction()
    run.shared = sharing.__enter__()
    run.sharing = sharing
    run.answer = run.shared.connection
    return True


def _abort(engine: Engine, run: ActiveRun, request: Abort) -> bool:
    roll_back(run, request.error)
    return True


def roll_back(driver: ActiveRun | Execution, error: BaseException) -> None:
    """End the transaction that a run shares, if it is in one, for this error."""
    sharing, driver.sharing, driver.shared = driver.sharing, None, None
    if sharing is not None:
        try:
            sharing.__exit__(type(error), error, error.__traceback__)
        except BaseException as raised:
            if raised is not error:
                raise


def _transact(engine: Engine, run: ActiveRun, request: Transact) -> bool:
    sharing, shared = run.sharing, run.shared
    run.sharing = run.shared = None
    if sharing is None or shared is None:
        raise FiberError("transaction() ended twice: its function was continued a second time")
    run.steps += 1
    save = None
    try:
        save = run.next_state()
        is_ours = shared.save(save)
    except BaseException as error:
        if save is not None:
            run.take_back(save)
        sharing.__exit__(type(error), error, error.__traceback__)
        raise
    try:
        sharing.__exit__(None, None, None)
    except BaseException:
        run.take_back(save)
        raise
    if not is_ours:
        engine.threads.lose(run)
        return False
    return True


# --- elsewhere --------------------------------------------------------------------------------------------------------


def _submit(engine: Engine, run: ActiveRun, request: Submit) -> bool:
    token = elsewhere.set(Step(run.id, run.steps + 1, run.step, run.attempt, run.key or f"{run.id}/{run.steps + 1}"))
    try:
        if engine.telemetry is None:
            future: Future[Any] = future_of(engine, request)
        else:
            future = engine.telemetry.submit(run, lambda: future_of(engine, request))
    finally:
        elsewhere.reset(token)
    run.future = future
    if request.timeout is not None:
        engine.alarms.set_timeout(run, future, request.timeout)
    future.add_done_callback(lambda done: settle(engine, run, done))
    return False


def future_of(engine: Any, request: Submit) -> Any:
    """Have a function called elsewhere; the future of its result."""
    if request.executor is not None:
        executor = executor_of(request.executor)
        return executor.submit(request.function, *request.args, **request.keywords)
    if iscoroutinefunction(request.function):
        import asyncio

        return asyncio.run_coroutine_threadsafe(request.function(*request.args, **request.keywords), _loop_of(engine))
    return _in_thread(request)


def _in_thread(request: Submit) -> Future[Any]:
    future: Future[Any] = Future()
    context = copy_context()

    def call() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = request.function(*request.args, **request.keywords)
        except BaseException as error:  # noqa: BLE001 - the future takes it to whoever waits
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(
        target=context.run, args=[call], name=f"stackful-step-{request.function!r:.40}", daemon=True
    ).start()
    return future


_loops: dict[int, asyncio.AbstractEventLoop] = {}
_loops_lock = threading.Lock()


def _loop_of(engine: Any) -> asyncio.AbstractEventLoop:
    """An event loop in a thread of its own, for steps that are coroutine functions."""
    import asyncio

    with _loops_lock:
        loop = _loops.get(id(engine))
        if loop is None:
            loop = _loops[id(engine)] = asyncio.new_event_loop()
            threading.Thread(target=_run_loop, args=[loop], name="stackful-loop", daemon=True).start()
    return loop


def _run_loop(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.close()


def stop_loop(engine: Any) -> None:
    """End the event loop of an engine that is closed; what it awaits is cancelled."""
    with _loops_lock:
        loop = _loops.pop(id(engine), None)
    if loop is not None:
        import asyncio

        def end() -> None:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.call_soon(loop.stop)

        loop.call_soon_threadsafe(end)


def settle(engine: Engine, run: ActiveRun, future: Any, error: BaseException | None = None) -> None:
    """What a run waited for elsewhere is there; or `error` comes instead."""
    if not engine.threads.take_future(run, future):
        return  # its time was up before, or the run was cancelled
    if error is not None:
        run.error = error
    else:
        try:
            run.answer = future.result()
        except BaseException as raised:  # noqa: BLE001 - raised again in the run
            run.error = raised.with_traceback(None)
            if _is_cancellation(raised):
                run.error = TimeoutError(f"step {run.step} was cancelled where it ran")
    engine.threads.offer(run)


def _is_cancellation(error: BaseException) -> bool:
    """An event loop's has a class of its own; who raises it has loaded that."""
    known = getattr(sys.modules.get("asyncio"), "CancelledError", CancelledError)
    return isinstance(error, CancelledError | known)


SERVICES: dict[type, Callable[[Engine, ActiveRun, Any], bool]] = {
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

# What can be asked again if the store did not answer.
QUESTIONS = frozenset({AwaitRuns, Begin, CancelRuns, Receive, Resolve})
