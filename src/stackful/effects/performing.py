"""`perform`: asking the handlers in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, ParamSpec, TypeVar

from stackful import _core
from stackful.effects.operations import ABSENT, Operation
from stackful.errors import UnhandledError
from stackful.fibers.stubs import stub

__all__ = ["perform"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


if TYPE_CHECKING:

    def perform(operation: Operation[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: D103 - below
        ...

else:

    @stub
    def perform(operation, a=ABSENT, b=ABSENT, c=ABSENT, d=ABSENT, e=ABSENT, f=ABSENT, /):
        """Ask the innermost handler of `operation`, with up to six arguments by position; return what it resumes with.

        `UnhandledError`, raised here, when there is none: it lists the handlers in force. `BarrierError` when the handler wants the rest of the
        program and a C call or another fiber stands in between; clauses made by ``fun``, ``update`` and ``final`` work everywhere.
        (Plotkin and Pretnar, "Handlers of Algebraic Effects", 2009; OCaml's perform.)

        >>> from stackful import effect, handle
        >>> @effect
        ... def choose(a: int, b: int) -> int: ...
        >>> handle(lambda: perform(choose, 1, 2) * 10, choose.ctl(lambda k, a, b: (k.resume(a), k.resume(b))))
        (10, 20)
        """
        answer = ~"gate"
        try:
            if b is ABSENT:
                return answer() if a is ABSENT else answer(a)
            if c is ABSENT:
                return answer(a, b)
            if d is ABSENT:
                return answer(a, b, c)
            if e is ABSENT:
                return answer(a, b, c, d)
            return answer(a, b, c, d, e) if f is ABSENT else answer(a, b, c, d, e, f)
        finally:
            ~"unmask"  # noqa: B018 - a gate


def _unhandled(operation: object) -> Exception:
    """The error for an operation that no handler in force answers."""
    if not isinstance(operation, Operation):
        return TypeError(f"perform() takes an operation, as @effect makes it; not {operation!r}")
    handlers = "; ".join(map(repr, _core.handlers()))
    listed = f"in force, innermost first: {handlers}" if handlers else "no handler is in force"
    return UnhandledError(f"no handler for {operation!r}; {listed}")


_core.register("unhandled", _unhandled)
