"""Locks and queues for tasks and threads alike: a task of aio waits so that other tasks go on; other code blocks its thread, as ever.

Behind a `barrier`, a task that would have to wait gets `BarrierError`: to block the thread would be for ever, where another of its tasks has
what is waited for.
"""

from __future__ import annotations

import asyncio
import math
import queue
import threading
from types import TracebackType
from typing import Any

from stackful.aio.portals import in_portal
from stackful.aio.waiting import Waiters

__all__ = ["Lock", "RLock", "SimpleQueue", "wait_for_condition"]

_allocate_lock = threading.Lock
_get_ident = threading.get_ident
_SimpleQueue: type[queue.SimpleQueue[Any]] = queue.SimpleQueue


def _seconds(blocking: bool, timeout: float) -> float | None:
    """How long to wait, of the arguments that ``acquire`` is given."""
    if not blocking and timeout != -1:
        raise ValueError("can't specify a timeout for a non-blocking call")
    if math.isnan(timeout):
        raise ValueError("Invalid value NaN (not a number)")
    if timeout < 0 and timeout != -1:
        raise ValueError("timeout value must be a non-negative number")
    if timeout > threading.TIMEOUT_MAX:
        raise OverflowError("timestamp too large to convert to C PyTime_t")
    return 0.0 if not blocking else None if timeout == -1 else timeout


class Lock:
    """As threading.Lock."""

    __slots__ = ("__weakref__", "_lock", "_waiters")

    def __init__(self) -> None:
        self._lock = _allocate_lock()
        self._waiters = Waiters()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for it, for so many seconds at most; whether it is held now."""
        seconds = None if blocking and timeout == -1 else _seconds(blocking, timeout)
        if self._lock.acquire(False):
            return True
        if seconds == 0.0:
            return False
        if in_portal():
            return self._waiters.wait(lambda: self._lock.acquire(False), seconds)
        return self._lock.acquire(True, -1 if seconds is None else seconds)

    def release(self) -> None:
        """Let the next one have it."""
        self._lock.release()
        if self._waiters:
            self._waiters.wake()

    def locked(self) -> bool:
        """Does anybody hold it?"""
        return self._lock.locked()

    acquire_lock, release_lock, locked_lock = acquire, release, locked
    __enter__ = acquire

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        return f"<{'locked' if self.locked() else 'unlocked'} {type(self).__module__}.Lock object at {id(self):#x}>"


def _me() -> object:
    """Who holds a lock: the task, in a portal; else the thread."""
    return asyncio.current_task() if in_portal() else _get_ident()


class RLock:
    """As threading.RLock; the tasks of a thread are not one another."""

    __slots__ = ("__weakref__", "_count", "_lock", "_owner")

    def __init__(self) -> None:
        self._lock = Lock()
        self._owner: object = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for it, for so many seconds at most; whether it is held now, perhaps once more."""
        me = _me()
        if self._owner == me:
            self._count += 1
            return True
        if not self._lock.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count = 1
        return True

    __enter__ = acquire

    def release(self) -> None:
        """As often as it was acquired."""
        if self._owner != _me():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if self._count == 0:
            self._owner = None
            self._lock.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def locked(self) -> bool:
        """Does anybody hold it?"""
        return self._lock.locked()

    # What threading.Condition asks of its lock.

    def _is_owned(self) -> bool:
        return self._owner == _me()

    def _release_save(self) -> tuple[int, object]:
        if self._count == 0:
            raise RuntimeError("cannot release un-acquired lock")
        state = self._count, self._owner
        self._count, self._owner = 0, None
        self._lock.release()
        return state

    def _acquire_restore(self, state: tuple[int, object]) -> None:
        self._lock.acquire()
        self._count, self._owner = state

    def _recursion_count(self) -> int:
        return self._count if self._is_owned() else 0

    def _at_fork_reinit(self) -> None:
        self.__init__()  # type: ignore[misc]

    def __repr__(self) -> str:
        state = "locked" if self.locked() else "unlocked"
        return (
            f"<{state} {type(self).__module__}.RLock object owner={self._owner!r} count={self._count} at {id(self):#x}>"
        )


def wait_for_condition(self: threading.Condition, timeout: float | None = None) -> bool:
    """As threading.Condition.wait; but a task that waits can be cancelled, at any moment, where a thread cannot.

    Then it holds the lock again, as who leaves its ``with`` block must, and a notification that it has got goes to another one, which would
    wait for ever else. (asyncio.Condition.wait does so.)
    """
    condition: Any = self
    if not condition._is_owned():
        raise RuntimeError("cannot wait on un-acquired lock")
    waiter = Lock()
    waiter.acquire()
    condition._waiters.append(waiter)
    saved = condition._release_save()
    is_notified, cancelled = False, None
    try:
        is_notified = waiter.acquire(timeout is None or timeout > 0, -1 if timeout is None or timeout <= 0 else timeout)
    finally:
        cancelled = _take_back(condition, saved)
        if waiter in condition._waiters:
            condition._waiters.remove(waiter)
        elif not is_notified or cancelled is not None:
            self.notify()
    if cancelled is not None:
        raise cancelled
    return is_notified


def _take_back(condition: Any, saved: object) -> asyncio.CancelledError | None:
    """Hold the condition's lock again, come what may: the last cancellation."""
    cancelled = None
    while True:
        try:
            condition._acquire_restore(saved)
        except asyncio.CancelledError as error:
            cancelled = error
        else:
            return cancelled


class SimpleQueue:
    """As queue.SimpleQueue."""

    __slots__ = ("__weakref__", "_items", "_waiters")

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[Any] = _SimpleQueue()
        self._waiters = Waiters()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:  # noqa: ARG002 - as there
        """Never waits."""
        self._items.put(item)
        if self._waiters:
            self._waiters.wake()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item; `queue.Empty` when there is none in time."""
        if not block or (timeout is not None and timeout < 0) or not in_portal():
            return self._items.get(block, timeout)
        got: list[Any] = []

        def attempt() -> bool:
            try:
                got.append(self._items.get(False))
            except queue.Empty:
                return False
            return True

        if attempt() or self._waiters.wait(attempt, timeout):
            return got[0]
        raise queue.Empty

    def put_nowait(self, item: Any) -> None:
        """As `put`."""
        self.put(item)

    def get_nowait(self) -> Any:
        """The next item; `queue.Empty` when there is none."""
        return self._items.get(False)

    def empty(self) -> bool:
        """Is there none, at the moment?"""
        return self._items.empty()

    def qsize(self) -> int:
        """How many items there are, at the moment."""
        return self._items.qsize()
