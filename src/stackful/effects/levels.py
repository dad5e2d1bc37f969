"""Capture and resume: the one module that knows how a handled program is suspended.

Today each handled program is a fiber of its own, a `Level`. `_drive`, in the frame of `handle` or of ``k.resume``, runs it. `perform` looks up who
handles the operation, and suspends its level with a `_Request` that says how many levels outward that is; each driver in between suspends
its own level with the same request, until it arrives. The resumption is then the level at which it arrived, with the others suspended in it.

    handle ── _drive ──▶ level 1: main ── handle ── _drive ──▶ level 0: visit ── perform
                 ▲                                    │ hops=1 ▲                    │ hops=1
                 └────────── suspend (hops=0) ────────┘        └──── suspend ───────┘

Nothing may refer to a running level but its driver, and nothing at all once it is captured: then a resumption that is dropped is closed at once,
and its ``finally`` blocks run.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from sys import getrefcount
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from stackful import _core
from stackful.effects.operations import Clause, Kind, Operation
from stackful.errors import AlreadyResumedError, BarrierError, UnhandledError
from stackful.fibers import Fiber, suspend

__all__ = ["NO_STATE", "Handler", "Level", "Resumption", "perform", "run_handled"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_A = TypeVar("_A")
_current = _core.current


class _NoState:
    def __repr__(self) -> str:
        return "NO_STATE"


NO_STATE: Any = _NoState()
"""What `state` is where a handler has none."""


class Handler(Generic[_A]):
    """Clauses, and what to do with the result: what `handle` puts in force. A value: it can be used any number of times.

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def ask() -> int: ...
    >>> answer = Handler(ask.fun(lambda: 42), returns=lambda value: [value])
    >>> handle(lambda: perform(ask) + 1, answer)
    [43]
    """

    __slots__ = ("by_operation", "has_state", "is_shallow", "returns", "state")

    def __init__(
        self,
        *clauses: Clause[_A],
        returns: Callable[..., _A] | None = None,
        shallow: bool = False,
        state: Any = NO_STATE,
    ) -> None:
        self.by_operation: dict[Operation[Any, Any], Clause[_A]] = {}
        for clause in clauses:
            if not isinstance(clause, Clause):
                raise TypeError(f"a handler consists of clauses, as operation.ctl(function) makes them; not {clause!r}")
            if clause.operation in self.by_operation:
                raise TypeError(f"two clauses for {clause.operation!r}")
            if clause.kind is Kind.UPDATE and state is NO_STATE:
                raise TypeError(f"{clause!r} needs a handler with state: handle(..., state=initial)")
            self.by_operation[clause.operation] = clause
        self.returns = returns
        self.is_shallow = shallow
        self.has_state = state is not NO_STATE
        self.state = state

    def __repr__(self) -> str:
        names = ", ".join(operation.__qualname__ for operation in self.by_operation)
        return f"<{'shallow ' * self.is_shallow}handler of {names or 'no operation'}>"


_NOTHING: Handler[Any] = Handler()


class Level(Fiber):
    """A handled program as a fiber."""

    _is_transparent = True  # a yield_ in it is its resumer's (csrc/generator_type.c)

    handler: Handler[Any]
    clauses: dict[Operation[Any, Any], Clause[Any]]
    state: Any
    mark: object  # the same for all copies
    masked: int  # how many levels, itself first, do not handle what the running clause performs


class _Request:
    """What a level suspends with when it performs."""

    __slots__ = ("args", "clause", "hops")

    def __init__(self, hops: int, clause: Clause[Any], args: tuple[Any, ...]) -> None:
        self.hops = hops
        self.clause = clause
        self.args = args


class _Abort(BaseException):
    """Unwinds to the level whose final clause is to answer."""

    def __init__(self, hops: int, clause: Clause[Any], args: tuple[Any, ...]) -> None:
        super().__init__(f"final operation {clause.operation.__qualname__}")
        self.hops = hops
        self.clause = clause
        self.arguments = args


class _Tail(NamedTuple):
    """What tail_resume returns: the driver that gets it goes on with the level."""

    level: Level
    value: Any
    error: BaseException | None


class _Force(NamedTuple):
    """The handlers in force, innermost first: a level, the fiber that drives it, and the rest."""

    level: Level
    host: Fiber | None
    outer: _Force | None


class _Dynamic(threading.local):
    force: _Force | None = None


_dynamic = _Dynamic()


# Looking up a handler


def _unhandled(operation: Operation[Any, Any]) -> UnhandledError:
    if not isinstance(operation, Operation):
        raise TypeError(f"perform() takes an operation, as @effect makes it; not {operation!r}")
    force, descriptions = _dynamic.force, []
    while force is not None:
        name = getattr(force.level.function, "__qualname__", repr(force.level.function))
        descriptions.append(f"{force.level.handler!r} around {name}")
        force = force.outer
    listed = f"in force, innermost first: {'; '.join(descriptions)}" if descriptions else "no handler is in force"
    return UnhandledError(f"no handler for {operation!r}; {listed}")


def _request(hops: int, clause: Clause[Any], args: tuple[Any, ...]) -> _Request:
    """The request, once it is sure that only drivers stand between here and the handler."""
    force, inner, left = _dynamic.force, _current(), hops
    while force is not None:
        if force.level is not inner:
            raise BarrierError(
                f"cannot perform {clause.operation.__qualname__}: {inner!r} stands between it and its handler, and a fiber that is resumed "
                "by its own program is no part of what is captured; handle it inside, or answer with a fun clause"
            )
        if left == 0:
            break
        inner, force, left = force.host, force.outer, left - 1
    return _Request(hops, clause, args)


def _answer_in_place(hops: int, clause: Clause[Any], args: tuple[Any, ...]) -> Any:
    """A clause that needs no resumption: a call, during which the handlers up to its own are out of force."""
    force = target = _dynamic.force
    assert force is not None
    for _ in range(hops):
        assert target is not None
        target = target.outer
    assert target is not None
    mark, before, force.level.masked = force.level.mark, force.level.masked, hops + 1
    if clause.kind is Kind.UPDATE:
        args = (target.level.state, *args)
    force = target = None
    try:
        answer = _apply(clause.function, args)
    finally:
        # Looked up again: meanwhile this frame may have been captured and copied, with the level; or is being unwound because the level
        # was dropped, where other handlers are in force.
        force = _dynamic.force
        if force is not None and force.level.mark is mark:
            force.level.masked = before
    if clause.kind is Kind.UPDATE:
        answer, state = answer
        for _ in range(hops):
            assert force is not None
            force = force.outer
        assert force is not None
        force.level.state = state
    return answer


def _apply(function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
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
    arguments: tuple[Any, ...] = operation.bind(args, kwargs) if kwargs else args
    force, hops, clause = _dynamic.force, 0, None
    while force is not None:
        level = force.level
        if level.masked:
            for _ in range(level.masked):
                assert force is not None
                force = force.outer
            hops += level.masked
            continue
        clause = level.clauses.get(operation)
        if clause is not None:
            break
        force = force.outer
        hops += 1
    force = level = None  # type: ignore[assignment]
    if clause is None:
        raise _unhandled(operation)
    if clause.kind is Kind.FUN or clause.kind is Kind.UPDATE:
        answer: _T = _answer_in_place(hops, clause, arguments)
        return answer
    if clause.kind is Kind.FINAL:
        raise _Abort(hops, clause, arguments)
    resumed: _T = suspend(_request(hops, clause, arguments))
    return resumed


# Running a handled program


def run_handled(thunk: Callable[[], Any], handler: Handler[Any]) -> Any:
    """Call `thunk` with `handler` in force."""
    return _drive(_level(thunk, handler), None, None)


def _level(thunk: Callable[[], Any], handler: Handler[Any]) -> Level:
    level = Level(thunk)
    level.handler = handler
    level.clauses = handler.by_operation
    level.state = handler.state
    level.mark = object()
    level.masked = 0
    return level


def _put_under(level: Level, handler: Handler[Any]) -> None:
    """Another handler takes the level's place of the one it had."""
    level.handler = handler
    level.clauses = handler.by_operation
    level.state = handler.state


