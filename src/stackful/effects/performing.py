"""`perform`: asking the handlers in force."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from stackful import _core
from stackful.continuations.prompts import Abort
from stackful.effects.handlers import Final, apply
from stackful.effects.operations import Clause, InPlaceClause, Kind, Operation
from stackful.effects.resumptions import OneShotResumption, Resumption
from stackful.errors import UnhandledError
from stackful.fibers.operations import PERFORM, operate

__all__ = ["perform"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_find_clause = _core.find_clause
_unmask = _core.unmask
_core.register("in_place", InPlaceClause)


def perform(operation: Operation[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Ask the innermost handler of `operation`; return what it resumes with.

    `UnhandledError`, raised here, when there is none: it lists the handlers in force. `BarrierError` when the handler wants the rest of the
    program and a C call or another fiber stands in between; clauses made by ``fun``, ``update`` and ``final`` work everywhere.
    (Plotkin and Pretnar, "Handlers of Algebraic Effects", 2009; OCaml's perform.)

    >>> from stackful import effect, handle
    >>> @effect
    ... def choose(a: int, b: int) -> int: ...
    >>> handle(lambda: perform(choose, 1, 2) * 10, choose.ctl(lambda k, a, b: (k.resume(a), k.resume(b))))
    (10, 20)
    """
    arguments: tuple[Any, ...] = _bound(operation, args, kwargs) if kwargs else args
    clause = _find_clause(operation)
    if type(clause) is not InPlaceClause:
        kind = _RESUMPTIONS.get(clause.kind)
        if kind is None:
            answer: _T = _do_without(operation, clause, arguments)
            return answer
        resumed: _T = operate(PERFORM, operation, _Request(kind, clause.function, arguments).answer, None)
        return resumed
    function = clause.function
    try:
        in_place: _T = function(arguments[0]) if len(arguments) == 1 else apply(function, arguments)
        return in_place
    finally:
        _unmask()


def _bound(operation: Operation[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
    if not isinstance(operation, Operation):
        raise _unhandled(operation)
    return operation.bind(args, kwargs)


def _do_without(operation: Operation[..., Any], clause: Clause[Any], arguments: tuple[Any, ...]) -> Any:
    """Clauses that need no resumption, but more than a call: to leave, or to give their handler another state."""
    if clause.kind is Kind.FINAL:
        raise Abort(None, Final(clause.function, arguments), _core.way_out(operation))
    state = _core.mask(operation)
    try:
        answer, state = apply(clause.function, (state, *arguments))
    except BaseException:
        _unmask()
        raise
    _core.unmask_with(state)
    return answer


_RESUMPTIONS: dict[str, type[Resumption[Any, Any]]] = {Kind.ONCE: OneShotResumption, Kind.CTL: Resumption}
"""What clauses of each kind get, of those that need the rest of the program."""


class _Request:
    """A clause to be called in the stead of the frames that are captured for it."""

    __slots__ = ("args", "function", "kind")

    def __init__(self, kind: type[Resumption[Any, Any]], function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.kind = kind
        self.function = function
        self.args = args

    def answer(self, captured: Any) -> Any:
        k = self.kind(captured)
        del captured
        args = self.args
        match len(args):
            case 0:
                return self.function(k)
            case 1:
                return self.function(k, args[0])
            case _:
                return apply(self.function, (k, *args))


def _unhandled(operation: object) -> Exception:
    """The error for an operation that no handler in force has a clause for."""
    if not isinstance(operation, Operation):
        return TypeError(f"perform() takes an operation, as @effect makes it; not {operation!r}")
    handlers = "; ".join(map(repr, _core.handlers()))
    listed = f"in force, innermost first: {handlers}" if handlers else "no handler is in force"
    return UnhandledError(f"no handler for {operation!r}; {listed}")


_core.register("unhandled", _unhandled)
