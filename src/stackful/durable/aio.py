"""The same operations for runs that are ``async def`` functions, and for programs under asyncio.

Within a run each suspends the coroutine, and with it the run: what is stored is the coroutine itself. Elsewhere they wait under the running event
loop, and block nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stackful.durable import operations
from stackful.durable.active import request_of
from stackful.durable.connections import current_engine
from stackful.durable.contexts import here, host
from stackful.durable.forms import is_answer, question_of
from stackful.durable.given import check_callable, check_number, check_text, id_of
from stackful.durable.handles import Handle, error_of, result_of
from stackful.durable.records import NewSignal, Outcome
from stackful.durable.requests import (
    DONE,
    Abort,
    AwaitRuns,
    Begin,
    CancelRuns,
    Commit,
    Receive,
    Resolve,
    Sleep,
    Submit,
    Transact,
)
from stackful.durable.starting import child_of, new_run
from stackful.durable.store import ENDED, Status
from stackful.errors import RunCancelled

if TYPE_CHECKING:
    from stackful.durable.functions import RunFunction

__all__ = [
    "ask",
    "cancel",
    "gather",
    "result",
    "send",
    "set_attributes",
    "sleep",
    "sleep_until",
    "start",
    "step",
    "transaction",
    "wait_signal",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _is_outside() -> bool:
    return here.driver is None or here.driver.is_in_step


def _now(operation: str) -> float:
    host(operation)
    return here.driver.drives.store.now()  # type: ignore[union-attr]


async def step(
    function: Callable[..., Any],
    /,
    *args: Any,
    retries: int = 0,
    backoff: float | Callable[[int], float] = 1.0,
    retry_on: type[Exception] | tuple[type[Exception], ...] = Exception,
    timeout: float | None = None,
    key: str | None = None,
    name: str | None = None,
    executor: Any = None,
    **keywords: Any,
) -> Any:
    """As `operations.step`. Outside of runs the function is called, and what it returns awaited if it can be."""
    if _is_outside():
        check_callable("step", function)
        value = function(*args, **keywords)
        return await value if isawaitable(value) else value
    host("step")
    attempt = 1
    while True:
        called = operations.enter(function, name, key, attempt)
        try:
            if timeout is None and executor is None and not operations.is_async(function):
                value = called(*args, **keywords)
            else:
                here.driver.is_in_step = False  # type: ignore[union-attr]
                value = await request_of(Submit(function, args, keywords, executor, timeout))
            break
        except retry_on:
            if attempt > retries:
                raise
        finally:
            here.driver.is_in_step = False  # type: ignore[union-attr]
            del called
        pause = backoff(attempt) if callable(backoff) else backoff * 2 ** (attempt - 1)
        attempt += 1
        await request_of(Sleep(_now("step") + pause, is_retry=True))
    del function, args, keywords, backoff, retry_on, executor
    try:
        await request_of(DONE)
    except RunCancelled as error:
        error.recorded = (value,)
        raise
    return value


async def transaction(function: Callable[..., _R], /, *args: Any, name: str | None = None, **keywords: Any) -> _R:
    """As `operations.transaction`; the function is an ordinary one."""
    host("transaction")
    connection = await request_of(Begin())
    called = operations.enter(function, name, None, 1)
    try:
        value = called(connection, *args, **keywords)
        here.driver.is_in_step = False  # type: ignore[union-attr]
    except BaseException as error:
        here.driver.is_in_step = False  # type: ignore[union-attr]
        await request_of(Abort(error))
        raise
    del connection, function, called, args, keywords
    try:
        await request_of(Transact())
    except RunCancelled as error:
        error.recorded = (value,)
        raise
    return value


async def sleep(seconds: float) -> None:
    """As `operations.sleep`; outside of runs as ``asyncio.sleep``."""
    check_number("the length of a sleep", seconds)
    if not seconds >= 0:
        raise ValueError(f"sleep({seconds!r}): the length must not be negative")
    if _is_outside():
        await asyncio.sleep(seconds)
        return
    wake = _now("sleep") + seconds
    while True:
        await request_of(Sleep(wake))
        if _now("sleep") >= wake:
            return


async def sleep_until(when: datetime) -> None:
    """As `operations.sleep_until`."""
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: use for example datetime.now(timezone.utc) + timedelta(days=3)")
    if _is_outside():
        await asyncio.sleep(max(0.0, (when - datetime.now(UTC)).total_seconds()))
        return
    wake = when.timestamp()
    while True:
        await request_of(Sleep(wake))
        if _now("sleep_until") >= wake:
            return


async def wait_signal(name: str, timeout: float | None = None) -> Any:
    """As `operations.wait_signal`."""
    check_text("the name of a signal", name)
    until = None if timeout is None else _now("wait_signal") + timeout
    host("wait_signal")
    while True:
        found = await request_of(Receive(name, until))
        if found == ():
            raise TimeoutError(f"no signal {name!r} came within {timeout} seconds")
        if found is not None:
            return found[0]


async def ask(question: str, form: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
    """As `operations.ask`."""
    host("ask")
    text, name = question_of(question, form, here.driver.seq + 1)  # type: ignore[union-attr]
    until = None if timeout is None else _now("ask") + timeout
    while True:
        found = await request_of(Receive(name, until, text))
        if found == ():
            raise TimeoutError(f"nobody answered {question!r} within {timeout} seconds")
        if found is not None and is_answer(text, found[0]):
            return found[0]["answer"] if form is None else found[0]


async def send(run: Handle[Any] | str, name: str, value: Any = None, key: str | None = None) -> None:
    """As `operations.send`."""
    run_id = id_of(run)
    if _is_outside():
        await asyncio.to_thread(current_engine().send, run_id, name, value, key)
    else:
        payload = here.driver.drives.seal(run_id, value)  # type: ignore[union-attr]
        await request_of(Commit(signals=[NewSignal(run_id, name, payload, key)]))


async def start(
    function: RunFunction[_P, _R] | Callable[_P, _R],
    /,
    *args: Any,
    id: str | None = None,  # noqa: A002 - as in `operations.start`
    queue: str | None = None,
    priority: int = 0,
    key: str | None = None,
    deadline: float | None = None,
    attributes: Mapping[str, Any] | None = None,
    delay: float = 0.0,
    **keywords: Any,
) -> Handle[_R]:
    """As `operations.start`."""
    options = (id, queue, priority, key, deadline, attributes, delay)
    if _is_outside():
        engine = current_engine()
        return await asyncio.to_thread(engine.start, new_run(engine, function, args, keywords, *options))
    new = child_of(here.driver, function, args, keywords, *options)  # type: ignore[arg-type]
    run_id = new.run.id
    request = [Commit(runs=[new])]
    del function, args, keywords, attributes, options, new
    await request_of(request.pop())
    if key is not None:
        run_id = await request_of(Resolve(run_id, key))
    return Handle(run_id)


async def cancel(run: Handle[Any] | str) -> None:
    """As `operations.cancel`."""
    run_id = id_of(run)
    if _is_outside():
        await asyncio.to_thread(current_engine().store.cancel, run_id)
    else:
        await request_of(CancelRuns([run_id]))


async def set_attributes(**attributes: Any) -> None:
    """As `operations.set_attributes`."""
    host("set_attributes")
    for name, value in attributes.items():
        operations.check_json(name, value)
    await request_of(Commit(attributes=attributes))


async def result(run: Handle[_R], timeout: float | None = None) -> _R:
    """What a run returns: within a run waits durably, elsewhere under the event loop.

    Raises:
        RunFailedError, TimeoutError: as `Handle.result`.
    """
    if _is_outside():
        return result_of(await asyncio.wait_for(_ended(run.id), timeout))  # type: ignore[no-any-return]
    until = None if timeout is None else _now("result") + timeout
    while True:
        outcomes = await request_of(AwaitRuns((run.id,), until))
        if outcomes == ():
            raise TimeoutError(f"run {run.id} has not ended within {timeout} seconds")
        if outcomes is not None:
            return result_of(outcomes[0])  # type: ignore[no-any-return]


async def _ended(run_id: str) -> Outcome:
    engine, loop, news = current_engine(), asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(news.set)

    forget = engine.when_ended(run_id, wake)
    try:
        while True:
            news.clear()
            outcome = (await asyncio.to_thread(engine.store.outcomes, [run_id]))[0]
            if outcome.status in ENDED:
                return outcome
            await news.wait()
    finally:
        forget()


async def gather(*runs: Handle[Any] | Callable[[], Any] | Sequence[Handle[Any] | Callable[[], Any]]) -> list[Any]:
    """As `operations.gather`."""
    given: Sequence[Any] = runs[0] if len(runs) == 1 and isinstance(runs[0], list | tuple) else runs
    handles = [run if isinstance(run, Handle) else await start(run) for run in given]
    run_ids = tuple(handle.id for handle in handles)
    if _is_outside():
        return list(await asyncio.gather(*[result(handle) for handle in handles]))
    del runs, given, handles
    try:
        while (outcomes := await request_of(AwaitRuns(run_ids))) is None:
            pass
    except RunCancelled:
        await _stop(run_ids)
        raise
    failed = next((o for o in outcomes if o.status in (Status.FAILED, Status.CANCELLED)), None)
    if failed is None:
        return [result_of(outcome) for outcome in outcomes]
    await _stop(run_ids)
    raise error_of(failed)


async def _stop(run_ids: tuple[str, ...]) -> None:
    await request_of(CancelRuns(run_ids))
    for run_id in run_ids:
        while await request_of(AwaitRuns((run_id,))) is None:
            pass