def _forward(box: list[Any]) -> tuple[Any, BaseException | None]:
    """Suspend the fiber that the driver runs in, with what is in the box, which nothing else refers to."""
    try:
        return suspend(box.pop()), None
    except BaseException as error:  # noqa: BLE001 - it belongs to the level, which waits where it was performed
        return None, error


def _step(level: Level, value: Any, error: BaseException | None) -> Any:
    """Run the level up to its next suspension, with its handler in force; an aborted one gives the `_Abort`."""
    around = _dynamic.force
    _dynamic.force = _Force(level, _current(), around)
    try:
        return level.resume(value) if error is None else level.throw(error)
    except _Abort as abort:
        if abort.hops:
            abort.hops -= 1
            raise
        return abort
    finally:
        _dynamic.force = around
        error = None  # its traceback refers to this frame


def _drive(level: Level, value: Any, error: BaseException | None) -> Any:
    """Run the level to its end, answering what it performs; the result of its handler."""
    answer: Any
    resumption: Resumption[Any, Any]
    while True:
        answer = _step(level, value, error)
        value = error = None
        if type(answer) is _Request and answer.hops == 0:
            clause, args = answer.clause, answer.args
            resumption = (Resumption if clause.kind is Kind.CTL else _OneShot)(level)
            del level, answer
            answer = _apply(clause.function, (resumption, *args))
        elif level.status == "dead":
            return _finish(level, answer)
        else:
            if type(answer) is _Request:
                answer.hops -= 1
            box, waiting = [answer], [level]
            del answer, level
            value, error = _forward(box)
            # Each copy of the fiber that this runs in has a copy of this frame, and they share the list `waiting`. The first of them to
            # go on takes the level, whose `finally` will run, and leaves a copy to the others.
            level = waiting[0]
            if getrefcount(waiting) > 2:
                waiting[0] = copy.copy(level)
            del waiting
            continue
        del resumption
        if type(answer) is not _Tail:
            return answer
        level, value, error = answer
        del answer


