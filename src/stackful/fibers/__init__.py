"""Fibers: running functions as values.

`frames` is how suspended frames are looked at, `guard` what keeps restored frames from harming the interpreter. The rest is C (csrc/).
"""

from __future__ import annotations

import itertools
import warnings
from types import CodeType
from typing import Any

from stackful import _core, stackmap
from stackful._core import NULL, Fiber
from stackful._core import current as _current
from stackful._core import is_suspendable as _is_suspendable
from stackful._core import suspend as _suspend
from stackful.fibers.frames import Frame, frames_of, line_of
from stackful.fibers.guard import is_half_built, verify

__all__ = ["NULL", "Fiber", "Frame", "current", "is_suspendable", "suspend"]


# Deliberately a Python function: when it is called, every frame beneath it has called a Python function, and that is the one state in
# which CPython has written a frame's stack pointer and position to memory. The core parks those frames (csrc/suspend.c).
def suspend(value: object = None) -> Any:
    """Suspend the running fiber: its ``resume`` returns `value`; the next ``resume(v)`` makes this return `v`.

    May be called at any depth of plain Python calls. `BarrierError` when a C call stands in between, `FiberError` outside of a fiber.
    (Lua's coroutine.yield.)

    >>> def add(a, b):
    ...     return suspend(a + b)
    >>> fiber = Fiber(add, 1, 2)
    >>> fiber.resume(), fiber.resume("done")
    (3, 'done')
    """
    return _suspend(value)


def current() -> Fiber | None:
    """The fiber that runs this code, or None (Lua's coroutine.running).

    >>> current() is None
    True
    >>> fiber = Fiber(lambda: current())
    >>> fiber.resume() is fiber
    True
    """
    return _current()


def is_suspendable() -> bool:
    """Whether `suspend` would succeed here (Lua's coroutine.isyieldable).

    >>> is_suspendable(), Fiber(lambda: is_suspendable()).resume()
    (False, True)
    >>> Fiber(sorted, [1], key=lambda _: print(is_suspendable()) or 0).resume()
    False
    [1]
    """
    return _is_suspendable()


def _describe_barrier(code: CodeType | None, offset: int, function: object) -> str:
    """The text of a BarrierError: which C operation stands in the way, and which Python frame began it."""
    way_out = "suspend outside of it, or replace it by plain Python"
    if code is None:
        name = getattr(function, "__qualname__", None) or repr(function)
        return (
            f"cannot suspend across a C call: the fiber's own function {name} is not a plain Python function; {way_out}"
        )
    operation = stackmap.describe_call(code, stackmap.instruction_start(code, offset))
    where = f"{code.co_filename}:{line_of(code, offset)}"
    return f'cannot suspend across a C call: {operation}, in frame "{code.co_qualname}" ({where}); {way_out}'


def _reduce_quietly(iterator: Any) -> Any:
    """``__reduce__`` of an itertools object, which 3.12 and 3.13 deprecate."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if isinstance(iterator, itertools.groupby):
                raise TypeError("it has handed out parts of itself")
            return iterator.__reduce__()
        except TypeError:
            raise TypeError(
                f"cannot copy: a loop runs over {iterator!r}, which does not tell where it stands; loop over a list or generator"
            ) from None


def _set_state_quietly(iterator: Any, state: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        iterator.__setstate__(state)


for _name, _hook in (
    ("suspend", suspend),
    ("is_suspendable", is_suspendable),
    ("frames", frames_of),
    ("describe", _describe_barrier),
    ("verify", verify),
    ("is_half_built", is_half_built),
    ("reduce_quietly", _reduce_quietly),
    ("set_state_quietly", _set_state_quietly),
):
    _core.register(_name, _hook)
