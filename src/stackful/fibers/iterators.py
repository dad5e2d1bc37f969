"""How copies fork the iterators of itertools, whose pickling 3.12 and 3.13 deprecate."""

from __future__ import annotations

import itertools
import warnings
from typing import Any

__all__ = ["reduce_quietly", "set_state_quietly"]


def reduce_quietly(iterator: Any) -> Any:
    """``__reduce__`` of an itertools object, which 3.12 and 3.13 deprecate."""
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
