"""Generators whose body may yield from any depth of ordinary calls, and copies of CPython's own.

A generator function here is a plain function: no ``yield`` in it, no ``yield from`` on the way down. (Semi-coroutines after Knuth and Dahl;
stackful generators after Moura and Ierusalimschy, "Revisiting Coroutines", 2009.)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from stackful import _core
from stackful._core import Generator
from stackful.fibers.stubs import stub

__all__ = ["Generator", "copy_generator", "generator", "yield_"]

_OF_ITS_OWN_KIND = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR

_P = ParamSpec("_P")
_G = TypeVar("_G")


@stub
def yield_(value: object = None) -> Any:
    """Give `value` to whoever advances the running generator; return what is sent to it, or None.

    May be called at any depth of plain Python calls beneath the generator's function. `FiberError` where no generator runs, `BarrierError`
    when a C call stands in between. (The yield expression of PEP 342.)

    >>> def visit(tree):
    ...     if tree:
    ...         left, value, right = tree
    ...         visit(left)
    ...         yield_(value)
    ...         visit(right)
    >>> list(generator(visit)(((None, 1, None), 2, (None, 3, None))))
    [1, 2, 3]
    """
    return ~"gate"  # type: ignore[operator]


def generator(function: Callable[_P, Any], /) -> Callable[_P, Generator[Any, Any, Any]]:
    """Make a function into one that, called, returns a `Generator`: an iterator over what is given to `yield_` beneath it.

    Usable as a decorator. The result follows the protocol of Python's generators: iteration, ``send``, ``throw``, ``close``, the returned value
    in ``StopIteration``, and a ``StopIteration`` raised inside becomes ``RuntimeError`` (PEP 255, 342, 380, 479). It can be copied, pickled and
    looked at as any fiber, and is closed when it is dropped; copies are not.

    >>> @generator
    ... def countdown(n):
    ...     while n:
    ...         yield_(n)
    ...         n -= 1
    ...     return "liftoff"
    >>> list(countdown(3))
    [3, 2, 1]
    >>> import copy
    >>> one = countdown(3)
    >>> next(one)
    3
    >>> other = copy.copy(one)
    >>> list(one), list(other)
    ([2, 1], [2, 1])
    """
    if not callable(function):
        raise TypeError(f"generator takes a function, not {function!r}")
    code = getattr(function, "__code__", None)
    if code is not None and code.co_flags & _OF_ITS_OWN_KIND:
        raise TypeError(
            f"{function!r} has a yield or an await of its own: write yield_(value) in a plain function, or leave the decorator away"
        )

    @wraps(function)
    def begin(*args: _P.args, **kwargs: _P.kwargs) -> Generator[Any, Any, Any]:
        return Generator(function, *args, **kwargs)

    return begin


def copy_generator(original: _G, /) -> _G:
    """A second continuation of a plain generator, coroutine or async generator of CPython that is not running.

    As ``copy.copy`` of a fiber: its frame is copied, with the iterators of its running loops and the generators that it delegates to; other
    objects are shared. A finished one is returned itself: nothing in it can diverge. The copy is a generator like any other: it is closed when it
    is dropped. `FiberError` while the original runs or its consumer waits for it; `TypeError` while it waits for an async generator.

    >>> def count():
    ...     for number in range(5):
    ...         yield number
    >>> one = count()
    >>> next(one)
    0
    >>> other = copy_generator(one)
    >>> list(one), list(other)
    ([1, 2, 3, 4], [1, 2, 3, 4])
    """
    if isinstance(original, _core.Fiber):
        raise TypeError(
            f"copy_generator is for generators of CPython; {original!r} is one of Stackful's: copy.copy copies it"
        )
    twin: _G = _core.copy_generator(original)
    return twin
