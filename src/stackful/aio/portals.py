"""Portals: fibers within which ordinary functions await.

A portal is a `Generator` that a coroutine, `call`, awaits: each future that is given to `suspend` in it reaches the Task that runs the
coroutine, as if the coroutine itself had awaited that. So it is the same Task, in the same context, and nothing of asyncio is replaced.
(SQLAlchemy's greenlet_spawn and await_only, 2020; greenback's portals, 2020.)
"""

from __future__ import annotations

import asyncio
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, ParamSpec, TypeVar, overload

from stackful import _core
from stackful._core import current
from stackful.errors import FiberError
from stackful.fibers import is_suspendable, suspend, suspend_to
from stackful.fibers.operations import suspendable
from stackful.generators import Generator as Portal

__all__ = [
    "await_", "call", "can_await", "eager_task_factory", "exit_here", "in_portal", "run", "spawn", "task_factory", "way_out",
]  # fmt: skip

_P = ParamSpec("_P")
_T = TypeVar("_T")
_AnyCoroutine = Coroutine[Any, Any, _T]

# ---- await_ ---------------------------------------------------------------------------------------


def await_(awaitable: Awaitable[_T], /) -> _T:
    """As ``await awaitable``, in an ordinary function: what runs in a portal calls it, at any depth and through C code.

    Every task of `run` is a portal; in loops that others run, `call`, `spawn` and `task_factory` make them. What the awaitable raises, and
    ``CancelledError``, is raised here. `FiberError` where there is no portal, or a fiber of the program's own stands in between;
    `BarrierError` where the code cannot be suspended.

    >>> import asyncio
    >>> from stackful import aio
    >>> def pause(number):
    ...     return aio.await_(asyncio.sleep(0, number))
    >>> aio.run(lambda: sorted([3, 1, 2], key=pause))
    [1, 2, 3]
    """
    steps = _steps(awaitable)
    pause: Callable[[Any], Any] = suspend
    if steps is None:  # another fiber runs this, in a portal or not; or it is no usual awaitable
        pause = way_out(awaitable)
        steps = _core.Steps(_iterable(awaitable))
    for future in steps:  # the first step is made here: what completes at once costs no switch
        while True:
            try:
                pause(future)
            except BaseException as error:  # noqa: BLE001 - the awaitable decides
                try:
                    future = _throw(steps.iterator, error)  # noqa: PLW2901 - the one to wait for now
                except StopIteration as end:
                    return end.value  # type: ignore[no-any-return]
            else:
                break
    return steps.result  # type: ignore[no-any-return]


_steps = _core.steps


def _throw(iterator: Any, error: BaseException) -> Any:
    """What it yields next, with the error raised in it. As ``yield from`` does (PEP 380)."""
    if isinstance(error, GeneratorExit) and not isinstance(iterator, types.CoroutineType | types.GeneratorType):
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
        raise error
    throw = getattr(iterator, "throw", None)
    if throw is None:
        raise error
    return throw(error)


def _iterable(awaitable: Any) -> Any:
    """What ``yield from`` takes."""
    if isinstance(awaitable, types.CoroutineType):
        return awaitable
    if isinstance(awaitable, types.GeneratorType) and awaitable.gi_code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return awaitable
    try:
        begin = type(awaitable).__await__
    except AttributeError:
        raise TypeError(f"await_() takes what `await` takes; not {awaitable!r}") from None
    return begin(awaitable)


def exit_here() -> Callable[[Any], Any] | None:
    """What suspends the portal that runs this code; None: nothing does."""
    fiber = current()
    if _core.is_portal(fiber):
        return suspend
    host = suspendable()
    if host is None or not _core.is_portal(host):
        return None
    if (
        fiber is host or host is not _core.host()
    ):  # it runs this; or what does, a prompt() for C code, is suspended with it
        return suspend
    return lambda future: suspend_to(host, future)  # a guest of it does


def way_out(awaitable: Any) -> Callable[[Any], Any]:
    """As `exit_here`; `FiberError` instead of None, about what was to be awaited."""
    pause = exit_here()
    if pause is not None:
        return pause
    if type(awaitable) is types.CoroutineType:
        awaitable.close()  # the error says enough: no warning that it was never awaited
    fiber = current()
    if fiber is None:
        raise FiberError(
            "await_() outside of any portal: run the program with aio.run(function), or in a loop that runs already, "
            "call the function with `await aio.call(function, ...)`, start it with aio.spawn(function, ...), or have "
            "loop.set_task_factory(aio.task_factory) make a portal of every task; in another thread, use "
            "asyncio.run_coroutine_threadsafe(awaitable, loop).result()"
        )
    raise FiberError(
        f"await_() in {fiber!r}, which is no portal: its own resume() would get what only the event loop understands. "
        "Within a portal, resume it with the function stackful.resume(fiber), which await_() reaches through; or await where it is resumed"
    )


def in_portal() -> bool:
    """Is there a portal for `await_` to suspend?"""
    return exit_here() is not None


def can_await() -> bool:
    """Would `await_` work here? Not outside of portals, nor behind a `barrier`.

    >>> from stackful import aio
    >>> aio.can_await(), aio.run(aio.can_await)
    (False, True)
    """
    return in_portal() and is_suspendable()


# ---- portals ---------------------------------------------------------------------------------------


class _Entered:
    """Awaited once, it runs the portal until its end."""

    __slots__ = ("_portal",)

    def __init__(self, portal: Portal[Any, Any, Any]) -> None:
        self._portal = portal

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._portal


