"""Exceptions whole: with their context and their cause, which their own pickling leaves out."""

from __future__ import annotations

from typing import Any

__all__ = ["BASES", "REBUILDERS", "REDUCERS"]

PROTOCOL = 5


def _reduce_exception(_: Any, error: BaseException) -> Any:
    reduced = error.__reduce_ex__(PROTOCOL)
    if not isinstance(reduced, tuple) or len(reduced) > 3:
        return reduced
    own = reduced[2] if len(reduced) > 2 else None
    state = (own, error.__context__, error.__cause__, error.__suppress_context__)
    return *reduced[:2], state, None, None, fill_exception


def fill_exception(error: BaseException, state: tuple[Any, ...]) -> None:
    """What an exception's own pickling leaves out."""
    error.__traceback__ = None  # on 3.11 this is not the same as never having had one, and except* tells them apart
    own, error.__context__, error.__cause__, error.__suppress_context__ = state
    if own is not None:
        set_state = getattr(error, "__setstate__", None)
        if set_state is None:
            error.__dict__.update(own)
        else:
            set_state(own)


REDUCERS: dict[type, Any] = {}
BASES: list[tuple[type, Any]] = [(BaseException, _reduce_exception)]
REBUILDERS = (fill_exception,)
