"""How the functions that `patched` puts in place wait: for file descriptors, for each other, for threads."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from stackful.aio.portals import await_
from stackful.fibers import Fiber

__all__ = ["Deadline", "Waiters", "forget_descriptor", "in_thread", "outside", "wait_for_descriptor"]

_T = TypeVar("_T")
_Loop = asyncio.AbstractEventLoop
_Future = asyncio.Future[bool]


class Deadline:
    """When a wait that may last so many seconds is over; None: never."""

    __slots__ = ("_end",)

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else monotonic() + seconds

    def left(self) -> float | None:
        """Seconds until then."""
        return None if self._end is None else max(0.0, self._end - monotonic())

    def is_over(self) -> bool:
        """Has it come?"""
        return self._end is not None and monotonic() >= self._end


def _await_flag(loop: _Loop, future: _Future, seconds: float | None) -> bool:
    """What the future is set to; False when the time is over."""
    if seconds is None:
        return await_(future)
    timer = loop.call_later(seconds, _set, future, False)
    try:
        return await_(future)
    finally:
        timer.cancel()


def _set(future: _Future, value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _tell(loop: _Loop, function: Callable[..., object], *args: Any) -> bool:
    """Call the function in the loop, which may be another thread's. False: the loop has ended."""
    if asyncio._get_running_loop() is loop:
        function(*args)
        return True
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return False
    return True


# ---- descriptors -----------------------------------------------------------------------------------


class _Descriptors:
    """Who waits for which descriptor, in one loop: that keeps one reader and one writer of each."""

    def __init__(self) -> None:
        self.waiting: dict[tuple[int, bool], list[_Future]] = {}

    def add(self, loop: _Loop, fd: int, to_write: bool, future: _Future) -> None:
        futures = self.waiting.get((fd, to_write))
        if futures is None:
            (loop.add_writer if to_write else loop.add_reader)(fd, self._ready, loop, fd, to_write)
            self.waiting[fd, to_write] = [future]
        else:
            futures.append(future)

    def _ready(self, loop: _Loop, fd: int, to_write: bool) -> None:
        for future in self.take(loop, fd, to_write):
            _set(future, True)

    def take(self, loop: _Loop, fd: int, to_write: bool) -> list[_Future]:
        futures = self.waiting.pop((fd, to_write), None)
        if futures is None:
            return []
        (loop.remove_writer if to_write else loop.remove_reader)(fd)
        return futures

    def remove(self, loop: _Loop, fd: int, to_write: bool, future: _Future) -> None:
        """It waits no longer; as a rule it has been taken already."""
        futures = self.waiting.get((fd, to_write))
        if futures is not None and future in futures:
            futures.remove(future)
            if not futures:
                self.take(loop, fd, to_write)

    def close(self, loop: _Loop, fd: int) -> None:
        for to_write in (False, True):
            for future in self.take(loop, fd, to_write):
                if not future.done():
                    future.set_exception(OSError(errno.EBADF, os.strerror(errno.EBADF)))


_descriptors: WeakKeyDictionary[_Loop, _Descriptors] = WeakKeyDictionary()


def wait_for_descriptor(fd: int, to_write: bool, seconds: float | None) -> bool:
    """Until it can be read or written, or perhaps can; False when the time is over. OSError where it is closed meanwhile."""
    loop = asyncio.get_running_loop()
    descriptors = _descriptors.get(loop)
    if descriptors is None:
        descriptors = _descriptors[loop] = _Descriptors()
    future: _Future = loop.create_future()
    descriptors.add(loop, fd, to_write, future)
    try:
        return _await_flag(loop, future, seconds)
    finally:
        descriptors.remove(loop, fd, to_write, future)


def forget_descriptor(fd: int) -> None:
    """It is about to be closed: who waits for it gets an error, and the loop does not take the next file with that number for it."""
    for loop, descriptors in list(_descriptors.items()):
        if (fd, False) in descriptors.waiting or (fd, True) in descriptors.waiting:
            _tell(loop, descriptors.close, loop, fd)


# ---- others, in this thread or in another --------------------------------------------------------------


class Waiters:
    """Tasks that wait until something can be had. Threads that wait for the same do so elsewhere."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: deque[tuple[_Loop, _Future]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def wait(self, attempt: Callable[[], bool], seconds: float | None) -> bool:
        """Until an attempt succeeds; False when the time is over. Who makes one possible calls `wake` afterwards."""
        loop, deadline = asyncio.get_running_loop(), Deadline(seconds)
        add = self._entries.append
        while True:
            entry = loop, loop.create_future()
            add(entry)
            has = False
            try:
                has = attempt() or (_await_flag(loop, entry[1], deadline.left()) and attempt())
            finally:
                self._leave(entry, has)
            if has or deadline.is_over():
                return has or attempt()
            add = self._entries.appendleft  # somebody else was faster: it keeps its place

    def _leave(self, entry: tuple[_Loop, _Future], has: bool) -> None:
        try:
            self._entries.remove(entry)
        except ValueError:
            if not has:
                self.wake()  # it was woken, and makes no use of that

    def wake(self) -> None:
        """Let one of them attempt again."""
        while self._entries:
            try:
                loop, future = self._entries.popleft()
            except IndexError:
                return  # another thread was faster
            if not future.done() and _tell(loop, _set, future, True):
                return


def in_thread(function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    """What the function returns, called in a thread of the loop's."""
    return await_(asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs)))


def outside(function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
    """Call the function where there is no portal: what waits in it blocks the thread.

    For what holds the interpreter's own locks meanwhile: another task that wants these would block the thread for ever.
    """
    result: _T = Fiber(function, *args, **kwargs).resume()
    return result
