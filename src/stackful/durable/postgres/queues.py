"""Queues and their limits, schedules and when they fire."""

from __future__ import annotations

from stackful.durable.postgres.adding import add_runs
from stackful.durable.records import Queue, Schedule

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.durable.postgres.statements import Askable
    from stackful.durable.records import NewRun

__all__ = ["drop_schedule", "fire", "put_queue", "put_schedule", "queues", "schedules"]

_PUT_QUEUE = """
    INSERT INTO stackful.queues (name, concurrency, rate, seconds) VALUES (%s, %s::integer, %s::integer, %s::double precision) ON CONFLICT (name) DO UPDATE
    SET concurrency = excluded.concurrency, rate = excluded.rate, seconds = excluded.seconds
"""
# When it fires next stays as it is unless what it says has changed.
_PUT_SCHEDULE = """
    INSERT INTO stackful.schedules AS s (name, program, cron, zone, next, arguments, queue) VALUES (%s, %s, %s, %s, %s::double precision, %s::bytea, %s)
    ON CONFLICT (name) DO UPDATE SET arguments = excluded.arguments, queue = excluded.queue, program = excluded.program,
        cron = excluded.cron, zone = excluded.zone,
        next = CASE WHEN (s.program, s.cron, s.zone) = (excluded.program, excluded.cron, excluded.zone) THEN s.next ELSE excluded.next END
"""


def put_queue(session: Askable, queue: Queue) -> None:
    """Make a queue, or change its limits; more of its runs may be admitted now."""
    rate, seconds = queue.rate or (None, None)
    session.ask(_PUT_QUEUE, [queue.name, queue.concurrency, rate, seconds])
    session.ask("NOTIFY stackful, 'due'")


def queues(session: Askable) -> list[Queue]:
    """All queues that were made, by name."""
    rows = session.ask('SELECT name, concurrency, rate, seconds FROM stackful.queues ORDER BY name COLLATE "C"')
    return [
        Queue(name, concurrency, None if rate is None else (rate, seconds)) for name, concurrency, rate, seconds in rows
    ]


def put_schedule(session: Askable, schedule: Schedule) -> None:
    """Make a schedule, or change it."""
    s = schedule
    session.ask(_PUT_SCHEDULE, [s.name, s.program, s.cron, s.zone, s.next, s.arguments, s.queue])
    session.ask("NOTIFY stackful, 'due'")


def schedules(session: Askable) -> list[Schedule]:
    """All schedules, by name."""
    query = 'SELECT name, program, cron, zone, next, arguments, queue FROM stackful.schedules ORDER BY name COLLATE "C"'
    return [Schedule(*row) for row in session.ask(query)]


def drop_schedule(session: Askable, name: str) -> None:
    """Forget a schedule; harmless if there is none."""
    session.ask("DELETE FROM stackful.schedules WHERE name = %s", [name])


def fire(session: Askable, address: str, schedule: Schedule, then: float, run: NewRun) -> Callable[[], bool]:
    """Add the run that is due by a schedule, if no other worker was first; what is returned tells."""
    query = "UPDATE stackful.schedules SET next = %s::double precision WHERE name = %s AND next = %s::double precision RETURNING name"
    if not session.ask(query, [then, schedule.name, schedule.next]).fetchall():
        return lambda: False
    add_runs(session, address, [run], None)
    return lambda: True
