"""Fibers: running functions as values.

`frames` is how suspended frames are looked at, `guard` what keeps restored frames from harming the interpreter. The rest is C (csrc/).
"""

from __future__ import annotations

import atexit
import gc
import sys
from importlib import import_module

from stackful import _core
from stackful._core import NULL, Fiber
from stackful._core import current as _current
from stackful._core import is_capturable as _is_capturable
from stackful.fibers.stubs import stub

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from stackful.fibers.frames import Frame

__all__ = ["NULL", "Fiber", "Frame", "current", "is_capturable", "is_suspendable", "resume", "suspend", "suspend_to"]


def __getattr__(name: str) -> Any:
    """`Frame` is loaded by whoever first looks at frames."""
    if name == "Frame":
        globals()[name] = import_module("stackful.fibers.frames").Frame
        return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@stub
def suspend(value: object = None) -> Any:
    """Suspend the running fiber: its ``resume`` returns `value`; the next ``resume(v)`` makes this return `v`.

    May be called at any depth. Where C code waits in between (a key function, an ``__init__``), the fiber keeps its C stack: then it
    goes on only in its thread, and cannot be copied or pickled. `FiberError` outside of a fiber; `BarrierError` where even that is not
    possible, as in a trace function or a `barrier`. (Lua's coroutine.yield.)

    >>> def add(a, b):
    ...     return suspend(a + b)
    >>> fiber = Fiber(add, 1, 2)
    >>> fiber.resume(), fiber.resume("done")
    (3, 'done')
    """
    return ~"gate"  # type: ignore[operator]


@stub
def resume(fiber: Fiber, value: object = None, error: BaseException | type[BaseException] | None = None) -> Any:
    """As ``fiber.resume(value)``, or ``fiber.throw(error)``; within a fiber, the frames of `fiber` go on top of the caller's.

    So nothing of C stands between the two: `suspend_to`, captures and handlers further out reach through, and take the frames along. What
    they take can be copied and pickled, and `fiber` is then part of it; reinstated twice, it is suspended twice, and holds what was
    suspended last. Where that is not possible it is the method: outside of fibers, behind a C call, for generators, for fibers with a context
    or a successor.

    `FiberError` as from the method. (The nested fibers of OCaml's effects; Dybvig, Peyton Jones and Sabry's sequences of
    prompts.)

    >>> def inner():
    ...     return suspend("for middle"), suspend_to(outer, "for the outside")
    >>> def middle():
    ...     fiber = Fiber(inner)
    ...     return resume(fiber), resume(fiber)
    >>> outer = Fiber(middle)
    >>> outer.resume()
    'for the outside'
    >>> outer.resume(1)
    ('for middle', (None, 1))
    """
    return ~"gate"  # type: ignore[operator]


@stub
def suspend_to(fiber: Fiber, value: object = None) -> Any:
    """Suspend `fiber`, which runs this code or has resumed what does: its ``resume`` returns `value`.

    The fibers in between have been resumed by `resume`, the function, and go along. `PromptNotFoundError` where C code stands in between,
    as the method ``fiber.resume``, or where `fiber` does not run this code; `BarrierError` where another C call does.

    >>> def inner():
    ...     return suspend_to(outer, "out") + 1
    >>> outer = Fiber(lambda: resume(Fiber(inner)))
    >>> outer.resume(), outer.resume(41)
    ('out', 42)
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


def is_capturable() -> bool:
    """Whether only plain Python calls stand between here and the fiber's begin: what is captured or suspended here can be copied.

    Under ``stackful run`` also at the top of the script, which can be stored.

    >>> is_capturable(), Fiber(lambda: is_capturable()).resume()
    (False, True)
    >>> Fiber(sorted, [1], key=lambda _: print(is_capturable()) or 0).resume()
    False
    [1]
    """
    return _is_capturable()


def is_suspendable() -> bool:
    """Whether `suspend` would succeed here (Lua's coroutine.isyieldable).

    >>> is_suspendable(), Fiber(lambda: is_suspendable()).resume()
    (False, True)
    >>> Fiber(sorted, [1], key=lambda _: print(is_suspendable()) or 0).resume()
    True
    [1]
    """
    return _core.can_wait() or (_current() is not None and is_capturable())


@atexit.register
def _close_kept() -> None:
    """What C code on a kept stack refers to, the interpreter takes for used when it ends: so those fibers are closed before that."""
    if _core.kept():
        for kept in filter(_core.kept, gc.get_objects()):
            try:
                kept.close()
            except BaseException:  # noqa: BLE001 - as in a destructor
                sys.excepthook(*sys.exc_info())  # as atexit shows what its functions raise


# What the core leaves to Python, by place: looked up when it is first needed, so that importing stackful stays cheap.
_core.register("is_capturable", is_capturable)
_core.register("frames", "stackful.fibers.frames:frames_of")
_core.register("describe", "stackful.fibers.barriers:describe_barrier")
_core.register("describe_kept", "stackful.fibers.barriers:describe_kept")
_core.register("verify", "stackful.fibers.guard:verify")
_core.register("is_half_built", "stackful.fibers.guard:is_half_built")
_core.register("reduce_quietly", "stackful.fibers.iterators:reduce_quietly")
_core.register("set_state_quietly", "stackful.fibers.iterators:set_state_quietly")
