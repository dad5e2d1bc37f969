"""What the code of a run can do durably. Each is an ordinary function, which suspends the run's fiber with a request.

The frames of these functions are stored with the run: they keep nothing in their locals that need not be there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from inspect import CO_COROUTINE, iscoroutinefunction
from types import FunctionType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stackful import _core
from stackful.durable.connections import current_engine
from stackful.durable.contexts import Step, check_capturable, elsewhere, here, host
from stackful.durable.forms import is_answer, question_of
from stackful.durable.given import check_callable, check_number, check_text, id_of
from stackful.durable.handles import Handle, error_of, result_of
from stackful.durable.records import NewSignal
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
from stackful.durable.store import Status
from stackful.errors import FiberError, RunCancelled
from stackful.fibers import is_capturable, suspend_to

if TYPE_CHECKING:
    from stackful.durable.functions import RunFunction

__all__ = [
    "ask",
    "cancel",
    "check_json",
    "current_run",
    "current_step",
    "enter",
    "gather",
    "is_async",
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


def step(
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
    """Call a function and record its result, once."""
    driver = here.driver
    if driver is None or driver.is_in_step:
        check_callable("step", function)
        return function(*args, **keywords)
    if _core.host() is not driver.fiber or not is_capturable():
        _refuse("step")
    del driver
    attempt = 1
    while True:
        called = enter(function, name, key, attempt)
        try:
            if timeout is None and executor is None and not is_async(function):
                result = called(*args, **keywords)
            else:
                here.driver.is_in_step = False  # type: ignore[union-attr]
                result = suspend_to(host("step"), Submit(function, args, keywords, executor, timeout))
            break
        except retry_on:
            if attempt > retries:
                raise
        finally:
            here.driver.is_in_step = False  # type: ignore[union-attr]
            del called
        pause = backoff(attempt) if callable(backoff) else backoff * 2 ** (attempt - 1)
        attempt += 1
        suspend_to(host("step"), Sleep(here.driver.drives.store.now() + pause, is_retry=True))  # type: ignore[union-attr]
    del function, args, keywords, backoff, retry_on, executor
    try:
        suspend_to(here.driver.fiber, DONE)  # type: ignore[union-attr, arg-type]
    except RunCancelled as error:
        error.recorded = (result,)
        raise
    return result


# Not in the function, whose source is stored with each state that it is suspended in.
step.__doc__ = """Call ``function(*args, **keywords)`` and record what it returns, once: no crash after that calls it again.

A crash while it runs, or before its result is recorded, has it called again when the run goes on: at least once. What it raises is raised
here and not recorded: `retry`, and a crash, have it called again. Outside of runs, and within another step, it is just called.

Args:
    function: an ordinary function, which runs right here; or a coroutine function, which is awaited in an event loop of the engine's.
    args, keywords: what it is called with.
    retries: how often it is called again when it has raised. The waits in between are durable; its arguments are stored meanwhile.
    backoff: seconds before the first retry, doubled for each further one; or a function from the attempt (1, 2, ...) to seconds.
    retry_on: which exceptions are worth it.
    timeout: seconds for each attempt. An ordinary function then runs in another thread, which is not waited for when the time is up: it may
        still come to its effect. A coroutine is cancelled.
    key: the idempotency key that `current_step` tells; by default one is made of the run's id and the step's number.
    name: what the step is called; by default by the function's name.
    executor: where to run it instead: an executor as those of ``concurrent.futures``, or a ``Client`` of ``dask.distributed``; or, with retries,
        during which it would have to be stored, a function that gives it.

Returns:
    What the function returned.

Raises:
    BarrierError: C code stands between here and the run, so that nothing could be recorded; the function was not called.
    UnsaveableError: the state cannot be stored, for a value that its path names; the function was called.
    TimeoutError: the time was up, and so were the retries.

Example:
    >>> step(max, 1, 2)
    2
