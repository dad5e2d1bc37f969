"""Handlers: what is in force for a program while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stackful import _core
from stackful.effects.operations import Clause, Kind, Operation
from stackful.fibers.operations import GATE, PUSH, operate, operate_in_new_fiber

__all__ = ["NO_STATE", "Final", "Handler", "Tail", "apply", "come_to", "run_handled"]

_A = TypeVar("_A")


class _NoState:
    def __repr__(self) -> str:
        return "NO_STATE"


NO_STATE: Any = _NoState()
"""What `state` is where a handler has none."""


class Handler(dict[Operation[Any, Any], Clause[Any]], Generic[_A]):
    """A mapping from operations to clauses, and what to do with the result: what `handle` puts in force, any number of times.

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def ask() -> int: ...
    >>> answer = Handler(ask.fun(lambda: 42), returns=lambda value: [value])
    >>> handle(lambda: perform(ask) + 1, answer)
    [43]
    """

    # The tag of a prompt: the core looks for operations in the handlers on the stack (csrc/handlers.c).
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
            if clause.kind is Kind.UPDATE and state is NO_STATE:
                raise TypeError(f"{clause!r} needs a handler with state: handle(..., state=initial)")
            self[clause.operation] = clause
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


class Final:
    """What a level ends with that a final clause answers."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


class Tail:
    """What tail_resume returns: an operation on the stack, for whoever runs the level."""

    __slots__ = ("_operands",)

    def __init__(self, operation: int, captured: Any, given: Any, delimiter: Handler[Any] | None) -> None:
        self._operands: list[Any] = [delimiter, given, captured, operation]

    def go_on(self) -> Any:
        """Once; what the operation comes to."""
        take = self._operands.pop  # nothing may refer to frames that run
        return put_back(take(), take(), take(), take())


def put_back(operation: int, captured: Any, given: Any, delimiter: Handler[Any] | None) -> Any:
    """Run captured frames on top of the caller's; what they come to."""
    box = [captured]
    del captured
    answer = operate(operation, box.pop(), given, delimiter)
    if type(answer) is _core.Continuation:
        return operate_in_new_fiber(operation, answer, given, delimiter)
    return answer


def come_to(answer: Any) -> Any:
    """The result of a handled program that has come to `answer`."""
    while type(answer) is Tail:
        answer = answer.go_on()
    return apply(answer.function, answer.args) if type(answer) is Final else answer


def run_handled(thunk: Callable[[], Any], handler: Handler[Any]) -> Any:
    """Call `thunk` with `handler` in force."""
    if handler.returns is not None or handler.is_shallow:
        thunk = _Body(thunk).run
    answer = operate(PUSH, handler, thunk, handler.state)
    if answer is GATE:
        answer = operate_in_new_fiber(PUSH, handler, thunk, handler.state)
    return come_to(answer) if type(answer) is Tail or type(answer) is Final else answer


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
        case _:
            return function(*args)
