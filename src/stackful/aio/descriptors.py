"""Waiting for file descriptors.

Each loop has one reader more: an epoll. In it a descriptor is armed for one event whenever a task waits for it, so a wait costs one call of the
kernel, where ``loop.add_reader`` and ``remove_reader`` cost two and their own work (EPOLLONESHOT: epoll_ctl(2)). A socket that is read again and again
stays in it: a `Watch` knows whether there can be something to read, so that nothing is asked of the kernel but for the data (EPOLLET: epoll(7)).
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import Context
from functools import partial
from weakref import WeakKeyDictionary, ref

from stackful.aio.portals import exit_here, way_out
from stackful.aio.waiting import tell
from stackful.aio.wakeups import Wakeup
from stackful.errors import BarrierError

__all__ = ["Watch", "forget_descriptor", "wait_for_data", "wait_for_descriptor", "watches"]

_Loop = asyncio.AbstractEventLoop
_READS, _WRITES = select.EPOLLIN, select.EPOLLOUT
_get_running_loop = asyncio.get_running_loop
_ENDED = select.EPOLLHUP | select.EPOLLERR
_WATCHED = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLPRI | select.EPOLLET
_MORE_THAN_DATA = select.EPOLLRDHUP | select.EPOLLPRI | _ENDED
_MOST = 256  # events at a time


class Watch(Wakeup):
    """Of a socket that stays in the loop's epoll, which tells of each change.

    `is_drained`: there is nothing more to read, and nothing has come since, as far as the loop knows. Set before each read, and taken back after one
    that does not show it: so what comes meanwhile, or what another thread reads, does no harm. A read shows it that finds nothing; where `ends_short`,
    also one that is given less than it asked for: a stream of TCP has no more then, and if its end or urgent data were there too, that has been
    told. (As nginx, src/os/unix/ngx_recv.c.)
    """

    __slots__ = ("_owner", "ends_short", "fd", "is_drained", "number")

    def __init__(self, loop: _Loop, sock: socket.socket) -> None:
        super().__init__(loop)
        self.fd = sock.fileno()
        self.number = id(sock)
        self.is_drained = True
        self.ends_short = (
            sock.family in {socket.AF_INET, socket.AF_INET6}
            and sock.type == socket.SOCK_STREAM
            and sock.proto in {0, socket.IPPROTO_TCP}
        )
        self._owner = ref(sock, partial(_drop, self.get_loop, self.fd, self.number))

    def begin(self, fd: int) -> bool:
        """It can be given to the task that runs here: for a socket of that number, in this loop, by this task alone."""
        if not self.is_over or self.fd != fd or self.get_loop() is not _get_running_loop():
            return False
        self.is_over = False
        self._asyncio_future_blocking = True
        return True

    def __repr__(self) -> str:
        return f"<{'watch of' if self.is_over else 'waiting for'} descriptor {self.fd}>"


class _Arming(Wakeup):
    """A descriptor is armed for one event."""

    __slots__ = ("_descriptors", "_fd", "mask")

    def __init__(self, loop: _Loop, fd: int, mask: int) -> None:
        super().__init__(loop)
        self.mask = mask
        self._fd = fd
        self._descriptors = _descriptors_of(loop)
        self._descriptors.add(fd, self)

    def give_up(self) -> None:
        super().give_up()
        self._descriptors.remove(self._fd, self)

    def __repr__(self) -> str:
        return f"<waiting for descriptor {self._fd}>"


# Of each socket that is watched, by its id: the latest one.
watches: dict[int, Watch] = {}


def _drop(get_loop: Callable[[], _Loop | None], fd: int, number: int, _: object) -> None:
    """The socket is gone; the kernel has forgotten it already."""
    watches.pop(number, None)
    loop = get_loop()
    descriptors = None if loop is None else _descriptors.get(loop)
    if descriptors is not None:
        descriptors.drop(fd, number)


class _Descriptors:
    """Who waits for which descriptor, in one loop."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = ref(loop)
        self._epoll = select.epoll()
        self._waiting: dict[int, list[_Arming]] = {}
        self._watches: dict[int, Watch] = {}
        Context().run(loop.add_reader, self._epoll.fileno(), self._ready)

    def add(self, fd: int, wakeup: _Arming) -> None:
        self._waiting.setdefault(fd, []).append(wakeup)
        try:
            self._arm(fd)
        except BaseException:
            self.remove(fd, wakeup)
            raise

    def watch(self, watch: Watch) -> None:
        """From now on, and what is there already."""
        self._watches[watch.fd] = watch
        try:
            self._epoll.register(watch.fd, _WATCHED)
        except FileExistsError:  # something is waited for
            self._arm(watch.fd)
        except BaseException:
            del self._watches[watch.fd]
            raise
        watches[watch.number] = watch

    def _arm(self, fd: int) -> None:
        """Tell of what is waited for, at once where it is there already."""
        mask = _WATCHED if fd in self._watches else select.EPOLLONESHOT
        for wakeup in self._waiting.get(fd, ()):
            mask |= wakeup.mask
        try:
            self._epoll.modify(fd, mask)
        except FileNotFoundError:  # it is new, or another file of that number
            self._epoll.register(fd, mask)

    def remove(self, fd: int, wakeup: _Arming) -> None:
        """It waits no longer; as a rule it has been taken already. That the kernel may still tell once does no harm."""
        waiting = self._waiting.get(fd)
        if waiting is not None and wakeup in waiting:
            waiting.remove(wakeup)
            if not waiting:
                del self._waiting[fd]

    def drop(self, fd: int, number: int) -> None:
        watch = self._watches.get(fd)
        if watch is not None and watch.number == number:
            del self._watches[fd]

    def _ready(self) -> None:
        events = iter(self._epoll.poll(0, _MOST))
        loop = self._loop()
        try:
            if loop is not None and not loop.get_debug():
                self._go_on(events)
        finally:  # an interrupt in one task does not keep the others from their events, which nobody will tell of again
            for fd, happened in events:
                for wakeup in self._take(fd, happened):
                    wakeup.tell_soon()

    def _go_on(self, events: Iterator[tuple[int, int]]) -> None:
        watches, waiting = self._watches, self._waiting
        for fd, happened in events:
            watch = watches.get(fd)
            if watch is None or happened != _READS or fd in waiting:
                told = self._take(fd, happened)
                for wakeup in told:
                    (wakeup.tell if len(told) == 1 else wakeup.tell_soon)()
            else:  # as most are; this is `tell`
                watch.is_drained = False
                callback = watch.callback
                if callback is not None:
                    watch.is_over, watch.callback = True, None
                    watch.context.run(callback, watch)  # type: ignore[union-attr]

    def _take(self, fd: int, happened: int) -> list[Wakeup]:
        """Those to be told."""
        left: list[_Arming] = []
        told: list[Wakeup] = []
        for wakeup in self._waiting.pop(fd, ()):
            (told if happened & (wakeup.mask | _ENDED) else left).append(wakeup)
        if left:  # one kind of wait only
            self._waiting[fd] = left
            self._arm(fd)
        watch = self._watches.get(fd)
        if watch is not None and happened != _WRITES:
            watch.is_drained = False
            if happened & _MORE_THAN_DATA:
                watch.ends_short = False
            told.append(watch)
        return told

    def forget(self, fd: int) -> list[Wakeup]:
        """Those that wait for it. In any thread."""
        wakeups: list[Wakeup] = [*self._waiting.pop(fd, ())]
        watch = self._watches.pop(fd, None)
        if watch is not None:
            watches.pop(watch.number, None)
            wakeups.append(watch)
            with suppress(OSError):  # while another process has it too, the kernel would go on telling
                self._epoll.unregister(fd)
        return wakeups


