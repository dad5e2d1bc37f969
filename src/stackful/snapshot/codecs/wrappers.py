"""What Python itself puts around coroutines and asynchronous generators, to await them."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator
from types import CoroutineType
from typing import Any

from stackful import _core
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_FRESH = 0  # of AsyncSend in csrc/cpython/iterator_layouts.h


async def _nothing() -> None:
    pass


async def _no_values() -> AsyncGenerator[None, None]:
    return
    yield


def _types() -> tuple[type, type, type, type]:
    """Of what ``__await__``, ``asend``, ``athrow`` and ``anext`` with a default give, which have no public names."""
    coroutine, generator = _nothing(), _no_values()
    wrapper = type(coroutine.__await__())
    coroutine.close()
    made: list[Any] = [generator.__anext__(), generator.aclose(), anext(generator, None)]
    for awaitable in made:
        awaitable.close()  # or it would be warned of
    return wrapper, type(made[0]), type(made[1]), type(made[2])


_WRAPPER, _SEND, _THROW, _NEXT = _types()


def _reduce_coroutine_wrapper(_: Any, wrapper: Any) -> Any:
    """It holds the coroutine and nothing else."""
    (coroutine,) = (held for held in gc.get_referents(wrapper) if isinstance(held, CoroutineType))
    return awaited, (coroutine,)


def awaited(coroutine: CoroutineType[Any, Any, Any]) -> Any:
    """What awaits a coroutine from outside of coroutines."""
    return coroutine.__await__()


def _reduce_send(_: Any, awaitable: Any) -> Any:
    generator, value, state = _core.asend_state(awaitable)
    return next_value, (generator, *(() if value is _core.NULL else (value,))), state, None, None, fill_next_value


def next_value(generator: AsyncGenerator[Any, Any], *value: Any) -> Any:
    """What awaits the next value of an asynchronous generator."""
    return generator.asend(*value) if value else generator.__anext__()


def fill_next_value(awaitable: Any, state: int) -> None:
    """How far that is."""
    if state != _FRESH:
        _core.set_asend(awaitable, state)


def _reduce_throw(_: Any, __: Any) -> Any:
    raise RefusedError("an asynchronous generator is being closed or thrown into: await that before the snapshot")


def _reduce_next(_: Any, awaitable: Any) -> Any:
    wrapped, default = gc.get_referents(awaitable)
    return next_or_default, (wrapped, default)


class _Next:
    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __anext__(self) -> Any:
        return self._wrapped


def next_or_default(wrapped: Any, default: Any) -> Any:
    """What ``anext`` with a default gives."""
    return anext(_Next(wrapped), default)


REDUCERS: dict[type, Any] = {
    _WRAPPER: _reduce_coroutine_wrapper,
    _SEND: _reduce_send,
    _THROW: _reduce_throw,
    _NEXT: _reduce_next,
}
REBUILDERS = (awaited, next_value, fill_next_value, next_or_default)
