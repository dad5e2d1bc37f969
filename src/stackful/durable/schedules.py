"""Runs that are started again and again, by the clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from stackful.durable.connections import current_engine
from stackful.durable.functions import check_arguments, name_of, options_of
from stackful.durable.given import check_text
from stackful.durable.records import NewRun, Reach, Schedule
from stackful.durable.starting import new_run_of

if TYPE_CHECKING:
    from stackful.durable.engine import Engine

__all__ = ["fire_due", "next_time", "schedule", "unschedule"]

_log = logging.getLogger("stackful.durable")


def schedule(
    function: Callable[..., Any],
    cron: str,
    /,
    *args: Any,
    name: str | None = None,
    zone: str = "UTC",
    queue: str | None = None,
    **keywords: Any,
) -> str:
    """Start a run of the function whenever its time has come, as long as any worker works on the store. Saying so again changes it.

    Times that passed while no worker was there are made up for by one run.

    Args:
        function: marked with `run`.
        cron: "minute hour day month weekday", as in crontab(5), with names, steps and ``L``; or with seconds in front.
        args, keywords: what each run is called with.
        name: what the schedule is called; by default by the function's name.
        zone: the time zone that it is read in, as "Europe/Berlin". Workers that lack it leave the schedule to others.
        queue: where its runs wait.

    Returns:
        The name.

    Raises:
        FiberError: the function is not marked.
        TypeError: the function does not take these arguments, or another one is no text.
        ValueError: the text is no cron expression, or there is no such time zone.
        StoreError: no store is open.
    """
    engine = current_engine()
    program = name_of(function, "schedule")
    check_arguments(function, args, keywords)
    for what, given in (("cron", cron), ("zone", zone), ("name", name or ""), ("queue", queue or "")):
        check_text(what, given)
    name = name or function.__qualname__
    arguments = engine.seal(_sealed_for(name), (args, keywords))
    first = next_time(cron, zone, engine.store.now())
    engine.store.put_schedule(Schedule(name, program, cron, zone, first, arguments, queue or options_of(program).queue))
    return name


def unschedule(name: str) -> None:
    """Start no more runs by the schedule of that name; those that have begun go on."""
    current_engine().store.drop_schedule(name)


def next_time(cron: str, zone: str, after: float) -> float:
    """When a cron text says it is time next, in seconds since the epoch.

    >>> next_time("0 3 * * *", "UTC", 0.0)
    10800.0
    """
    from cronsim import CronSim, CronSimError

    try:
        start = datetime.fromtimestamp(after, _zone_of(zone))
        found: datetime = next(CronSim(cron, start))
    except CronSimError as error:
        raise ValueError(f"{cron!r} is no cron expression: {error}; as in '30 3 * * mon-fri'") from error
    except StopIteration:
        raise ValueError(f"{cron!r} is never") from None
    return found.timestamp()


def _zone_of(zone: str) -> tzinfo:
    try:
        return UTC if zone == "UTC" else ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {zone!r}; use a name like 'Europe/Berlin'") from None


def _sealed_for(name: str) -> str:
    return f"schedule {name}"


def fire_due(engine: Engine) -> tuple[str, ...]:
    """Start what schedules say is due, and this process takes up: only that does it know.

    Returns:
        The schedules that are due and that this process cannot read, for it lacks their time zone. They wait for a worker that can.
    """
    now = engine.store.now()
    unread: list[str] = []
    for due in engine.store.schedules():
        if due.next <= now and _is_within(engine.reach, due):
            following = _following(due, now)
            if following is None:
                unread.append(due.name)
            else:
                engine.store.fire(due, following, _run_of(engine, due))
    return tuple(unread)


def _following(due: Schedule, now: float) -> float | None:
    """When a schedule is due the next time; None where nobody can tell here. It said so when it was made, elsewhere perhaps."""
    try:
        return next_time(due.cron, due.zone, now)
    except (ValueError, ImportError) as error:
        _warn(due.name, str(error))
        return None


@cache
def _warn(name: str, reason: str) -> None:
    """Once for each."""
    _log.warning("schedule %s is due, but this worker cannot read it and leaves it to others: %s", name, reason)


def _is_within(reach: Reach | None, due: Schedule) -> bool:
    return reach is None or (
        (reach.programs is None or due.program in reach.programs)
        and (reach.queues is None or (due.queue or "-") in reach.queues)
    )


def _run_of(engine: Engine, due: Schedule) -> NewRun:
    when = datetime.fromtimestamp(due.next, UTC)
    run_id = f"{due.name.replace('.', '-').replace('<', '').replace('>', '')[:40]}-{when:%Y%m%d-%H%M%S}"
    try:
        args, keywords = engine.unseal(_sealed_for(due.name), due.arguments)
    except Exception:  # noqa: BLE001 - a value's own class may raise anything; it ends this run by name, not the schedules
        run = new_run_of(engine, due.program, (), {}, run_id, due.queue)
        run.arguments = due.arguments
        return run
    return new_run_of(engine, due.program, args, keywords, run_id, due.queue)
