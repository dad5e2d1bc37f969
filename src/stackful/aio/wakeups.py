"""What a task waits for where the system tells: a future whose task goes on at once, in the loop's callback, not in a turn of the loop of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any
from weakref import ref

__all__ = ["Wakeup"]

_Loop = asyncio.AbstractEventLoop
_Pause = Callable[[Any], Any]


class Wakeup:
    """As much of asyncio.Future as tasks make use of. May be waited for many times, by one task at a time.

    A future's callbacks are called in the next turn of the loop. The one callback that a task adds here is called where the event is told of: so the
    loop calls protocols, too. (v3.13.0 Modules/_asynciomodule.c, task_step_handle_result_impl, says what is asked of a future that is not asyncio's.)
    """

    __slots__ = ("_asyncio_future_blocking", "_error", "callback", "context", "get_loop", "is_over", "value")

    def __init__(self, loop: _Loop) -> None:
        self.get_loop = ref(loop)
        self.value = False
        self._asyncio_future_blocking = False
        self.callback: Callable[[Wakeup], object] | None = None
        self.context: Context | None = None
        self._error: BaseException | None = None
        self.is_over = True

    def give_up(self) -> None:
        """Nobody waits any more."""
        self.is_over, self.callback = True, None

    def wait(self, pause: _Pause, seconds: float | None = None) -> bool:
        """What it is told; False when the time is over."""
        loop = self.get_loop()
        timer = None
        if seconds is not None and loop is not None:
            timer = loop.call_later(seconds, self.tell_soon if loop.get_debug() else self.tell, False)
        self.is_over = False
        self._asyncio_future_blocking = True
        try:
            pause(self)
        except BaseException:
            self.give_up()
            raise
        finally:
            if timer is not None:
                timer.cancel()
        return self.value

    def tell(self, value: bool = True) -> None:
        """Let the task go on, here: in a callback of the loop, never in another task."""
        callback = self.callback
        if not self.is_over:
            self.is_over, self.value = True, value
        if callback is not None:
            self.callback = None
            self.context.run(callback, self)  # type: ignore[union-attr]

    def tell_soon(self, value: bool = True) -> None:
        """Let the task go on in a turn of its own: as it does in asyncio's debug mode, which blames the task if that takes long."""
        if not self.is_over:
            self.is_over, self.value = True, value
        self._call_soon()

    def fail(self, error: BaseException) -> bool:
        """Raise the error in the task, soon, if nothing has been told yet."""
        if self.is_over:
            return False
        self.is_over, self._error = True, error
        self._call_soon()
        return True

    def _call_soon(self) -> None:
        callback, self.callback = self.callback, None
        loop = self.get_loop()
        if callback is not None and loop is not None:
            loop.call_soon(callback, self, context=self.context)

    # ---- what else a task asks of a future

    def add_done_callback(self, callback: Callable[[Wakeup], object], *, context: Context) -> None:
        """The task is to be called."""
        self.callback = callback
        self.context = context
        if self.is_over:
            self._call_soon()

    def cancel(self, msg: object = None) -> bool:
        """Raise CancelledError in the task."""
        return self.fail(asyncio.CancelledError() if msg is None else asyncio.CancelledError(msg))

    def result(self) -> None:
        """Nothing, or the error."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def done(self) -> bool:
        """Does nobody wait for it?"""
        return self.is_over
