"""``checkpoint()``, and the slot that says which fiber is the durable run of this process, if any.

Imported by every script that calls ``checkpoint()``, under plain ``python`` too: nothing heavy belongs here.
"""

from __future__ import annotations

import enum

from stackful import _core
from stackful.durable.contexts import here, host
from stackful.durable.requests import Commit
from stackful.errors import BarrierError
from stackful.fibers import Fiber, current, is_capturable, suspend_to

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Suspension", "activate", "check", "checkpoint", "deactivate"]


class Suspension(enum.Enum):
    """Why the run's fiber suspended; an enum, because the suspended frames refer to it and are stored."""

    EXPLICIT = "checkpoint() was called"
    TIMED = "--every"


class _Slot:
    """The durable run of this process; no frame may hold it in a local, or the run would be stored with itself."""

    def __init__(self) -> None:
        self.fiber: Fiber | None = None
        self.missed: Callable[[], None] = _nothing


def _nothing() -> None:
    pass


_slot = _Slot()


def activate(fiber: Fiber, missed: Callable[[], None] | None = None) -> None:
    """Make ``fiber`` the one whose suspensions are checkpoints; ``missed`` hears of each check that came at a barrier."""
    _slot.fiber, _slot.missed = fiber, missed or _nothing


def deactivate() -> None:
    """From now on ``checkpoint()`` does nothing: the run ended, or this is a forked child of it."""
    _slot.fiber, _slot.missed = None, _nothing


def checkpoint() -> bool:
    """Store the whole program here: its call stack, its ``__main__`` globals and all that they refer to.

    Returns:
        True under ``stackful run``, also when execution goes on from here after a ``stackful resume``; and in a durable run of a function.
        False elsewhere: under plain ``python`` this function does nothing.

    Raises:
        BarrierError: a C call (``sorted(key=...)``, an ``__init__``, a generator) lies between here and the script,
            or this is another thread, or a fiber that was not resumed by `resume`, the function. Nothing was stored; the program is as it was.
        UnsaveableError: the program refers to a value that cannot be stored; the message names its path.
        StoreError: the store cannot be written; the last good checkpoint is intact.

    Example:
        >>> from stackful import checkpoint
        >>> for number in range(3):
        ...     answer = checkpoint()
        >>> answer
        False
    """
    if _slot.fiber is None:
        if here.driver is None or here.driver.is_in_step:
            return False
        suspend_to(host("checkpoint"), Commit())
        return True
    _check_fiber()
    answer: bool = suspend_to(_slot.fiber, Suspension.EXPLICIT)
    return answer


def check() -> None:
    """The instrumented code's checkpoint: where nothing can be suspended it lets the moment pass."""
    if _slot.fiber is not None and _core.host() is _slot.fiber and is_capturable():
        suspend_to(_slot.fiber, Suspension.TIMED)
    else:
        _slot.missed()


def _check_fiber() -> None:
    if _core.host() is _slot.fiber:
        return
    place = "another thread than the script's" if current() is None else "a fiber that the script resumed by its method"
    raise BarrierError(
        f"a checkpoint stores the script's own call stack, but checkpoint() was called in {place}; "
        "call it in the script's main thread, and in fibers that are resumed by stackful.resume(fiber)"
    )
