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
    # ruff: noqa: F821, F841, SIM108 - the core writes these locals, too
    #
    # At the first gate the core writes into the locals what is to be called and what with (csrc/perform.c). The gate is None where that is
    # two arguments, `first` and `second`. Otherwise `rest` is None for a plain call with one, `second` is None for one of another kind, and
    # more than two are in `rest`. `way` is True where a clause is called in place, with a resumption that is merely promised.
    @stub
    def perform(operation, first=ABSENT, /, *rest):
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
        if ~"gate" is None:
            try:
                answer = answer(first, second)
            except BaseException:
                if way is not True:  # or captured meanwhile, and discontinued
                    ~"unmask"  # noqa: B018 - a gate
                    raise
                answer = Raised(sys.exception())
            else:
                if ~"resumed" is not None:
                    return answer
        elif rest is None:
            try:
                return answer(first)
            finally:
                ~"unmask"  # noqa: B018 - a gate
        else:
            try:
                if second is None:
                    answer = answer(first)
                else:
                    answer = answer() if first is ABSENT else apply(answer, rest)
            except BaseException:
                if way is not True:
                    ~"unmask"  # noqa: B018 - a gate
                    raise
                answer = Raised(sys.exception())
            else:
                if ~"resumed" is not None:
                    return answer
        try:
            return settle(first, answer) if way is True else changed(answer)
        finally:
            first = second = way = None
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
    """Call it with what is not left out: stored frames of an earlier `perform` do."""
    return apply(function, present(*arguments))


def changed(result: Any) -> Any:
    """The answer of a clause with state that has not come to a pair: to another iterable of two, or to what is none."""
    answer, state = result
    _core.change_state(state)
    return answer


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
