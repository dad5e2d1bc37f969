"""Executors of others: whatever runs functions elsewhere has one face here, that of `concurrent.futures` (PEP 3148)."""

from __future__ import annotations

__all__ = ["executor_of"]

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from concurrent.futures import Executor
    from typing import Any


def executor_of(given: Any) -> Executor:
    """What was given, as an executor.

    Args:
        given: an executor of `concurrent.futures`, or what is like one; or a ``Client`` of ``dask.distributed``; or a function that returns one.

    Raises:
        TypeError: it is none of these.

    >>> from concurrent.futures import ThreadPoolExecutor
    >>> with ThreadPoolExecutor() as pool:
    ...     executor_of(pool) is pool
    True
    """
    if hasattr(given, "get_executor"):
        # A client takes calls with the same arguments for one and the same, and gives them one result: "pure". Ours may have effects.
        executor: Executor = given.get_executor(pure=False)
        return executor
    if callable(given) and not hasattr(given, "submit"):
        return executor_of(given())
    if not hasattr(given, "submit"):
        raise TypeError(f"{given!r} is no executor: it has no method submit() as those of concurrent.futures have")
    return given  # type: ignore[no-any-return]