"""


def _refuse(operation: str) -> None:
    """Say why nothing can be stored here. Where that is not known, `suspend_to` finds it out without suspending."""
    check_capturable(operation)
    suspend_to(host(operation), Commit())


def is_async(function: Any) -> bool:
    """Whether it is a coroutine function; for plain functions the flag tells, and quickly."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & CO_COROUTINE)
    return iscoroutinefunction(function)


def enter(function: Callable[..., _R], name: str | None, key: str | None, attempt: int) -> Callable[..., _R]:
    """A step's function is about to be called; what to call here: the function, with a span around it where there is telemetry."""
    driver = here.driver
    if driver is None:
        raise FiberError("a step of a run was called outside of it")
    check_callable("step", function)
    driver.step = name or getattr(function, "__qualname__", None) or repr(function)
    if attempt == 1:
        driver.steps = max(driver.steps, driver.begun)
        driver.begun = driver.steps + 1
    driver.key, driver.attempt, driver.is_in_step = key, attempt, True
    telemetry = driver.drives.telemetry
    return function if telemetry is None else telemetry.within_step(driver, function)


def current_step() -> Step | None:
    """The step whose function is running here, or None.

    >>> current_step() is None
    True
    """
    driver = here.driver
    if driver is None or not driver.is_in_step:
        return elsewhere.get()
    number = driver.steps + 1
    return Step(driver.id, number, driver.step, driver.attempt, driver.key or f"{driver.id}/{number}")


def current_run() -> Handle[Any] | None:
    """The run that this code belongs to, or None.

    >>> current_run() is None
    True
    """
    driver = here.driver
    return None if driver is None else Handle(driver.id)


def transaction(function: Callable[..., _R], /, *args: Any, name: str | None = None, **keywords: Any) -> _R:
    """Call ``function(connection, *args, **keywords)`` in a transaction of the store's own database, which commits the run's state after it, too.

    Exactly once: what it wrote and that it was called become durable at one moment, or neither. If it raises, all is rolled back and
    the exception goes on here.

    Args:
        function: works with the connection (``sqlite3.Connection``, ``psycopg.Connection``); it cannot commit, roll back, or change the store's own
            tables. Do nothing else in it that has effects: it may be called again if it was not committed.
        name: what the step is called.

    Raises:
        FiberError: outside of runs, and within a step.
        StoreError: the function tried what it may not, or the database cannot be written.
        BarrierError, UnsaveableError: as `step`.
    """
    fiber = host("transaction")
    if not is_capturable():
        _refuse("transaction")
    connection = suspend_to(fiber, Begin())
    del fiber
    called = enter(function, name, None, 1)
    try:
        result = called(connection, *args, **keywords)
        here.driver.is_in_step = False  # type: ignore[union-attr]
    except BaseException as error:
        here.driver.is_in_step = False  # type: ignore[union-attr]
        suspend_to(host("transaction"), Abort(error))
        raise
    del connection, function, called, args, keywords
    try:
        suspend_to(host("transaction"), Transact())
    except RunCancelled as error:
        error.recorded = (result,)
        raise
    return result


def sleep(seconds: float) -> None:
    """Wait so long, through crashes and restarts; meanwhile the run takes no thread, and no memory. Outside of runs, and in a step, as ``time.sleep``.

    Raises:
        ValueError: less than no time.
    """
    check_number("the length of a sleep", seconds)
    if not seconds >= 0:
        raise ValueError(f"sleep({seconds!r}): the length must not be negative")
    if here.driver is None or here.driver.is_in_step:
        time.sleep(seconds)
        return
    wake = _now("sleep") + seconds
    while True:  # a fork goes on from here, too, and has then as long to sleep as the run that it was forked from
        suspend_to(host("sleep"), Sleep(wake))
        if _now("sleep") >= wake:
            return


