"""New runs of functions, as records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from stackful.durable.functions import check_arguments, name_of, options_of
from stackful.durable.given import check_count, check_number, check_text
from stackful.durable.names import checked_name, new_id
from stackful.durable.records import NewRun
from stackful.durable.store import Run, Status

if TYPE_CHECKING:
    from stackful.durable.contexts import Driver, Drives

__all__ = ["child_of", "new_run", "new_run_of"]

_PYTHON = sys.version.partition(" ")[0]
_LONGEST = 60


def new_run(
    drives: Drives,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    keywords: Mapping[str, Any],
    run_id: str | None = None,
    queue: str | None = None,
    priority: int = 0,
    key: str | None = None,
    deadline: float | None = None,
    attributes: Mapping[str, Any] | None = None,
    delay: float = 0.0,
    parent: str | None = None,
) -> NewRun:
    """A run of this function with these arguments; see `operations.start`.

    Raises:
        FiberError: the function is not marked.
        TypeError: an option is not what it should be, or the function does not take these arguments.
        StoreError: the id cannot name a run.
        UnsaveableError: an argument cannot be stored.
    """
    _check(queue, priority, key, deadline, attributes, delay)
    program = name_of(function)
    check_arguments(function, args, keywords)
    run_id = new_id(function.__name__, (), 8) if run_id is None else run_id if parent else checked_name(run_id)
    return new_run_of(
        drives, program, args, keywords, run_id, queue, priority, key, deadline, attributes, delay, parent
    )


def _check(queue: object, priority: object, key: object, deadline: object, attributes: object, delay: object) -> None:
    for name, text in (("queue", queue), ("key", key)):
        if text is not None:
            check_text(name, text)
    if priority:
        check_count("priority", priority, -(1 << 31))
    if deadline is not None:
        check_number("deadline", deadline)
    if delay:
        check_number("delay", delay)
    if attributes is None:
        return
    if not isinstance(attributes, Mapping):
        raise TypeError(f"attributes are a mapping of names to values, not {attributes!r}")
    for name in attributes:
        check_text("the name of an attribute", name)


def new_run_of(
    drives: Drives,
    program: str,
    args: tuple[Any, ...],
    keywords: Mapping[str, Any],
    run_id: str,
    queue: str | None = None,
    priority: int = 0,
    key: str | None = None,
    deadline: float | None = None,
    attributes: Mapping[str, Any] | None = None,
    delay: float = 0.0,
    parent: str | None = None,
) -> NewRun:
    """The same for a function that is known by its name only."""
    options = options_of(program)
    now = drives.store.now()
    limit = options.deadline if deadline is None else deadline
    run = Run(
        run_id, program, (), "", None, _PYTHON, now, Status.PENDING, None, now, "function", queue or options.queue,
        priority, key, parent, None, now + delay if delay else None, None, None if limit is None else now + limit, False,
        attributes, None, None, drives.version, options.history,
    )  # fmt: skip
    return NewRun(run, drives.seal(run_id, (args, keywords)))


def child_of(
    driver: Driver,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    keywords: Mapping[str, Any],
    run_id: str | None,
    queue: str | None,
    priority: int,
    key: str | None,
    deadline: float | None,
    attributes: Mapping[str, Any] | None,
    delay: float,
) -> NewRun:
    """A run that a run starts. Its id follows from the parent's state, so that there is one however often that is gone on from."""
    if run_id is None:
        run_id = f"{driver.id}.{driver.seq + 1}"
        if len(run_id) > _LONGEST:
            run_id = f"{driver.id[:20]}-{sha256(run_id.encode()).hexdigest()[:16]}"
    else:
        run_id = checked_name(run_id)
    return new_run(
        driver.drives, function, args, keywords, run_id, queue, priority, key, deadline, attributes, delay, driver.id
    )
