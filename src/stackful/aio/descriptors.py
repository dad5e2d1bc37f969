"""Waiting for file descriptors.

Each loop has one reader more: an epoll, in which a descriptor is armed for one event whenever a task waits for it. So a wait costs one call of
the kernel, where ``loop.add_reader`` and ``remove_reader`` cost two and their own work. (EPOLLONESHOT: epoll_ctl(2).)
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
from weakref import WeakKeyDictionary

from stackful.aio.waiting import await_flag, set_flag, tell

__all__ = ["forget_descriptor", "wait_for_descriptor"]

_Loop = asyncio.AbstractEventLoop
_Future = asyncio.Future[bool]
_ENDED = select.EPOLLHUP | select.EPOLLERR
_READS, _WRITES = select.EPOLLIN, select.EPOLLOUT
_MOST = 256  # events at a time


class _Descriptors:
    """Who waits for which descriptor, in one loop."""

    def __init__(self, loop: _Loop) -> None:
        self._epoll = select.epoll()
        self._waiting: dict[int, list[tuple[int, _Future]]] = {}
        loop.add_reader(self._epoll.fileno(), self._ready)

    def __contains__(self, fd: int) -> bool:
        return fd in self._waiting

    def add(self, fd: int, mask: int, future: _Future) -> None:
        waiting = self._waiting.get(fd)
        if waiting is None:
            self._arm(fd, mask)
            self._waiting[fd] = [(mask, future)]
        else:
            self._arm(fd, mask | _READS if any(other & _READS for other, _ in waiting) else mask | _WRITES)
            waiting.append((mask, future))

    def _arm(self, fd: int, mask: int) -> None:
        try:
            self._epoll.modify(fd, mask | select.EPOLLONESHOT)
        except FileNotFoundError:  # it is new, or another file of that number
            self._epoll.register(fd, mask | select.EPOLLONESHOT)

    def remove(self, fd: int, mask: int, future: _Future) -> None:
        """It waits no longer; as a rule it has been taken already. That the kernel may still tell once does no harm."""
        waiting = self._waiting.get(fd)
        if waiting is not None and (mask, future) in waiting:
            waiting.remove((mask, future))
            if not waiting:
                del self._waiting[fd]

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0, _MOST):
            waiting = self._waiting.pop(fd, ())
            left = []
            for mask, future in waiting:
                if events & (mask | _ENDED):
                    set_flag(future, True)
                else:
                    left.append((mask, future))
            if left:  # one kind of wait only
                self._waiting[fd] = left
                self._arm(fd, left[0][0])

    def close(self, fd: int) -> None:
        for _, future in self._waiting.pop(fd, ()):
            if not future.done():
                future.set_exception(OSError(errno.EBADF, os.strerror(errno.EBADF)))


_descriptors: WeakKeyDictionary[_Loop, _Descriptors] = WeakKeyDictionary()


def wait_for_descriptor(fd: int, to_write: bool, seconds: float | None) -> bool:
    """Until it can be read or written, or perhaps can; False when the time is over. OSError where it is closed meanwhile."""
    loop = asyncio.get_running_loop()
    descriptors = _descriptors.get(loop)
    if descriptors is None:
        descriptors = _descriptors[loop] = _Descriptors(loop)
    mask = _WRITES if to_write else _READS
    future: _Future = loop.create_future()
    descriptors.add(fd, mask, future)
    try:
        return await_flag(loop, future, seconds)
    except BaseException:
        descriptors.remove(fd, mask, future)
        raise


def forget_descriptor(fd: int) -> None:
    """It is about to be closed: who waits for it gets an error."""
    for loop, descriptors in list(_descriptors.items()):
        if fd in descriptors:
            tell(loop, descriptors.close, fd)
