"""`patched`: synchronous libraries wait as tasks do."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from typing import Any

from stackful.aio import selecting, sockets
from stackful.aio.locks import Lock, RLock, SimpleQueue, wait_for_condition
from stackful.aio.portals import await_, can_await
from stackful.aio.waiting import outside

__all__ = ["patched"]

_guard = threading.Lock()
_depth = 0
_originals: list[tuple[Any, str, Any]] = []
_ABSENT = object()


@contextmanager
def patched() -> Iterator[None]:
    """Within it, what synchronous libraries wait by lets other tasks go on, where a portal runs; elsewhere it blocks its thread, as ever.

    Sockets, those of TLS too, and looking names up; select.select and select.poll, selectors; time.sleep; locks, events, conditions, semaphores
    and queues that are made within. What was imported by name before (``from time import sleep``) stays as it is. May be nested, and entered by
    several threads: the originals come back when the last one leaves. (After gevent's monkey patching, which is for ever.)

    >>> import asyncio, time
    >>> from stackful import aio
    >>> def step(seconds, trace):
    ...     time.sleep(seconds)
    ...     trace.append(seconds)
    >>> def main():
    ...     trace = []
    ...     with aio.patched():
    ...         aio.await_(asyncio.gather(*(aio.spawn(step, seconds, trace) for seconds in (0.02, 0.01))))
    ...     return trace
    >>> aio.run(main)
    [0.01, 0.02]
    """
    global _depth  # noqa: PLW0603 - it is about the whole process
    with _guard:
        if _depth == 0:
            _install()
        _depth += 1
    try:
        yield
    finally:
        with _guard:
            _depth -= 1
            if _depth == 0:
                _restore()


def _install() -> None:
    for owner, name, value in [*sockets.replacements(), *selecting.replacements(), *_replacements()]:
        _originals.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)


def _restore() -> None:
    while _originals:
        owner, name, value = _originals.pop()
        if value is _ABSENT:
            delattr(owner, name)
        else:
            setattr(owner, name, value)


def _replacements() -> list[tuple[Any, str, Any]]:
    return [
        (time, "sleep", _sleep(time.sleep)),
        (threading, "Lock", Lock),
        (threading, "_allocate_lock", Lock),  # those by which conditions wait, of conditions made before too
        (threading, "RLock", RLock),
        (threading.Condition, "wait", wait_for_condition),
        (queue, "SimpleQueue", SimpleQueue),
        (threading.Thread, "start", _outside(threading.Thread.start)),
        (ThreadPoolExecutor, "submit", _outside(ThreadPoolExecutor.submit)),
    ]


def _sleep(original: Callable[[float], None]) -> Callable[[float], None]:
    @wraps(original)
    def sleep(seconds: float, /) -> None:
        if seconds >= 0 and can_await():
            await_(asyncio.sleep(seconds))
        else:
            original(seconds)

    return sleep


def _outside(original: Callable[..., Any]) -> Callable[..., Any]:
    """They wait for a new thread, for a moment, and hold locks of the interpreter meanwhile."""

    @wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        return outside(original, *args, **kwargs) if can_await() else original(*args, **kwargs)

    return function
