"""What a handled program can come to beside its result: another step, or a last clause."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

from stackful.errors import FiberExit
from stackful.fibers.operations import THROW, check_done, operate, operate_in_new_fiber

__all__ = ["NO_STATE", "Final", "Step", "Tail", "apply", "close_captured", "come_to"]


class _NoState:
    def __repr__(self) -> str:
        return "NO_STATE"


NO_STATE: Any = _NoState()
"""What `state` is where a handler has none."""


class Final:
    """What a level ends with that a final clause answers."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


Step: TypeAlias = tuple[int, Any, Any]
"""How captured frames go on: operation, what is given, the tag in the stead of their prompt's own, or None."""


class Tail:
    """What tail_resume returns: an operation on the stack, for whoever runs the level."""

    __slots__ = ("operands",)

    def __init__(self, step: Step, captured: Any) -> None:
        operation, given, delimiter = step
        self.operands: list[Any] = [delimiter, given, captured, operation]

    def __del__(self) -> None:
        if self.operands:
            captured = self.operands[2]
            self.operands.clear()
            warnings.warn(
                "what tail_resume() returned was dropped: a clause has to return it, `return k.tail_resume(value)`; the program is"
                " closed instead",
                RuntimeWarning,
                stacklevel=2,
            )
            close_captured(captured)


def close_captured(captured: Any) -> None:
    """Run the `finally` blocks of frames that nobody will resume."""
    try:
        operate_in_new_fiber(THROW, captured, FiberExit(), None)
    except FiberExit:
        pass


def come_to(answer: Any) -> Any:
    """The result of a handled program that has come to `answer`."""
    while type(answer) is Tail:
        take = answer.operands.pop  # nothing may refer to frames that run
        answer = check_done(operate(take(), take(), take(), take()))
    return apply(answer.function, answer.args) if type(answer) is Final else answer


def apply(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """``function(*args)`` as a plain call, which a capture may cross on every version."""
    match len(args):
        case 0:
            return function()
        case 1:
            return function(args[0])
        case 2:
            return function(args[0], args[1])
        case 3:
            return function(args[0], args[1], args[2])
        case 4:
            return function(args[0], args[1], args[2], args[3])
        case 5:
            return function(args[0], args[1], args[2], args[3], args[4])
        case 6:
            return function(args[0], args[1], args[2], args[3], args[4], args[5])
        case 7:
            return function(args[0], args[1], args[2], args[3], args[4], args[5], args[6])
        case _:
            return function(*args)