_descriptors: WeakKeyDictionary[_Loop, _Descriptors] = WeakKeyDictionary()


def _descriptors_of(loop: _Loop) -> _Descriptors:
    descriptors = _descriptors.get(loop)
    if descriptors is None:
        descriptors = _descriptors[loop] = _Descriptors(loop)
    return descriptors


def wait_for_descriptor(fd: int, to_write: bool, seconds: float | None) -> bool:
    """Until it can be read or written, or perhaps can; False when the time is over. OSError where it is closed meanwhile."""
    pause = way_out(None)
    return _Arming(asyncio.get_running_loop(), fd, _WRITES if to_write else _READS).wait(pause, seconds)


def wait_for_data(sock: socket.socket) -> bool:
    """Until there can be something to read that was not there before, told by a `Watch`; False where no task can wait."""
    pause, fd = exit_here(), sock.fileno()
    if pause is None or fd < 0:
        return False
    loop = asyncio.get_running_loop()
    watch = watches.get(id(sock))
    if watch is None or watch.get_loop() is not loop or watch.fd != fd:
        watch = Watch(loop, sock)
        _descriptors_of(loop).watch(watch)
    wakeup = watch if watch.is_over else _Arming(loop, fd, _READS)  # another task waits
    try:
        wakeup.wait(pause)
    except BarrierError:
        return False
    return True


def forget_descriptor(fd: int) -> None:
    """It is about to be closed: who waits for it gets an error."""
    for loop, descriptors in list(_descriptors.items()):
        wakeups = descriptors.forget(fd)
        if wakeups:
            tell(loop, _fail, wakeups)


def _fail(wakeups: list[Wakeup]) -> None:
    for wakeup in wakeups:
        wakeup.fail(OSError(errno.EBADF, os.strerror(errno.EBADF)))
