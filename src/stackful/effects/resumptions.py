"""Resumptions: the rest of a handled program, as clauses get it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stackful import _core
from stackful.continuations.tags import PromptTag
from stackful.effects.outcomes import NO_STATE, Step, Tail, close_captured, come_to
from stackful.errors import AlreadyResumedError, FiberError
from stackful.fibers.frames import Frame, frames_captured
from stackful.fibers.operations import CALL, GIVE, THROW, in_new_fiber, operate
from stackful.fibers.portable import Portable

if TYPE_CHECKING:
    from stackful.effects.handlers import Handler

__all__ = ["OneShotResumption", "Promised", "PromisedOneShot", "Resumption"]

_T = TypeVar("_T")
_A = TypeVar("_A")

_UNHANDLED = PromptTag("resumed without a handler")


class Resumption(Portable, Generic[_T, _A]):
    """The rest of a handled program, from where it performed: what a clause made by ``ctl`` or ``once`` gets first.

    Resumed, it runs under its handler again (deep), or under none (shallow). Those of ``ctl`` can be resumed any number of times: local variables
    and running loops are each time as they were, other objects are shared. Copyable and picklable. Dropped without ever being resumed, it
    is closed: `FiberExit` is raised where it waits, so that ``finally`` runs.

    >>> from stackful import effect, handle, perform
    >>> @effect
    ... def flip() -> bool: ...
    >>> handle(lambda: ("heads" if perform(flip) else "tails"), flip.ctl(lambda k: [k.resume(True), k.resume(False)]))
    ['heads', 'tails']
    """

    _name = "Resumption"
    _function: Callable[..., Any]
    __slots__ = ("__weakref__", "_captured", "_function", "_is_first", "_is_shallow")

    def __init__(self, captured: Any, is_shallow: bool, is_first: bool = True) -> None:
        self._captured = captured  # with the prompt, whose tag is the handler
        self._is_shallow = is_shallow
        self._is_first = is_first

    def resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """Go on with `value` as the result of `perform`; return what the handler's result then is. ``state=new`` changes the handler's state."""
        answer: _A = self._run(self._step(GIVE, value, state))
        return answer

    def discontinue(self, error: BaseException | type[BaseException], *, state: Any = NO_STATE) -> _A:
        """Go on with `error` raised by `perform` (OCaml's discontinue)."""
        answer: _A = self._run(self._step(THROW, error, state))
        return answer

    def tail_resume(self, value: _T = None, *, state: Any = NO_STATE) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume(value)``: as ``return k.resume(value)``, in constant stack. Only a clause may return it."""
        token: Any = Tail(self._step(GIVE, value, state), self._take())
        return token  # type: ignore[no-any-return]

    def resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """For the resumption of a shallow handler: go on under `handler` (OCaml's Shallow.continue_with)."""
        answer: _A = self._run(self._step_under(handler, GIVE, value))
        return answer

    def discontinue_with(self, handler: Handler[_A], error: BaseException | type[BaseException]) -> _A:
        """For the resumption of a shallow handler: go on under `handler` with `error` raised by `perform`."""
        answer: _A = self._run(self._step_under(handler, THROW, error))
        return answer

    def tail_resume_with(self, handler: Handler[_A], value: _T = None) -> _A:  # type: ignore[assignment]
        """``return k.tail_resume_with(handler, value)``: as `resume_with`, in constant stack. Only a clause may return it."""
        token: Any = Tail(self._step_under(handler, GIVE, value), self._take())
        return token  # type: ignore[no-any-return]

    def _waiting(self) -> Any:
        if self._captured is None:
            raise AlreadyResumedError(
                f"{self!r} was resumed before: the clause was made by `once`; one made by `ctl` can resume any number of times"
            )
        return self._captured

    def _take(self) -> Any:
        """The frames, to be run."""
        self._is_first = False
        return self._waiting()

    def _step(self, operation: int, given: Any, state: Any) -> Step:
        if state is not NO_STATE:
            given, operation = self._arrival(operation, given, state), CALL
        return operation, given, _UNHANDLED if self._is_shallow else None

    def _step_under(self, handler: Handler[Any], operation: int, given: Any) -> Step:
        if not hasattr(handler, "has_state"):
            raise TypeError(
                f"a shallow resumption goes on under a handler, made by Handler(...), not under {handler!r}"
            )
        if not self._is_shallow:
            raise TypeError(f"{self!r} has its handler already: only the resumption of a shallow handler is given one")
        if handler.has_state:
            given, operation = self._arrival(operation, given, handler.state), CALL
        return operation, given, handler

    def _arrival(self, operation: int, given: Any, state: Any) -> Callable[[], Any]:
        """What is called above the frames, for the value: it changes the state of their handler first."""
        levels, _, old = _core.outermost(self._waiting())
        if old is NO_STATE and not self._is_shallow:
            raise TypeError(f"{self!r} takes no state: its handler was made without one")

        def arrive() -> Any:
            _core.set_state(levels - 1, state)
            if operation == THROW:
                raise given
            return given

        return arrive

    def _run(self, step: Step) -> Any:
        """What the handled program comes to; here, or in a new fiber where that is not possible."""
        operation, given, delimiter = step
        answer = operate(operation, self._take(), given, delimiter)
        if type(answer) is _core.Continuation:
            return in_new_fiber(come_to, Tail(step, answer))
        return come_to(answer)

    @property
    def state(self) -> Any:
        """The state of the handler, as it is when the resumption goes on; AttributeError where it has none."""
        state = _core.outermost(self._waiting())[2]
        if state is NO_STATE:
            raise AttributeError(f"{self!r} has no state: its handler was made without one")
        return state

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The suspended frames up to the handler, outermost first."""
        return frames_captured(self._waiting())

    def __copy__(self) -> Resumption[_T, _A]:
        return type(self)(self._waiting(), self._is_shallow, False)

    def reduce_within_snapshot(self) -> Any:
        """What is restored runs no ``finally`` when it is merely dropped, as copies."""
        return type(self), (self._captured, self._is_shallow, False)

    def __del__(self) -> None:
        if getattr(self, "_is_first", False) and self._captured is not None:  # without it __init__ has failed
            captured, self._captured = self._captured, None
            close_captured(captured)

    def __repr__(self) -> str:
        name = self._name
        if self._captured is None:
            return f"<{name}, resumed>"
        return f"<{name} of {self.frames[-3:][0].code.co_qualname}>"  # who has called perform


class OneShotResumption(Resumption[_T, _A]):
    """That of a `once` clause: it can be resumed once, and its frames are run themselves, not copies of them."""

    _name = "OneShotResumption"
    __slots__ = ()

    def _take(self) -> Any:
        captured, self._captured = self._waiting(), None
        return captured


class Promised(Resumption[_T, _A]):
    """What a clause gets that is called in place: nothing is captured yet, and will not be when it is resumed in tail position.

    Where the program is captured late, the core puts it in here. Its methods `resume` and `tail_resume` are the core's (csrc/in_place.c).
    """

    __slots__ = ()
    kept: type[Resumption[Any, Any]] = Resumption
    """What this is once its clause has ended otherwise."""

    @classmethod
    def to(cls, function: Callable[..., Any], captured: Any = ..., is_first: bool = True) -> Promised[Any, Any]:
        """A promise to a clause's function."""
        promise = cls(captured, False, is_first)
        promise._function = function
        return promise

    def _waiting(self) -> Any:
        if self._captured is ...:
            raise FiberError(
                f"{self!r} cannot be used here: its clause does nothing but resume it in tail position, so nothing was captured"
            )
        return Resumption._waiting(self)

    def __copy__(self) -> Resumption[_T, _A]:
        return self.to(self._function, self._waiting(), False)

    def reduce_within_snapshot(self) -> Any:
        """The same."""
        return type(self).to, (self._function, self._captured, False)

    def __del__(self) -> None:
        if self._captured is not ...:
            Resumption.__del__(self)

    def __repr__(self) -> str:
        return f"<{self._name}, promised>" if self._captured is ... else Resumption.__repr__(self)


class PromisedOneShot(Promised[_T, _A], OneShotResumption[_T, _A]):
    """The same for a `once` clause."""

    _name = OneShotResumption._name
    __slots__ = ()
    kept = OneShotResumption


_core.register("resumption", Resumption)
_core.register("promise", Promised)
_core.register("promise", PromisedOneShot)
