"""What takes the place of select.select, select.poll and the selectors that are built on them.

The descriptors are given to an epoll of their own, which the loop then waits for as for any descriptor.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from stackful.aio.descriptors import wait_for_descriptor
from stackful.aio.portals import await_, can_await
from stackful.aio.waiting import Deadline

__all__ = ["replacements"]

_poll = select.poll
_select: Callable[..., Any] = select.select
_LONGEST = 2**31 - 1  # milliseconds: more is an error
_TICK = 0.001  # seconds: something happens that nobody has asked for


def _wait_for_any(masks: Iterable[tuple[Any, int]], attempt: Callable[[], Any], seconds: float | None) -> Any:
    """What an attempt comes to; something empty when the time is over."""
    deadline = Deadline(seconds)
    result = attempt()
    if _has(result) or deadline.is_over():
        return result
    with select.epoll() as epoll:
        for fd, mask in masks:
            try:
                epoll.register(fd, mask)
            except FileExistsError:
                epoll.modify(fd, mask)
        while True:
            is_ready = wait_for_descriptor(epoll.fileno(), False, deadline.left())
            result = attempt()
            if _has(result) or not is_ready or deadline.is_over():
                return result
            await_(asyncio.sleep(_TICK))


def _has(result: Any) -> bool:
    return any(result) if isinstance(result, tuple) else bool(result)


def _fd(file: Any) -> int:
    return file if isinstance(file, int) else file.fileno()


@wraps(_select)
def _cooperative_select(rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /) -> Any:
    if not can_await() or (timeout is not None and timeout <= 0):
        return _select(rlist, wlist, xlist, timeout)
    ready = _select(rlist, wlist, xlist, 0)
    if any(ready):
        return ready
    rlist, wlist, xlist = list(rlist), list(wlist), list(xlist)
    masks: dict[int, int] = {}
    for files, mask in ((rlist, select.EPOLLIN), (wlist, select.EPOLLOUT), (xlist, select.EPOLLPRI)):
        for file in files:
            masks[_fd(file)] = masks.get(_fd(file), 0) | mask
    return _wait_for_any(masks.items(), lambda: _select(rlist, wlist, xlist, 0), timeout)


class Poll:
    """As what select.poll() returns."""

    def __init__(self) -> None:
        self._poll = _poll()
        self._masks: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = select.POLLIN | select.POLLPRI | select.POLLOUT, /) -> None:
        """Look at this descriptor too."""
        self._poll.register(fd, eventmask)
        self._masks[_fd(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        """Look at it for something else."""
        self._poll.modify(fd, eventmask)
        self._masks[_fd(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        """Look at it no more."""
        self._poll.unregister(fd)
        del self._masks[_fd(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """(descriptor, events) of those that something has happened to, within so many milliseconds."""
        if not can_await() or timeout == 0 or (timeout is not None and timeout > _LONGEST):
            return self._poll.poll(timeout)
        seconds = None if timeout is None or timeout < 0 else timeout / 1000
        result: list[tuple[int, int]] = _wait_for_any(self._masks.items(), lambda: self._poll.poll(0), seconds)
        return result


def _epoll_selector(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def selector_select(self: selectors.EpollSelector, timeout: float | None = None) -> Any:
        if not can_await() or (timeout is not None and timeout <= 0):
            return original(self, timeout)
        ready = original(self, 0)
        if ready:
            return ready
        wait_for_descriptor(self.fileno(), False, timeout)
        return original(self, 0)

    return selector_select


def replacements() -> list[tuple[Any, str, Any]]:
    """(owner, name, what is to stand there)."""
    if not hasattr(select, "epoll"):
        return []
    return [
        (select, "select", _cooperative_select),
        (select, "poll", Poll),
        (selectors.PollSelector, "_selector_cls", Poll),
        (selectors.SelectSelector, "_select", staticmethod(_cooperative_select)),
        (selectors.EpollSelector, "select", _epoll_selector(selectors.EpollSelector.select)),
    ]