def _finish(level: Level, answer: Any) -> Any:
    handler = level.handler
    if type(answer) is _Abort:
        return _apply(answer.clause.function, answer.arguments)
    if handler.returns is None:
        return answer
    return handler.returns(answer, level.state) if handler.has_state else handler.returns(answer)


# The rest of a program


class Resumption(Generic[_T, _A]):
    """The rest of a handled program, from where it performed: what a clause made by ``ctl`` or ``once`` gets first.

    Resumed, it runs under its handler again (deep), or under none (shallow). Those of ``ctl`` can be resumed any number of times: local variables and
    running loops are each time as they were, other objects are shared. Copyable and picklable. Dropped without ever being resumed, it
    is closed: `FiberExit` is raised where it waits, so that ``finally`` runs.

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def flip() -> bool: ...
    >>> handle(lambda: ("heads" if perform(flip) else "tails"), flip.ctl(lambda k: [k.resume(True), k.resume(False)]))
    ['heads', 'tails']
    """

    __slots__ = ("__weakref__", "_is_first", "_level")

    def __init__(self, level: Level, is_first: bool = True) -> None:
        self._level: Level | None = level
        self._is_first = is_first

    def _take(self) -> Level:
        """A level to run: the first time the one that was captured, which runs its ``finally`` when it is dropped; then copies."""
        level = self._waiting()
        if self._is_first:
            self._is_first = False
            self._level = copy.copy(level)
            return level
        return copy.copy(level)

    def _waiting(self) -> Level:
        if self._level is None:
            raise AlreadyResumedError(
                f"{self!r} was resumed before: the clause was made by `once`; one made by `ctl` can resume any number of times"
            )
        return self._level

    def _taken(self, state: Any) -> Level:
        level = self._take()
        if level.handler.is_shallow:
            _put_under(level, _NOTHING)
        if state is not NO_STATE:
            level.state = state
        return level

    def resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """Go on with `value` as the result of `perform`; return what the handler's result then is. ``state=new`` changes the handler's state."""
        answer: _A = _drive(self._taken(state), value, None)
        return answer

    def discontinue(self, error: BaseException, *, state: Any = NO_STATE) -> _A:
        """Go on with `error` raised by `perform`. (OCaml's discontinue.)"""
        answer: _A = _drive(self._taken(state), None, error)
        return answer

    def tail_resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume(value)``: as ``return k.resume(value)``, in constant stack. Only a clause may return it."""
        token: Any = _Tail(self._taken(state), value, None)
        return token  # type: ignore[no-any-return]

    def resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """For the resumption of a shallow handler: go on under `handler`. (OCaml's Shallow.continue_with.)"""
        answer: _A = _drive(self._taken_under(handler), value, None)
        return answer

    def discontinue_with(self, handler: Handler[_A], error: BaseException) -> _A:
        """For the resumption of a shallow handler: go on under `handler` with `error` raised by `perform`."""
        answer: _A = _drive(self._taken_under(handler), None, error)
        return answer

    def tail_resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume_with(handler, value)``: as `resume_with`, in constant stack. Only a clause may return it."""
        token: Any = _Tail(self._taken_under(handler), value, None)
        return token  # type: ignore[no-any-return]

    def _taken_under(self, handler: Handler[Any]) -> Level:
        if not self._waiting().handler.is_shallow:
            raise TypeError(f"{self!r} has its handler already: only the resumption of a shallow handler is given one")
        level = self._take()
        _put_under(level, handler)
        return level

    @property
    def state(self) -> Any:
        """The state of the handler, as it is when the resumption goes on."""
        return self._waiting().state

    @property
    def frames(self) -> tuple[Any, ...]:
        """The suspended frames up to the handler, outermost first, without those of inner handlers."""
        return self._waiting().frames

    def __copy__(self) -> Resumption[_T, _A]:
        return type(self)(copy.copy(self._waiting()), False)

    def __repr__(self) -> str:
        name = getattr(self._level and self._level.function, "__qualname__", "?")
        return f"<{type(self).__name__.removeprefix('_')} of {name}>" if self._level else f"<{type(self).__name__.removeprefix('_')}, resumed>"


class _OneShot(Resumption[_T, _A]):
    """That of a `once` clause: the level itself, once."""

    __slots__ = ()

    def _take(self) -> Level:
        level, self._level = self._waiting(), None
        return level
