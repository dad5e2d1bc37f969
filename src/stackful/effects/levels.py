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

import threading
from collections.abc import Callable
from sys import getrefcount
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

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
    masked: int  # while suspended within a clause that answers in place: how many levels, itself first, are out of force there


class _Request(list[Any]):
    """What a level suspends with when it performs: [how many levels outward the handler is, clause, arguments]."""

    __slots__ = ()


class _Abort(BaseException):
    """Unwinds to the level whose final clause is to answer."""

    def __init__(self, request: _Request) -> None:
        super().__init__(f"final operation {request[1].operation.__qualname__}")
        self.request = request


class _Tail(tuple[Level, Any, BaseException | None]):
    """What tail_resume returns, (level, value, error): the driver that gets it goes on with the level."""

    __slots__ = ()


_Node: TypeAlias = tuple[dict[Operation[Any, Any], Clause[Any]], Any, object, Level, Fiber | None, Any]
"""A level that runs: its clauses; the node that is in force for its driver; its mark; itself; the fiber that its driver runs in; and the
node of the level that this fiber is, or is nested in. The last goes inward to outward without a gap; what is in force leaves out the levels
whose clauses are answering in place."""


class _Scope:
    """Of one thread: what is in force for the running code, and the innermost level."""

    __slots__ = ("force", "inner")

    def __init__(self) -> None:
        self.force: _Node | None = None
        self.inner: _Node | None = None


class _Local(threading.local):
    def __init__(self) -> None:
        self.scope = _Scope()


_local = _Local()


# Looking up a handler


def _unhandled(operation: Operation[Any, Any]) -> UnhandledError:
    if not isinstance(operation, Operation):
        raise TypeError(f"perform() takes an operation, as @effect makes it; not {operation!r}")
    node, descriptions = _local.scope.force, []
    while node is not None:
        name = getattr(node[3].function, "__qualname__", repr(node[3].function))
        descriptions.append(f"{node[3].handler!r} around {name}")
        node = node[1]
    listed = f"in force, innermost first: {'; '.join(descriptions)}" if descriptions else "no handler is in force"
    return UnhandledError(f"no handler for {operation!r}; {listed}")


def _distance(inner: _Node | None, outer: _Node | None) -> int:
    """How many levels inward from `outer` a running level is."""
    count = 0
    while inner is not outer:
        assert inner is not None
        inner = inner[5]
        count += 1
    return count


def _outward(node: _Node | None, count: int) -> _Node | None:
    for _ in range(count):
        assert node is not None
        node = node[5]
    return node


def _request(clause: Clause[Any], args: tuple[Any, ...]) -> _Request:
    """The request, once it is sure that it can arrive: that only drivers stand between here and the handler."""
    scope, fiber, hops = _local.scope, _current(), 0
    target, node = scope.force, scope.inner
    while target is not None and target[0].get(clause.operation) is not clause:
        target = target[1]
    while node is not None:
        if node[3] is not fiber and clause.kind is not Kind.FINAL:  # a final one unwinds whatever is in between
            raise BarrierError(
                f"cannot perform {clause.operation.__qualname__}: {fiber!r} stands between it and its handler, and a fiber that is resumed "
                "by its own program is no part of what is captured; handle it inside, or answer with a fun clause"
            )
        if node is target:
            break
        fiber, node = node[4], node[5]
        hops += 1
    return _Request((hops, clause, args))


def _answer_in_place(clause: Clause[Any], args: tuple[Any, ...]) -> Any:
    """A clause that needs no resumption: a call, during which the handlers up to its own are out of force."""
    scope = _local.scope
    target, inner = scope.force, scope.inner
    assert inner is not None
    while target is not None and target[0].get(clause.operation) is not clause:
        target = target[1]
    assert target is not None
    mark = inner[2]
    before = 0 if scope.force is inner else _distance(inner, scope.force)
    hops = _distance(inner, target) if clause.kind is Kind.UPDATE else 0
    scope.force = target[1]
    if clause.kind is Kind.UPDATE:
        args = (target[3].state, *args)
    # Not kept while the clause runs: it may be captured, copied, and go on in another thread.
    scope = target = inner = None  # type: ignore[assignment]
    try:
        answer = clause.function(args[0]) if len(args) == 1 else _apply(clause.function, args)
    finally:
        scope = _local.scope
        inner = scope.inner
        if inner is not None and inner[2] is mark:  # else it is being unwound because its level was dropped
            scope.force = _outward(inner, before) if before else inner
    if clause.kind is Kind.UPDATE:
        answer, state = answer
        target = _outward(inner, hops)
        assert target is not None
        target[3].state = state
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
    scope = _local.scope
    node = scope.force
    while node is not None:
        clause = node[0].get(operation)
        if clause is not None:
            break
        node = node[1]
    else:
        raise _unhandled(operation)
    kind = clause.kind
    if node is not scope.inner or len(arguments) > 1 or (kind is not Kind.FUN and kind is not Kind.UPDATE):
        if kind is Kind.FUN or kind is Kind.UPDATE:
            scope = node = None  # type: ignore[assignment] # nothing may refer to a level that is suspended
            answer: _T = _answer_in_place(clause, arguments)
            return answer
        if node is scope.inner and node[3] is _current():
            request = _Request((0, clause, arguments))
        else:
            request = _request(clause, arguments)
        scope = node = None  # type: ignore[assignment]
        if kind is Kind.FINAL:
            raise _Abort(request)
        resumed: _T = suspend(request)
        return resumed
    # What _answer_in_place does, for the most frequent case: the innermost handler, at most one argument.
    function, mark, scope.force = clause.function, node[2], node[1]
    if kind is Kind.UPDATE:
        state = node[3].state
        scope = node = None  # type: ignore[assignment]
        updated: _T = _update(function, arguments, mark, state)
        return updated
    scope = node = None  # type: ignore[assignment]
    try:
        in_place: _T = function(arguments[0]) if arguments else function()
        return in_place
    finally:
        scope = _local.scope
        node = scope.inner
        if node is not None and node[2] is mark:
            scope.force = node


