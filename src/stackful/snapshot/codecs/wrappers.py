"""What Python itself puts around coroutines and generators."""

from __future__ import annotations

import gc
from types import CoroutineType
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]


def _coroutine_wrapper_type() -> type:
    """The type of what ``__await__`` of a coroutine gives, which has no public name."""

    async def nothing() -> None:
        pass

    coroutine = nothing()
    kind = type(coroutine.__await__())
    coroutine.close()
    return kind


def _reduce_coroutine_wrapper(_: Any, wrapper: Any) -> Any:
    """It holds the coroutine and nothing else."""
    (coroutine,) = (held for held in gc.get_referents(wrapper) if isinstance(held, CoroutineType))
    return awaited, (coroutine,)


def awaited(coroutine: CoroutineType[Any, Any, Any]) -> Any:
    """What awaits a coroutine from outside of coroutines."""
    return coroutine.__await__()


REDUCERS: dict[type, Any] = {_coroutine_wrapper_type(): _reduce_coroutine_wrapper}
REBUILDERS = (awaited,)
