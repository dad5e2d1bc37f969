"""Algebraic effects: a program asks (`perform`), and whoever runs it decides what the answer is and what becomes of the rest (`handle`).

`operations` is what is asked and answered, `performing` the asking, `handlers` what is in force, `answers` what each kind of clause
does, `resumptions` the rest of a program, `outcomes` what a program can come to. (Plotkin and Pretnar, "Handlers of
Algebraic Effects", 2009; words and laws are those of OCaml 5 and Koka.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Never, TypeVar, overload

from stackful.effects.handlers import Handler, run_handled
from stackful.effects.operations import Clause, Operation, effect
from stackful.effects.performing import perform
from stackful.effects.resumptions import Resumption

__all__ = ["Clause", "Handler", "Operation", "Resumption", "effect", "handle", "perform"]

_R = TypeVar("_R")
_A = TypeVar("_A")


@overload
def handle(thunk: Callable[[], _A], handler: Handler[Never], /) -> _A: ...
@overload
def handle(thunk: Callable[[], Any], handler: Handler[_A], /) -> _A: ...
@overload
def handle(thunk: Callable[[], _A], /, *clauses: Clause[_A], shallow: bool = False, state: Any = ...) -> _A: ...
@overload
def handle(
    thunk: Callable[[], _R],
    /,
    *clauses: Clause[_A],
    returns: Callable[..., _A],
    shallow: bool = False,
    state: Any = ...,
) -> _A: ...
def handle(thunk: Callable[[], Any], /, *clauses: Any, **options: Any) -> Any:
    """Call `thunk` with handlers for some operations in force; return its result, through `returns`, or what a clause returns instead.

    Args:
        thunk: The program; at any depth of ordinary calls it may `perform`.
        clauses: What the methods ``fun``, ``update``, ``final``, ``once``, ``ctl`` of operations make; or one `Handler`.
        options: ``returns``, a function applied to the result (to result and state, where there is state); ``shallow=True``: a resumption goes
            on without this handler; ``state``, what ``update`` clauses get and replace, and what ``k.state`` is: each resumption has its own.

    A clause runs outside of its handler: what it performs goes to outer ones. Operations without a clause go there as well, and so does
    a plain `suspend`. An exception leaves through the clauses that resumed, as any.

    >>> @effect
    ... def get() -> int: ...
    >>> @effect
    ... def put(value: int) -> None: ...
    >>> def count() -> str:
    ...     perform(put, perform(get) + 1)
    ...     return "counted"
    >>> handle(count, get.update(lambda s: (s, s)), put.update(lambda s, new: (None, new)), state=41, returns=lambda r, s: (r, s))
    ('counted', 42)
    """
    if len(clauses) == 1 and isinstance(clauses[0], Handler):
        if options:
            raise TypeError("handle(thunk, handler) takes no options: they are the handler's")
        return run_handled(thunk, clauses[0])
    return run_handled(thunk, Handler(*clauses, **options))
