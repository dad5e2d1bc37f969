"""Fibers: running functions as values.

`frames` is how suspended frames are looked at, `guard` what keeps restored frames from harming the interpreter. The rest is C (csrc/).
"""

from __future__ import annotations

from importlib import import_module

from stackful import _core
from stackful._core import NULL, Fiber
from stackful._core import current as _current
from stackful._core import is_suspendable as _is_suspendable
from stackful.fibers.stubs import stub

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from stackful.fibers.frames import Frame

__all__ = ["NULL", "Fiber", "Frame", "current", "is_suspendable", "suspend"]


def __getattr__(name: str) -> Any:
    """`Frame` is loaded by whoever first looks at frames."""
    if name == "Frame":
        globals()[name] = import_module("stackful.fibers.frames").Frame
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@stub
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
    return ~"gate"  # type: ignore[operator]


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


# What the core leaves to Python, by place: looked up when it is first needed, so that importing stackful stays cheap.
_core.register("is_suspendable", is_suspendable)
_core.register("frames", "stackful.fibers.frames:frames_of")
_core.register("describe", "stackful.fibers.barriers:describe_barrier")
_core.register("verify", "stackful.fibers.guard:verify")
_core.register("is_half_built", "stackful.fibers.guard:is_half_built")
_core.register("reduce_quietly", "stackful.fibers.iterators:reduce_quietly")
_core.register("set_state_quietly", "stackful.fibers.iterators:set_state_quietly")