@overload
async def call(function: Callable[_P, _AnyCoroutine[_T]], /, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
@overload
async def call(function: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T: ...
async def call(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """To be awaited: what the function returns, or the coroutine function. It, and all that it calls, may `await_`.

    For coroutines that are run by an event loop which knows nothing of portals. Same task, same context.

    >>> import asyncio
    >>> from stackful import aio
    >>> def double(number):
    ...     return 2 * aio.await_(asyncio.sleep(0, number))
    >>> async def main():
    ...     return await aio.call(double, 21)
    >>> asyncio.run(main())
    42
    """
    _check_function("call", function)
    while True:
        result = await _Entered(_core.portal(Portal(function, *args, **kwargs)))
        if not asyncio.iscoroutine(result):
            return result
        function, args, kwargs = await_, (result,), {}


def _check_function(name: str, function: object) -> None:
    if callable(function):
        return
    if asyncio.iscoroutine(function):
        function.close()  # the error says enough: no warning that it was never awaited
        raise TypeError(
            f"aio.{name}() takes a function, and calls it; {function!r} has been called already: aio.{name}(function, *args), "
            "or within a portal aio.await_(coroutine)"
        )
    raise TypeError(f"aio.{name}() takes a function and its arguments, not {function!r}")


# ---- tasks -----------------------------------------------------------------------------------------


class _NotBegun:
    """A coroutine that its task will begin; if instead the task is cancelled before, that is no mistake to be warned of."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine

    def take(self) -> Any:
        coroutine, self._coroutine = self._coroutine, None
        return coroutine

    def __del__(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()


def _begin(coroutine: _NotBegun) -> Any:
    return await_(coroutine.take())


def _in_portal(coroutine: Any) -> Any:
    """A coroutine that runs the given one in a portal, under its name."""
    if getattr(coroutine, "cr_code", None) is call.__code__:
        return coroutine
    if not asyncio.iscoroutine(coroutine):
        raise TypeError(f"a coroutine was expected, got {coroutine!r}")
    return _named(call(_begin, _NotBegun(coroutine)), coroutine)


def _named(coroutine: Any, after: Any) -> Any:
    name = getattr(after, "__name__", None)
    if name is not None:
        coroutine.__name__ = name
        coroutine.__qualname__ = getattr(after, "__qualname__", name)
    return coroutine


def task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """For ``loop.set_task_factory``: `await_` works in every task that the loop makes from then on.

    >>> import asyncio
    >>> from stackful import aio
    >>> def pause():
    ...     return aio.await_(asyncio.sleep(0, "paused"))
    >>> async def child():
    ...     return pause()
    >>> async def main():
    ...     asyncio.get_running_loop().set_task_factory(aio.task_factory)
    ...     return await asyncio.gather(child(), child())
    >>> asyncio.run(main())
    ['paused', 'paused']
    """
    return asyncio.Task(_in_portal(coroutine), loop=loop, **options)


def eager_task_factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """As `task_factory`; tasks run at once until they first wait, as those of ``asyncio.eager_task_factory`` do. From Python 3.12 on."""
    if options.get("eager_start") is None:  # uvloop 0.23 passes None on
        options["eager_start"] = True
    return asyncio.Task(_in_portal(coroutine), loop=loop, **options)


def spawn(
    function: Callable[..., Any], /, *args: Any, name: str | None = None, context: Context | None = None
) -> asyncio.Task[Any]:
    """An ordinary asyncio.Task that calls the function, which may `await_`; in a loop that runs. Coroutine functions as well.

    It is kept until it ends: who does not want its result need not keep a reference. In an ``asyncio.TaskGroup``:
    ``group.create_task(aio.call(function, ...))``.

    >>> import asyncio
    >>> from stackful import aio
    >>> def pause(number):
    ...     return aio.await_(asyncio.sleep(0, number))
    >>> def main():
    ...     tasks = [aio.spawn(pause, number) for number in range(3)]
    ...     return aio.await_(asyncio.gather(*tasks))
    >>> aio.run(main)
    [0, 1, 2]
    """
    _check_function("spawn", function)
    loop = asyncio.get_running_loop()
    task = loop.create_task(_named(call(function, *args), function), name=name, context=context)
    _spawned.add(task)  # loops keep weak references
    task.add_done_callback(_spawned.discard)
    return task


_spawned: set[asyncio.Task[Any]] = set()


@overload
def run(
    function: Callable[..., _AnyCoroutine[_T]],
    /,
    *args: Any,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T: ...
@overload
def run(
    function: Callable[..., _T],
    /,
    *args: Any,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> _T: ...
def run(
    function: Callable[..., Any],
    /,
    *args: Any,
    debug: bool | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> Any:
    """``function(*args)``, an ordinary or a coroutine function, as the main task of a new event loop, as ``asyncio.run`` does.

    In every task of that loop, ordinary functions may `await_`.

    >>> import asyncio
    >>> from stackful import aio
    >>> def pause(number):
    ...     return aio.await_(asyncio.sleep(0, number))
    >>> aio.run(pause, 42)
    42
    """
    _check_function("run", function)
    if asyncio._get_running_loop() is not None:
        raise FiberError(
            "aio.run() cannot be called where an event loop runs already: call the function, in a portal; or `await aio.call(function, ...)`"
        )
    with asyncio.Runner(debug=debug, loop_factory=loop_factory) as runner:
        runner.get_loop().set_task_factory(task_factory)
        return runner.run(_named(call(function, *args), function))
