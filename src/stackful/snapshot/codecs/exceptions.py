"""Exceptions whole: with traceback, context and cause, which their own pickling leaves out.

No traceback can be made but of a frame, and finished frames are not saved: so one is made of frames that only have the file, the names and
the line of what ran. It is shown as it was; the locals of those frames are gone.
"""

from __future__ import annotations

from functools import lru_cache
from types import CodeType, TracebackType
from typing import Any

from stackful import _core

__all__ = ["BASES", "REBUILDERS", "REDUCERS"]

PROTOCOL = 5
_NOWHERE = -1  # in the code: else the line would be looked up there (v3.13.0 Lib/traceback.py, _get_code_position)


def _reduce_exception(_: Any, error: BaseException) -> Any:
    reduced = error.__reduce_ex__(PROTOCOL)
    if not isinstance(reduced, tuple) or len(reduced) > 3:
        return reduced
    own = reduced[2] if len(reduced) > 2 else None
    state = (own, error.__context__, error.__cause__, error.__suppress_context__, error.__traceback__)
    return *reduced[:2], state, None, None, fill_exception


def fill_exception(error: BaseException, state: tuple[Any, ...]) -> None:
    """What an exception's own pickling leaves out."""
    own, error.__context__, error.__cause__, error.__suppress_context__, *traceback_ = state
    error.__traceback__ = traceback_[0] if traceback_ else None
    if own is not None:
        set_state = getattr(error, "__setstate__", None)
        if set_state is None:
            error.__dict__.update(own)
        else:
            set_state(own)


def _reduce_traceback(_: Any, shown: TracebackType) -> Any:
    entries = []
    step: TracebackType | None = shown
    while step is not None:
        code = step.tb_frame.f_code
        entries.append((code.co_filename, code.co_name, code.co_qualname, code.co_firstlineno, step.tb_lineno))
        step = step.tb_next
    return traceback, (entries,)


def _nothing() -> None:
    pass


@lru_cache(maxsize=256)
def _code_at(file: str, name: str, qualname: str, line: int) -> CodeType:
    return _nothing.__code__.replace(co_filename=file, co_name=name, co_qualname=qualname, co_firstlineno=line)


def traceback(entries: list[tuple[str, str, str, int, int]]) -> TracebackType | None:
    """A traceback that says where an exception came from; the first entry is the outermost."""
    made = None
    for file, name, qualname, line, at in reversed(entries):
        made = TracebackType(made, _core.bare_frame(_code_at(file, name, qualname, line)), _NOWHERE, at)
    return made


REDUCERS: dict[type, Any] = {TracebackType: _reduce_traceback}
BASES: list[tuple[type, Any]] = [(BaseException, _reduce_exception)]
REBUILDERS = (fill_exception, traceback)