def _update(function: Callable[..., Any], arguments: tuple[Any, ...], mark: object, state: Any) -> Any:
    """The same for a clause that replaces the handler's state."""
    try:
        answer, state = function(state, arguments[0]) if arguments else function(state)
    finally:
        scope = _local.scope
        node = scope.inner
        if node is not None and node[2] is mark:
            scope.force = node
    assert node is not None
    node[3].state = state
    return answer


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


def _drive(
    level: Level, value: Any, error: BaseException | None
) -> Any:  # long: each call in it would cost every operation
    """Run the level to its end, with its handler in force, answering what it performs; the result of its handler."""
    answer: Any
    resumption: Resumption[Any, Any]
    while True:
        scope = _local.scope
        force, inner = scope.force, scope.inner
        node: Any = (level.clauses, force, level.mark, level, _current(), inner)
        scope.inner = node
        scope.force = _outward(node, level.masked) if level.masked else node
        try:
            answer = level.resume(value) if error is None else level.throw(error)
            if scope.force is not node or level.masked:
                level.masked = _distance(node, scope.force)
        except _Abort as abort:
            if abort.request[0]:
                abort.request[0] -= 1
                raise
            answer = abort
        finally:
            scope.force, scope.inner = force, inner
            scope = node = force = inner = error = None  # type: ignore[assignment] # nothing may refer to a suspended level
        if type(answer) is _Request and answer[0] == 0:
            _, clause, args = answer
            resumption = (Resumption if clause.kind is Kind.CTL else _OneShot)(level)
            del level, answer
            function = clause.function
            if len(args) == 1:
                answer = function(resumption, args[0])
            elif not args:
                answer = function(resumption)
            else:
                answer = _apply(function, (resumption, *args))
            del resumption
            if type(answer) is not _Tail:
                return answer
            level, value, error = answer
            del answer
        elif level.status == "dead":
            return _finish(level, answer)
        else:
            if type(answer) is _Request:
                answer[0] -= 1
            box, waiting = [answer], [level]
            del answer, level
            value, error = _forward(box)
            # Each copy of the fiber that this runs in has a copy of this frame, and they share the list `waiting`. The first of them to
            # go on takes the level, whose `finally` will run, and leaves a copy to the others.
            level = waiting[0]
            if getrefcount(waiting) > 2:
                waiting[0] = level.__copy__()
            del waiting


def _finish(level: Level, answer: Any) -> Any:
    handler = level.handler
    if type(answer) is _Abort:
        return _apply(answer.request[1].function, answer.request[2])
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
            self._level = level.__copy__()
            return level
        return level.__copy__()

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
        """Go on with `error` raised by `perform` (OCaml's discontinue)."""
        answer: _A = _drive(self._taken(state), None, error)
        return answer

    def tail_resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume(value)``: as ``return k.resume(value)``, in constant stack. Only a clause may return it."""
        token: Any = _Tail((self._taken(state), value, None))
        return token  # type: ignore[no-any-return]

    def resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """For the resumption of a shallow handler: go on under `handler` (OCaml's Shallow.continue_with)."""
        answer: _A = _drive(self._taken_under(handler), value, None)
        return answer

    def discontinue_with(self, handler: Handler[_A], error: BaseException) -> _A:
        """For the resumption of a shallow handler: go on under `handler` with `error` raised by `perform`."""
        answer: _A = _drive(self._taken_under(handler), None, error)
        return answer

    def tail_resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume_with(handler, value)``: as `resume_with`, in constant stack. Only a clause may return it."""
        token: Any = _Tail((self._taken_under(handler), value, None))
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
        return type(self)(self._waiting().__copy__(), False)

    def __repr__(self) -> str:
        name = getattr(self._level and self._level.function, "__qualname__", "?")
        return (
            f"<{type(self).__name__.removeprefix('_')} of {name}>"
            if self._level
            else f"<{type(self).__name__.removeprefix('_')}, resumed>"
        )


class _OneShot(Resumption[_T, _A]):
    """That of a `once` clause: the level itself, once."""

    __slots__ = ()

    def _take(self) -> Level:
        level, self._level = self._waiting(), None
        return level

    def tail_resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """As any resumption's, in fewer steps."""
        level = self._level
        if level is None or level.handler.is_shallow or state is not NO_STATE:
            return super().tail_resume(value, state=state)
        self._level = None
        token: Any = _Tail((level, value, None))
        return token  # type: ignore[no-any-return]
