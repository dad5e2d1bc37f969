"""Operations: what a program may ask for; and clauses: how a handler answers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Never, ParamSpec, TypeVar

from stackful import _core
from stackful.fibers.portable import SCRIPTS

if TYPE_CHECKING:
    from stackful.effects.resumptions import Resumption

__all__ = ["ABSENT", "Clause", "Kind", "Operation", "effect", "present"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S")
_A = TypeVar("_A")
_A_co = TypeVar("_A_co", covariant=True)


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Any = _Absent()
"""An argument that is not passed on."""


_core.register("absent", ABSENT)


def present(*arguments: Any) -> tuple[Any, ...]:
    """Those that are to be passed on."""
    return tuple(argument for argument in arguments if argument is not ABSENT)


class Kind:
    """How a clause uses the rest of the program (Koka's lattice: never, once in place, at most once, any number of times)."""

    FINAL = "final"
    FUN = "fun"
    UPDATE = "update"
    ONCE = "once"
    CTL = "ctl"


class Clause(Generic[_A_co]):
    """How a handler answers one operation; made by the methods of `Operation`."""

    __slots__ = ("function", "kind", "operation")

    def __init__(self, operation: Operation[Any, Any], kind: str, function: Callable[..., Any]) -> None:
        self.operation = operation
        self.kind = kind
        self.function = function

    def __repr__(self) -> str:
        return f"<{self.kind} clause of {self.operation.__qualname__}>"


class Operation(Generic[_P, _T]):
    """Something that a program may ask of whoever handles it; made by `effect` from a signature.

    Its methods make the clauses of handlers, by how they use the rest of the program, and work as decorators. (The names are Koka's.)

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def ask(question: str) -> str: ...
    >>> handle(lambda: perform(ask, "name") + "!", ask.fun(lambda question: question.upper()))
    'NAME!'
    """

    def __init__(self, signature: Callable[_P, _T]) -> None:
        self.__module__ = signature.__module__
        self.__name__ = signature.__name__
        self.__qualname__ = signature.__qualname__
        self.__doc__ = signature.__doc__
        self.__signature__ = inspect.signature(signature)

    def fun(self, function: Callable[_P, _T], /) -> Clause[Never]:
        """Answer with what ``function(*arguments)`` returns: a call, nothing is captured. It runs outside of the handler, in place."""
        return Clause(self, Kind.FUN, function)

    def update(self, function: Callable[Concatenate[_S, _P], tuple[_T, _S]], /) -> Clause[Never]:
        """As `fun`, with the handler's state: ``function(state, *arguments)`` returns (answer, new state)."""
        return Clause(self, Kind.UPDATE, function)

    def final(self, function: Callable[_P, _A], /) -> Clause[_A]:
        """Never go on: the handled program is unwound (``finally`` runs), and what ``function(*arguments)`` returns is the result of `handle`."""
        return Clause(self, Kind.FINAL, function)

    def once(self, function: Callable[Concatenate[Resumption[_T, _A], _P], _A], /) -> Clause[_A]:
        """``function(k, *arguments)`` is the result of `handle`; it may resume `k` at most once (OCaml's continuations). Costs no copy."""
        return Clause(self, Kind.ONCE, function)

    def ctl(self, function: Callable[Concatenate[Resumption[_T, _A], _P], _A], /) -> Clause[_A]:
        """``function(k, *arguments)`` is the result of `handle`; it may resume `k` any number of times, now or later."""
        return Clause(self, Kind.CTL, function)

    def __reduce__(self) -> str | tuple[Any, ...]:
        if self.__module__ not in SCRIPTS and "<locals>" not in self.__qualname__:
            return self.__qualname__
        # A script's globals travel with its run, and are not there yet when the operation is loaded.
        return _find_or_make, (vars(self),)

    def __copy__(self) -> Operation[_P, _T]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation[_P, _T]:
        return self

    def __repr__(self) -> str:
        return f"<operation {self.__qualname__}{self.__signature__}>"


def _find_or_make(fields: dict[str, Any]) -> Operation[..., Any]:
    """The script's own operation of that name, where it is the one that was saved; else another one like it."""
    found: Any = sys.modules.get(fields["__module__"])
    for part in fields["__qualname__"].split("."):
        found = getattr(found, part, None)
    if isinstance(found, Operation) and str(found.__signature__) == str(fields["__signature__"]):
        return found
    made: Operation[..., Any] = Operation.__new__(Operation)
    vars(made).update(fields)
    return made


def effect(signature: Callable[_P, _T], /) -> Operation[_P, _T]:
    """Declare an operation: its name, parameters and result are those of the function, whose body is never run.

    (mypy takes no ``...`` for the body of a function that returns something: write ``raise NotImplementedError`` where it is to be checked.)

    >>> @effect
    ... def ask(question: str) -> str: ...
    >>> ask
    <operation ask(question: 'str') -> 'str'>
    """
    if not isinstance(signature, FunctionType):
        raise TypeError(f"effect takes a function, whose signature is that of the operation, not {signature!r}")
    return Operation(signature)
