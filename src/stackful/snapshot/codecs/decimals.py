"""Contexts of decimal numbers in force."""

from __future__ import annotations

import decimal
import gc
from contextvars import Context
from typing import Any

from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_MANAGER: type = type(decimal.localcontext())
_IS_OF_C = bool(_MANAGER.__flags__ & 1 << 8)  # that of Python's own decimal is an object as any other


def _reduce_manager(_: Any, manager: Any) -> Any:
    """A ``with decimal.localcontext()`` holds its own context, and the one around it."""
    held = [value for value in gc.get_referents(manager) if isinstance(value, decimal.Context)]
    if len(held) < 2:  # CPython 3.11 and 3.12 do not tell the collector
        raise RefusedError(
            "its contexts cannot be seen before CPython 3.13: use decimal.setcontext(), or suspend outside of the `with`",
            manager,
        )
    return local_context, (held[0], held[1])


def local_context(local: decimal.Context, outer: decimal.Context) -> Any:
    """A ``with decimal.localcontext()`` that may have been entered."""

    def make() -> Any:
        decimal.setcontext(outer)
        return decimal.localcontext(local)

    return Context().run(make)


REDUCERS: dict[type, Any] = {_MANAGER: _reduce_manager} if _IS_OF_C else {}
REBUILDERS = (local_context,)
