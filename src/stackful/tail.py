"""Tail calls: goto with arguments, in constant stack, and continuation-passing style without any capture.

(Steele, "Lambda: The Ultimate GOTO", 1977; Ganz, Friedman, Wand, "Trampolined Style", 1999.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import MethodType
from typing import Any, NoReturn, ParamSpec, TypeVar

__all__ = ["tail_call", "trampolined"]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class _TailCall(tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]):
    """A call that is still to be made: (function, arguments, keyword arguments). Of use to a trampoline only; whoever else gets it hears so."""

    __slots__ = ()

    def _misused(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self!r} was not returned to a trampoline: write `return tail_call(...)`, beneath a function decorated with @trampolined"
        )

    def __repr__(self) -> str:
        return f"<tail call of {getattr(self[0], '__qualname__', self[0])}>"

    __bool__ = __iter__ = __len__ = __call__ = __getattr__ = __eq__ = __hash__ = __add__ = __mul__ = __rmul__ = _misused
    __radd__ = __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = (
        _misused
    )


def tail_call(function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
    """To be returned: as ``return function(...)``, but the frame of who returns it is gone before `function` begins.

    Any function may be called so, from a function decorated with `trampolined` and from those that it calls in this way. To be returned at once:
    anything else that is done with it is a `TypeError`. Tracebacks show the function at hand only, for the others are over.

    >>> @trampolined
    ... def even(n):
    ...     return True if n == 0 else tail_call(odd, n - 1)
    >>> @trampolined
    ... def odd(n):
    ...     return False if n == 0 else tail_call(even, n - 1)
    >>> even(100_000)
    True
    """
    token: Any
    if type(function) is MethodType:
        body = _body_of(function.__func__)
        token = _TailCall((body, (function.__self__, *args), kwargs) if body else (function, args, kwargs))
    else:
        token = _TailCall((_body_of(function) or function, args, kwargs))
    return token  # type: ignore[no-any-return]


def _body_of(function: Any) -> Callable[..., Any] | None:
    """The function that a trampoline runs; None for others, decorators around a trampoline too, which have its attributes (functools.wraps)."""
    code = getattr(function, "__code__", None)
    if code is _BOUNCE:
        return function._tail_body  # type: ignore[no-any-return]
    if code is None and not callable(function):
        raise TypeError(f"tail_call(function, ...) takes a function, not {function!r}")
    return None


def trampolined(function: Callable[_P, _R], /) -> Callable[_P, _R]:
    """Make a function that may return a `tail_call`: called, it goes on calling until there is a result. Usable as a decorator.

    Functions that call each other so should all be decorated: each can then be called from anywhere, and between them no stack is used.

    >>> @trampolined
    ... def factorial(n, k=lambda result: result):
    ...     if n == 0:
    ...         return tail_call(k, 1)
    ...     return tail_call(factorial, n - 1, lambda result: tail_call(k, n * result))
    >>> factorial(5)
    120
    """
    if not callable(function):
        raise TypeError(f"trampolined takes a function, not {function!r}")

    @wraps(function)
    def bounce(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        result: _R = _bounce(function, args, kwargs)
        return result

    bounce._tail_body = function  # type: ignore[attr-defined]
    return bounce


_BOUNCE = trampolined(id).__code__


def _bounce(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    while True:
        # Plain calls, which a suspension may cross on every version.
        if kwargs:
            answer = function(*args, **kwargs)
        else:
            match len(args):
                case 0:
                    answer = function()
                case 1:
                    answer = function(args[0])
                case 2:
                    answer = function(args[0], args[1])
                case 3:
                    answer = function(args[0], args[1], args[2])
                case _:
                    answer = function(*args)
        if type(answer) is not _TailCall:
            return answer
        function, args, kwargs = answer[0], answer[1], answer[2]
        del answer  # nor is anything else kept of calls that are over
