"""Symmetric coroutines: functions that hand control to each other, none of them subordinate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackful import _core
from stackful.fibers import Fiber, current
from stackful.fibers.stubs import stub

__all__ = ["Coroutine", "running", "transfer", "wrap"]


class Coroutine(Fiber):
    """A function that others transfer to, and that transfers to others; nothing runs before the first time.

    When the function returns, its result goes to its `successor`, as if by a transfer: what waits there gets it. Without one it goes to
    whoever began the exchange from outside. An exception takes the same way. Everything that a fiber can do, a coroutine can:
    `status`, `close`, `resume`, copies, pickles. (Simula's and Modula-2's coroutines; statuses after Lua.)

    >>> from stackful import Coroutine, transfer
    >>> def ping():
    ...     print(transfer(b))
    ...     print(transfer(b, "ping"))
    ...     return "over"
    >>> def pong():
    ...     got = transfer(a, "pong")
    ...     transfer(a, f"pong has got {got}")
    >>> a, b = Coroutine(ping), Coroutine(pong)
    >>> transfer(a)
    pong
    pong has got ping
    'over'
    """

    __slots__ = ()

    @property
    def successor(self) -> Fiber | None:
        """Who goes on when this coroutine has ended, with its result or exception; None: whoever is outside."""
        return _core.successor(self)

    @successor.setter
    def successor(self, successor: Fiber | None) -> None:
        _core.set_successor(self, successor)


# The core reads the operands from its locals (csrc/control.c, gate_transfer).
@stub
def transfer(other: Fiber, value: object = None, error: BaseException | type[BaseException] | None = None) -> Any:
    """Suspend the running coroutine and go on with `other`, whose own waiting `transfer` (or `suspend`) returns `value`.

    Returns what is transferred back here, by whomever. With an `error`, that is raised there instead. To the running coroutine itself:
    returns `value`. From outside of any coroutine: returns when one of them suspends, or ends without a successor. The C stack does not
    grow, however many transfers there are.

    `FiberError` when `other` is dead, or waits for a fiber that it has resumed, or when a first transfer has a value, which nothing waits
    for; `BarrierError` when C code stands between here and the coroutine's beginning. (Modula-2's ``TRANSFER``; Moura and Ierusalimschy.)

    >>> from stackful import Coroutine, suspend, transfer
    >>> echo = Coroutine(lambda: suspend("ready") * 2)
    >>> transfer(echo), transfer(echo, 21)
    ('ready', 42)
    """
    return ~"gate"  # type: ignore[operator]


def running() -> Coroutine | None:
    """The coroutine that runs this code, or None (Lua's coroutine.running).

    >>> running() is None
    True
    """
    fiber = current()
    return fiber if isinstance(fiber, Coroutine) else None


def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that goes on with `function` at each call, from one `suspend` to the next (Lua's coroutine.wrap).

    The first call's arguments are the function's. An error is raised in the call; when the function has returned, calls raise `FiberError`.

    >>> from stackful import suspend
    >>> def count(n):
    ...     while True:
    ...         n += suspend(n)
    >>> step = wrap(count)
    >>> step(10), step(1), step(5)
    (10, 11, 16)
    """
    coroutine: Coroutine | None = None

    def step(*arguments: Any) -> Any:
        nonlocal coroutine
        if coroutine is None:
            coroutine = Coroutine(function, *arguments)
            return coroutine.resume()
        return coroutine.resume(*arguments)

    return step
