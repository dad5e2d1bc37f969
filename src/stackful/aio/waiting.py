"""How the functions that `patched` puts in place wait: for so long, for each other, for threads; for descriptors: descriptors.py."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any, TypeVar

from stackful.aio.portals import await_
from stackful.fibers import Fiber

__all__ = ["FOREVER", "Deadline", "Waiters", "await_flag", "in_thread", "outside", "set_flag", "tell"]

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


FOREVER = Deadline(None)


def await_flag(loop: _Loop, future: _Future, seconds: float | None) -> bool:
    """What the future is set to; False when the time is over."""
    if seconds is None:
        return await_(future)
    timer = loop.call_later(seconds, set_flag, future, False)
    try:
        return await_(future)
    finally:
        timer.cancel()


def set_flag(future: _Future, value: bool) -> None:
    """Wake who waits, unless something else has."""
    if not future.done():
        future.set_result(value)


def tell(loop: _Loop, function: Callable[..., object], *args: Any) -> bool:
    """Call the function in the loop, which may be another thread's. False: the loop has ended."""
    if asyncio._get_running_loop() is loop:
        function(*args)
        return True
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        return False
    return True


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
                has = attempt() or (await_flag(loop, entry[1], deadline.left()) and attempt())
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
            if not future.done() and tell(loop, set_flag, future, True):
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
