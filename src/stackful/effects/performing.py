"""`perform`: asking the handlers in force."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from stackful import _core
from stackful.effects.operations import ABSENT, Operation, present
from stackful.effects.outcomes import apply
from stackful.errors import UnhandledError
from stackful.fibers.operations import STAY, operate
from stackful.fibers.stubs import stub

__all__ = ["perform"]

_P = ParamSpec("_P")
_T = TypeVar("_T")


if TYPE_CHECKING:
    from stackful.effects.resumptions import Promised

    def perform(operation: Operation[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:  # noqa: D103 - below
        ...

else:

    # The core puts there, at the first gate, what the function reads but has not made (csrc/handlers.c): `answer`, what answers; `k`, a resumption
    # where that is called in place; `state`, that of the handler where that is changed. `way` is None for what is done most: a
    # plain call with one argument. Otherwise `rest` is None where there is one argument, and `way` says whether there is something to do besides.
    @stub
    def perform(operation, a=ABSENT, /, *rest):
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
        way = ~"gate"
        if way is None:
            try:
                return answer(a)
            finally:
                ~"unmask"  # noqa: B018 - a gate
        if k is not None:
            try:
                if rest is None:
                    answer = answer(k, a)
                else:
                    answer = answer(k) if a is ABSENT else apply(answer, (k, a, *rest))
            except BaseException:
                if k is None:  # captured meanwhile, and discontinued
                    ~"unmask"  # noqa: B018 - a gate
                    raise
                answer = Raised(sys.exception())
            else:
                if ~"resumed":
                    return answer
            try:
                return settle(k, answer)
            finally:
                del k
                ~"unmask"  # noqa: B018 - a gate
        if way:
            try:
                if rest is None:
                    answer, state = answer(state, a)
                else:
                    answer, state = answer(state) if a is ABSENT else apply(answer, (state, a, *rest))
            except BaseException:
                ~"unmask"  # noqa: B018 - a gate
                raise
            ~"changed"  # noqa: B018 - a gate
            return answer
        try:
            if a is ABSENT:
                return answer()
            return answer(a, rest[0]) if len(rest) == 1 else apply(answer, (a, *rest))
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


def passing(function: Callable[..., Any], /, *arguments: Any) -> Any:
    """Call it with what is not left out."""
    return apply(function, present(*arguments))


class Raised:
    """What a clause comes to by an exception."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        # Where the clause was called is no part of the way that the exception takes.
        self.error: BaseException | None = error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)


def settle(k: Promised[Any, Any], result: object) -> object:
    """End what was called in place and has not resumed: in the stead of the handled program, which is closed now unless someone else has `k`."""
    operate(STAY, None, None, None)
    k.__class__ = k.kept  # type: ignore[assignment]
    del k
    if type(result) is not Raised:
        return result
    error, result.error = result.error, None
    try:
        raise error  # type: ignore[misc]
    finally:
        del error, result
