"""Locks that nobody holds, and what is made of them. A lock that is held is held by a thread, and threads are not saved."""

from __future__ import annotations

import _thread
import queue
import threading
from typing import Any

from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_LOCK = type(threading.Lock())
_RLOCK = type(threading.RLock())


def _held(kind: str) -> RefusedError:
    return RefusedError(
        f"a {kind} that is held belongs to a thread, and threads are not saved: release it before, or save outside of the `with`"
    )


def _reduce_lock(_: Any, lock: Any) -> Any:
    if lock.locked():
        raise _held("lock")
    return threading.Lock, ()


def _reduce_rlock(_: Any, lock: Any) -> Any:
    # Only from 3.14 on does it tell by a method; that it can be taken says nothing, for this thread may have it.
    if not repr(lock).startswith("<unlocked"):
        raise _held("lock")
    return threading.RLock, ()


def _reduce_local(_: Any, local: threading.local) -> Any:
    """What this thread has in it."""
    return threading.local, (), dict(vars(local))


def _reduce_simple_queue(_: Any, waiting: queue.SimpleQueue[Any]) -> Any:
    items = [waiting.get_nowait() for _ in range(waiting.qsize())]
    for item in items:
        waiting.put(item)
    return simple_queue, (), items, None, None, fill_simple_queue


def simple_queue() -> queue.SimpleQueue[Any]:
    """An empty one."""
    return queue.SimpleQueue()


def fill_simple_queue(waiting: queue.SimpleQueue[Any], items: list[Any]) -> None:
    """What waits in a queue."""
    for item in items:
        waiting.put(item)


def _reduce_main_thread(_: Any, thread: threading.Thread) -> Any:
    if thread is not threading.main_thread():
        return NotImplemented
    return threading.main_thread, ()


REDUCERS: dict[type, Any] = {
    _LOCK: _reduce_lock,
    _RLOCK: _reduce_rlock,
    _thread._local: _reduce_local,
    queue.SimpleQueue: _reduce_simple_queue,
    type(threading.main_thread()): _reduce_main_thread,
}
REBUILDERS = (simple_queue, fill_simple_queue)
