"""Channels: values go from one task to another, and both know it."""

from __future__ import annotations

from collections import deque

from stackful import _core
from stackful.errors import ChannelClosedError
from stackful.fibers import suspend
from stackful.fibers.portable import Portable
from stackful.tasks.scheduling import STAYS, Task, current, find_task, leave_turn, must_not_wait, take_back

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Self

__all__ = ["Channel"]

_current = _core.current


class _Bomb:
    """What a task sends that is to be raised (Stackless's word)."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Channel(Portable):
    """Hands values from tasks that send to tasks that receive; nothing is kept in between.

    Who comes first waits for the other. Then one of the two goes on at once, and the other one stands at the end of those that are ready:
    `preference` says which, -1 the receiver, 1 the sender, 0 the one that came second. Outside of tasks both may be called while
    somebody waits on the other side. (Stackless Python's channel, and its table of preferences; Hoare, "Communicating Sequential
    Processes", 1978.)

    >>> from stackful.tasks import run, spawn
    >>> def main():
    ...     channel = Channel()
    ...     spawn(channel.send, 7)
    ...     return channel.receive()
    >>> run(main)
    7
    """

    __slots__ = ("__weakref__", "_is_closed", "_receivers", "_senders", "name", "preference")

    def __init__(self, name: str = "", *, preference: int = -1) -> None:
        if preference not in (-1, 0, 1):
            raise ValueError(f"a channel prefers -1 (the receiver), 0 or 1 (the sender), not {preference!r}")
        self.name = name
        """For messages."""
        self.preference = preference
        """Who goes on at once: -1 the receiver, 1 the sender, 0 whoever came second."""
        self._senders: deque[Task] = deque()
        self._receivers: deque[Task] = deque()
        self._is_closed = False

    def send(self, value: Any) -> None:
        """Hand `value` to the task that has waited longest to receive; wait for one where there is none.

        `ChannelClosedError` when the channel is closed.

        >>> from stackful.tasks import run, spawn
        >>> def main():
        ...     channel = Channel()
        ...     spawn(lambda: print(channel.receive()))
        ...     channel.send("over")
        >>> run(main)
        over
        """
        task = _current()
        if type(task) is not Task or task._is_atomic or self._is_closed:
            return self._send_slowly(value)
        if self._receivers:
            receiver = self._receivers.popleft()
            receiver._value = value
            receiver._waits = None
            if self.preference != -1:
                receiver._ready.append(receiver)
                return None
            receiver._ready.appendleft(receiver)
            task._ready.append(task)
        else:
            task._value = value
            task._waits = self
            self._senders.append(task)
        try:
            suspend(STAYS)
        except BaseException:
            take_back(task)
            raise

    def receive(self) -> Any:
        """The value of the task that has waited longest to send; wait for one where there is none.

        `ChannelClosedError` when the channel is closed and nobody waits to send.
        """
        if self._senders:
            sender = self._senders.popleft()
            value = sender._value
            sender._value = sender._waits = None
            if self.preference == 1 or type(value) is _Bomb:
                return self._receive_slowly_from(sender, value)
            sender._ready.append(sender)
            return value
        task = _current()
        if type(task) is not Task or task._is_atomic or self._is_closed:
            return self._receive_slowly()
        task._waits = self
        self._receivers.append(task)
        try:
            return suspend(STAYS)
        except BaseException:
            take_back(task)
            raise

    def send_exception(self, error: BaseException | type[BaseException], /, *args: object) -> None:
        """As `send`, but in the task that receives, `error` is raised; a class is called with the arguments (Stackless).

        >>> from stackful.tasks import run, spawn
        >>> def main():
        ...     channel = Channel()
        ...     spawn(channel.send_exception, KeyError, "no such thing")
        ...     try:
        ...         channel.receive()
        ...     except KeyError as error:
        ...         print(error)
        >>> run(main)
        'no such thing'
        """
        if isinstance(error, type):
            error = error(*args)
        if not isinstance(error, BaseException):
            raise TypeError(f"send_exception() takes an exception (an instance or a class), not {error!r}")
        self._send_slowly(_Bomb(error))

    def receive_or(self, default: Any) -> Any:
        """As `receive`; `default` when the channel is closed and nobody waits to send.

        ``while (item := channel.receive_or(None)) is not None`` is the loop ``for item in channel`` without C code in between, so that
        a task that waits in it can be saved.
        """
        try:
            return self.receive()
        except ChannelClosedError:
            if self.is_closed:
                return default
            raise

    def send_sequence(self, values: Iterable[Any]) -> int:
        """Send one value after the other; how many (Stackless)."""
        count = 0
        for value in values:
            self.send(value)
            count += 1
        return count

    def close(self) -> None:
        """Nothing can be sent any more. Tasks that wait to send can still be received from; those that wait to receive get the error.

        >>> from stackful.tasks import run, spawn
        >>> def count(channel):
        ...     channel.send_sequence(range(3))
        ...     channel.close()
        >>> def main():
        ...     channel = Channel()
        ...     spawn(count, channel)
        ...     return list(channel)
        >>> run(main)
        [0, 1, 2]
        """
        self._is_closed = True
        for receiver in tuple(self._receivers):
            receiver.raise_later(self._closed("receive"))

    @property
    def is_closed(self) -> bool:
        """Whether `close` has been called and nobody waits to send any more (Stackless's ``closed``)."""
        return self._is_closed and not self._senders

    @property
    def balance(self) -> int:
        """How many tasks wait to send; below 0, how many wait to receive (Stackless)."""
        return len(self._senders) - len(self._receivers)

    @property
    def queue(self) -> tuple[Task, ...]:
        """The tasks that wait here, those first that have waited longest."""
        return (*self._senders, *self._receivers)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        try:
            return self.receive()
        except ChannelClosedError:
            if self.is_closed:
                raise StopIteration from None
            raise

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        waiting = f"{len(self._senders)} senders" if self._senders else f"{len(self._receivers)} receivers"
        return f"<Channel{name}{' closed' if self._is_closed else ''}, {waiting} waiting>"

    # For tasks

    def forget(self, task: Task) -> None:
        """`task` no longer waits here."""
        if task in self._senders:
            self._senders.remove(task)
            task._value = None
        elif task in self._receivers:
            self._receivers.remove(task)

    def describe_wait(self, task: Task) -> str:
        """What `task` does here."""
        name = repr(self.name) if self.name else f"0x{id(self):x}"
        return f"to {'send on' if task in self._senders else 'receive from'} channel {name}"

    # What is rare: other tasks than the one that runs are not asked for their turn, C code or a fiber stands in between, and so on

    def _closed(self, verb: str) -> ChannelClosedError:
        return ChannelClosedError(f"cannot {verb}: {self!r}")

    def _send_slowly(self, value: Any) -> None:
        if self._is_closed:
            raise self._closed("send")
        task = current()
        if self._receivers:
            receiver = self._receivers.popleft()
            receiver._waits = None
            if type(value) is _Bomb:
                receiver._error = value.error
            else:
                receiver._value = value
            self._go_on(task, receiver, -1)
            return
        task = find_task("send()")
        must_not_wait(task, "send()")
        task._value = value
        task._waits = self
        self._senders.append(task)
        leave_turn(task)

    def _receive_slowly_from(self, sender: Task, value: Any) -> Any:
        self._go_on(current(), sender, 1)
        if type(value) is _Bomb:
            raise value.error
        return value

    def _go_on(self, task: Task | None, other: Task, preference: int) -> None:
        """The running task, if there is one, or the other one goes on, which has waited."""
        if self.preference != preference or task is None or task._is_atomic:
            other._ready.append(other)
            return
        other._ready.appendleft(other)
        task._ready.append(task)
        leave_turn(task)

    def _receive_slowly(self) -> Any:
        if self._is_closed:
            raise self._closed("receive")
        task = find_task("receive()")
        must_not_wait(task, "receive()")
        task._waits = self
        self._receivers.append(task)
        return leave_turn(task)
