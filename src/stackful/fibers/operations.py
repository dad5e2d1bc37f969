"""The operations that running code asks of its own fiber's stack: what prompts, continuations and coroutines are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackful import _core
from stackful._core import Continuation, Fiber
from stackful.errors import BarrierError
from stackful.fibers.stubs import stub

__all__ = [
    "CALL",
    "CAPTURE",
    "GATE",
    "GIVE",
    "PERFORM",
    "PUSH",
    "REPLACE",
    "STAY",
    "THROW",
    "check_done",
    "in_new_fiber",
    "operate",
    "operate_in_new_fiber",
    "return_into",
]

GATE = _core.gates["operate"]
"""The answer where the operation can only be had in a new fiber: outside of any, and behind C code."""

# The numbers are those of `Operation` in csrc/core.h.
PUSH = 0
"""tag, thunk, state: call ``thunk()`` above a new prompt; its result is the operation's. The state is for handlers of effects."""
CAPTURE = 1
"""tag, function, keep: take the frames above the nearest prompt with the tag off, and call ``function(k)`` there; `keep`: the prompt stays."""
GIVE = 2
"""k, value, tag: put k's frames on top, above a prompt with that tag, or with its own if that is None; what they wait for is the value."""
THROW = 3
"""k, exception, tag: the same, but the exception is raised there."""
CALL = 4
"""k, thunk, tag: the same, but ``thunk()`` is called there, for the value."""
REPLACE = 5
"""k, thunk, tag: as CALL, in the stead of all that is above the nearest prompt with the tag."""
PERFORM = 6
"""None, function, None: in `perform`, take the frames up to the handler's prompt off, with the prompt, and call ``function(k)`` there."""

STAY = 7
"""None, None, None: go on. But where a clause was called in place, its program is captured now (csrc/in_place.c)."""


# The core reads the operation from its locals (csrc/control.c).
@stub
def operate(operation: int, first: Any, second: Any, third: Any) -> Any:
    """Ask the core for an operation. Where it can only be had in a new fiber, the answer is `GATE`, or k where there is one."""
    return ~"gate"  # type: ignore[operator]


@stub
def return_into(value: Any) -> Any:
    """For the core alone: return `value` into frames that are run together (csrc/batch.c)."""
    return ~"gate"  # type: ignore[operator]


def check_done(answer: Any) -> Any:
    """The answer, where an operation should have been possible."""
    if answer is GATE or type(answer) is Continuation:
        raise BarrierError(
            "no call can be suspended here: a frame evaluator (PEP 523) is installed, by a debugger or a compiler"
        )
    return answer


def _first(operation: int, first: Any, second: Any, third: Any) -> Any:
    return check_done(operate(operation, first, second, third))


# Of each root fiber that runs, its id, and the fiber that waits for it: a root is not suspended itself, but that one is.
_resumers: dict[int, Fiber | None] = {}


def in_new_fiber(function: Callable[..., Any], *args: Any) -> Any:
    """Call the function where operations are possible: in a fiber that runs for the caller, who waits."""
    root = Fiber(function, *args)
    _resumers[id(root)] = _core.host()
    try:
        return _core.root(root).resume()
    finally:
        del _resumers[id(root)]


def suspendable() -> Fiber | None:
    """The fiber that is suspended where `suspend` is called here, and no guest runs."""
    host = _core.host()
    while id(host) in _resumers:
        host = _resumers[id(host)]
    return host


def operate_in_new_fiber(operation: int, first: Any, second: Any, third: Any) -> Any:
    """The operation, where `operate` has answered that it is not possible."""
    return in_new_fiber(_first, operation, first, second, third)
