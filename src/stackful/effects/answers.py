"""What `perform` calls for each kind of clause."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stackful import _core
from stackful.continuations.prompts import Abort
from stackful.effects.operations import ABSENT, Clause, Kind, present
from stackful.effects.outcomes import Final, apply
from stackful.effects.resumptions import OneShotResumption, Promised, PromisedOneShot, Resumption
from stackful.effects.tails import resumes_last
from stackful.fibers.operations import PERFORM, operate

__all__ = ["answer_of"]

_state = _core.state
_change_state = _core.change_state


def answer_of(clause: Clause[Any], is_shallow: bool) -> Callable[..., Any]:
    """The function of a `fun` clause itself; for the others a method that knows what to do."""
    if clause.kind == Kind.FUN:
        return clause.function
    if clause.kind == Kind.UPDATE:
        return _Update(clause.function, is_shallow)  # type: ignore[return-value]
    answer = _ANSWERS[clause.kind](clause.function, is_shallow)
    if clause.kind in _PROMISES and not is_shallow and resumes_last(clause.function):
        return InPlace(answer, _PROMISES[clause.kind])  # type: ignore[return-value]
    return answer.answer  # type: ignore[no-any-return]


class _Answer:
    __slots__ = ("function", "is_shallow")

    def __init__(self, function: Callable[..., Any], is_shallow: bool) -> None:
        self.function = function
        self.is_shallow = is_shallow


class _Update(_Answer):
    """Calls the function with the state of its handler, which gets a new one: `perform` does it itself (csrc/perform.c)."""

    __slots__ = ()

    def answer(
        self, a: Any = ABSENT, b: Any = ABSENT, c: Any = ABSENT, d: Any = ABSENT, e: Any = ABSENT, f: Any = ABSENT, /
    ) -> Any:
        if b is ABSENT:
            result, state = self.function(_state()) if a is ABSENT else self.function(_state(), a)
        else:
            result, state = apply(self.function, (_state(), *present(a, b, c, d, e, f)))
        _change_state(state)
        return result


class _Leave(_Answer):
    """Leaves the handled program, by an exception: its ``finally`` blocks run before the function is called."""

    __slots__ = ()

    def answer(self, *args: Any) -> Any:
        handler, passing = _core.way_out()
        raise Abort(handler, Final(self.function, args), passing)


class _Once(_Answer):
    """Takes the frames off up to the handler, and calls the function in their stead, with the resumption of them."""

    __slots__ = ()
    kind: type[Resumption[Any, Any]] = OneShotResumption

    def answer(self, *args: Any) -> Any:
        return operate(PERFORM, None, _Request(self, args).call, None)


class _Ctl(_Once):
    """The same, with a resumption for any number of times."""

    __slots__ = ()
    kind = Resumption


class InPlace:
    """Calls the function where the program performs, with a resumption that is merely promised; where that cannot be, captures the program."""

    # The core reads all but `usual`, and takes `k` away for as long as the clause runs (csrc/in_place.c).
    __slots__ = ("code", "function", "k", "promised", "usual")

    def __init__(self, usual: _Once, promised: type[Promised[Any, Any]]) -> None:
        self.usual = usual
        self.function = usual.function
        self.code = usual.function.__code__
        self.promised = promised
        self.k = promised.to(self.function)

    def answer(self, *args: Any) -> Any:
        if not hasattr(self, "k"):  # the last time, somebody has kept it
            self.k = self.promised.to(self.function)
        return operate(PERFORM, None, _Request(self.usual, args).call, None)

    def __reduce__(self) -> tuple[Any, ...]:
        return InPlace, (self.usual, self.promised)


_core.register("in_place", InPlace)
_core.register("update", _Update)

_PROMISES: dict[str, Any] = {Kind.ONCE: PromisedOneShot, Kind.CTL: Promised}
_ANSWERS: dict[str, Any] = {Kind.FINAL: _Leave, Kind.ONCE: _Once, Kind.CTL: _Ctl}


class _Request:
    """A function to be called in the stead of the frames that are captured for it."""

    __slots__ = ("args", "clause")

    def __init__(self, clause: _Once, args: tuple[Any, ...]) -> None:
        self.clause = clause
        self.args = args

    def call(self, captured: Any) -> Any:
        clause, args = self.clause, self.args
        k = clause.kind(captured, clause.is_shallow)
        del captured  # k alone holds the frames
        match len(args):
            case 0:
                return clause.function(k)
            case 1:
                return clause.function(k, args[0])
            case _:
                return apply(clause.function, (k, *args))
