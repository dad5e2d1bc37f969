"""Handlers: what is in force for a program while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stackful import _core
from stackful.effects.answers import answer_of
from stackful.effects.operations import Clause, Kind, Operation
from stackful.effects.outcomes import NO_STATE, Final, Tail, come_to
from stackful.fibers.operations import GATE, PUSH, check_done, in_new_fiber, operate

__all__ = ["Handler", "run_handled"]

_A = TypeVar("_A")


class Handler(dict[Operation[Any, Any], Callable[..., Any]], Generic[_A]):
    """Clauses, and what to do with the result: what `handle` puts in force, any number of times.

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def ask() -> int: ...
    >>> answer = Handler(ask.fun(lambda: 42), returns=lambda value: [value])
    >>> handle(lambda: perform(ask) + 1, answer)
    [43]
    """

    # The tag of a prompt, and a mapping from operations to what `perform` calls: the core looks for them in the handlers on the
    # stack (csrc/handlers.c).
    __slots__ = ("has_state", "is_shallow", "returns", "state")

    def __init__(
        self,
        *clauses: Clause[_A],
        returns: Callable[..., _A] | None = None,
        shallow: bool = False,
        state: Any = NO_STATE,
    ) -> None:
        for clause in clauses:
            if not isinstance(clause, Clause):
                raise TypeError(f"a handler consists of clauses, as operation.ctl(function) makes them; not {clause!r}")
            if clause.operation in self:
                raise TypeError(f"two clauses for {clause.operation!r}")
            if clause.kind == Kind.UPDATE and state is NO_STATE:
                raise TypeError(f"{clause!r} needs a handler with state: handle(..., state=initial)")
            self[clause.operation] = answer_of(clause, shallow)
        self.returns = returns
        self.is_shallow = shallow
        self.has_state = state is not NO_STATE
        self.state = state

    def __repr__(self) -> str:
        names = ", ".join(operation.__qualname__ for operation in self)
        return f"<{'shallow ' * self.is_shallow}handler of {names or 'no operation'}>"


_core.register("handler", Handler)


class _Body:
    """A program whose result goes through the return clause of the handler that is in force when it ends."""

    __slots__ = ("thunk",)

    def __init__(self, thunk: Callable[[], Any]) -> None:
        self.thunk = thunk

    def run(self) -> Any:
        result = self.thunk()
        handler, state = _core.leave_force()
        if handler is None or handler.returns is None:
            return result
        return handler.returns(result, state) if handler.has_state else handler.returns(result)


def run_handled(thunk: Callable[[], Any], handler: Handler[Any]) -> Any:
    """Call `thunk` with `handler` in force."""
    if handler.returns is not None or handler.is_shallow:
        thunk = _Body(thunk).run
    answer = operate(PUSH, handler, thunk, handler.state)
    if answer is GATE:
        return in_new_fiber(_run_in_fiber, thunk, handler)
    return come_to(answer) if type(answer) is Tail or type(answer) is Final else answer


def _run_in_fiber(thunk: Callable[[], Any], handler: Handler[Any]) -> Any:
    return come_to(check_done(operate(PUSH, handler, thunk, handler.state)))