def sleep_until(when: datetime) -> None:
    """Wait until then, as `sleep`; at once if it is past.

    Raises:
        TypeError: it is no datetime.
        ValueError: the time has no time zone, and so says no moment.
    """
    if not hasattr(when, "tzinfo"):
        raise TypeError(f"sleep_until() takes a datetime, not {when!r}; sleep() takes seconds")
    if when.tzinfo is None:
        raise ValueError(f"{when!r} has no time zone: use for example datetime.now(timezone.utc) + timedelta(days=3)")
    if here.driver is None or here.driver.is_in_step:
        time.sleep(max(0.0, when.timestamp() - time.time()))
        return
    wake = when.timestamp()
    del when
    while True:
        suspend_to(host("sleep_until"), Sleep(wake))
        if _now("sleep_until") >= wake:
            return


def wait_signal(name: str, timeout: float | None = None) -> Any:
    """Wait for a signal of this name that was sent to this run, by `send`; the value that was sent.

    Signals that came before are delivered at once, the oldest first. One is gone from the store with the next state that is recorded: after a
    crash before that it is delivered again.

    Raises:
        TimeoutError: none came within so many seconds.
    """
    check_text("the name of a signal", name)
    until = None if timeout is None else _now("wait_signal") + timeout
    while True:
        found = suspend_to(host("wait_signal"), Receive(name, until))
        if found == ():
            raise TimeoutError(f"no signal {name!r} came within {timeout} seconds")
        if found is not None:
            return found[0]


