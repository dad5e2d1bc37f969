"""How copies fork the iterators of itertools, whose pickling 3.12 and 3.13 deprecate."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

from stackful import _core

__all__ = ["reduce_count", "reduce_quietly", "set_state_quietly"]


def reduce_count(iterator: Any) -> Any:
    """``__reduce__`` of an `itertools.count`: its own raises SystemError at `sys.maxsize` (v3.13.0 Modules/itertoolsmodule.c, count_reduce).

    >>> make, arguments = reduce_count(itertools.count(5, 2))
    >>> next(make(*arguments))
    5
    """
    step, large, number = _core.iterator_state(iterator)
    return itertools.count, (number if large is _core.NULL else large, step)


def reduce_quietly(iterator: Any) -> Any:
    """``__reduce__`` of an itertools object, which 3.12 and 3.13 deprecate."""
    if type(iterator) is itertools.count:
        return reduce_count(iterator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            if isinstance(iterator, itertools.groupby):
                raise TypeError("it has handed out parts of itself")
            return iterator.__reduce__()
        except TypeError:
            raise TypeError(
                f"cannot copy: a loop runs over {iterator!r}, which does not tell where it stands; loop over a list or generator"
            ) from None


def set_state_quietly(iterator: Any, state: Any) -> None:
    """``__setstate__`` of an itertools object."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        iterator.__setstate__(state)
