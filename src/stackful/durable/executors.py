"""Executors by name: a run that waits between two attempts is stored, and an executor cannot be stored with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stackful.errors import FiberError
from stackful.executors import executor_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

__all__ = ["find_executor", "name_executor"]

_named: dict[str, Any] = {}


def name_executor(name: str, executor: Any) -> None:
    """Give an executor of this process a name for steps to use: ``step(function, executor=name)``.

    Args:
        name: stands in the stored state; every process that goes on with the run needs an executor of this name.
        executor: of `concurrent.futures`, or what is like one, or a ``Client`` of ``dask.distributed``; None: forget the name.

    Raises:
        TypeError: it is no executor.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> name_executor("threads", ThreadPoolExecutor(2))
    """
    if executor is None:
        _named.pop(name, None)
    else:
        _named[name] = executor_of(executor)


def find_executor(given: Any) -> Executor:
    """The executor with this name, or the one that was given itself.

    Raises:
        FiberError: this process has none of that name.
        TypeError: it is no executor.
    """
    if not isinstance(given, str):
        return executor_of(given)
    if given not in _named:
        raise FiberError(
            f"this process has no executor called {given!r}: call durable.name_executor({given!r}, ...) before runs are driven"
        )
    executor: Executor = _named[given]
    return executor