def ask(question: str, form: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
    """Wait for a person's answer, which `Engine.answer`, the command line or the viewer gives; whoever answers first has answered.

    Args:
        question: what is asked.
        form: what is to be filled in: names to ``str``, ``int``, ``float``, ``bool`` (yes or no), a list of choices, or a `Field`. None: yes or no.
        timeout: seconds after which nobody will answer.

    Returns:
        The answers by name; with no form True or False.

    Raises:
        TimeoutError: nobody did.
        TypeError: the form holds something else.
    """
    text, name = question_of(question, form, _seq() + 1)
    until = None if timeout is None else _now("ask") + timeout
    while True:
        found = suspend_to(host("ask"), Receive(name, until, text))
        if found == ():
            raise TimeoutError(f"nobody answered {question!r} within {timeout} seconds")
        if found is not None and is_answer(text, found[0]):
            return found[0]["answer"] if form is None else found[0]


def _seq() -> int:
    host("ask")
    return here.driver.seq  # type: ignore[union-attr]


def _now(operation: str) -> float:
    host(operation)
    return here.driver.drives.store.now()  # type: ignore[union-attr]


def send(run: Handle[Any] | str, name: str, value: Any = None, key: str | None = None) -> None:
    """Send a run a signal, from anywhere. Within a run it is sent with the run's next state: once.

    Args:
        run: a handle, or the id.
        name: what the run waits for.
        value: anything that can be pickled.
        key: a second signal with this key to the same run is dropped, for as long as that lives.

    Raises:
        RunNotFoundError: there is no such run (not raised within runs).
    """
    run_id = id_of(run)
    check_text("the name of a signal", name)
    if here.driver is None or here.driver.is_in_step:
        current_engine().send(run_id, name, value, key)
    else:
        payload = here.driver.drives.seal(run_id, value)
        suspend_to(host("send"), Commit(signals=[NewSignal(run_id, name, payload, key)]))


def start(
    function: RunFunction[_P, _R] | Callable[_P, _R],
    /,
    *args: Any,
    id: str | None = None,  # noqa: A002 - what everybody calls it
    queue: str | None = None,
    priority: int = 0,
    key: str | None = None,
    deadline: float | None = None,
    attributes: Mapping[str, Any] | None = None,
    delay: float = 0.0,
    **keywords: Any,
) -> Handle[_R]:
    """Start ``function(*args, **keywords)`` as a run of its own. Within a run it is a child, which is stored with the run's next state: once.

    Args:
        function: marked with `run`.
        args, keywords: what it is called with; they are stored.
        id: what the run is called; by default a name is made up. Starting one with an id that is taken gives that one.
        queue: the queue that it waits in.
        priority: greater ones first, within a queue.
        key: as long as a run with this key has not ended, starting another gives that one.
        deadline: seconds after which it is cancelled, by DeadlineError.
        attributes: JSON values by name, to find it by (`runs`).
        delay: seconds before it begins.

    Returns:
        A handle.

    Raises:
        FiberError: the function is not marked.
        TypeError: the function does not take these arguments.
        StoreError: no store is open, or the id is taken by a run of another function.
        UnsaveableError: an argument cannot be stored.
    """
    options = (id, queue, priority, key, deadline, attributes, delay)
    if here.driver is None or here.driver.is_in_step:
        return current_engine().start(new_run(current_engine(), function, args, keywords, *options))
    new = child_of(here.driver, function, args, keywords, *options)
    run_id = new.run.id
    del function, args, keywords, attributes, options
    request = [Commit(runs=[new])]
    del new
    suspend_to(host("start"), request.pop())
    if key is not None:  # whose run it is now
        run_id = suspend_to(host("start"), Resolve(run_id, key))
    return Handle(run_id)


def cancel(run: Handle[Any] | str) -> None:
    """Ask for a run's end: `RunCancelled` is raised where it is suspended next. Harmless if it has ended.

    Raises:
        RunNotFoundError: there is no such run.
    """
    Handle(id_of(run)).cancel()


def set_attributes(**attributes: Any) -> None:
    """Set attributes of this run, to find it by; None removes one.

    Raises:
        TypeError: a value is no JSON.
    """
    for name, value in attributes.items():
        check_json(name, value)
    suspend_to(host("set_attributes"), Commit(attributes=attributes))


def check_json(name: str, value: Any) -> None:
    """TypeError if an attribute cannot be one."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the attribute {name}={value!r} is no JSON: {error}") from None


def gather(*runs: Handle[Any] | Callable[[], Any] | Sequence[Handle[Any] | Callable[[], Any]]) -> list[Any]:
    """Wait for several runs, as children of this one; their results, in this order.

    If one of them fails, or this run is cancelled, all others are cancelled and waited for; then the failure is raised.

    Args:
        runs: handles, as from `start`; or functions marked with `run` that need no arguments: they are started. Or one list of these:
            ``gather(*handles)`` is a C call on Python 3.11, behind which nothing can be stored.

    Raises:
        RunFailedError: one of them failed; of several, the one that ended first was noticed first.
    """
    given: Sequence[Any] = runs[0] if len(runs) == 1 and isinstance(runs[0], list | tuple) else runs
    handles = [run if isinstance(run, Handle) else start(run) for run in given]
    run_ids = tuple(handle.id for handle in handles)
    del runs, given, handles
    if here.driver is None or here.driver.is_in_step:
        return [result_of(outcome) for outcome in current_engine().wait_all(run_ids)]
    try:
        outcomes = _await(run_ids)
    except RunCancelled:
        _stop(run_ids)
        raise
    failed = next((o for o in outcomes if o.status in (Status.FAILED, Status.CANCELLED)), None)
    if failed is None:
        return [result_of(outcome) for outcome in outcomes]
    del outcomes
    _stop(run_ids)
    raise error_of(failed)


def _await(run_ids: tuple[str, ...]) -> Sequence[Any]:
    """Wait until all have ended, or one without success."""
    while True:
        outcomes = suspend_to(host("gather"), AwaitRuns(run_ids))
        if outcomes is not None:
            return outcomes  # type: ignore[no-any-return]


def _stop(run_ids: tuple[str, ...]) -> None:
    """Cancel all and wait for each."""
    suspend_to(host("gather"), CancelRuns(run_ids))
    for run_id in run_ids:
        while suspend_to(host("gather"), AwaitRuns((run_id,))) is None:
            pass
