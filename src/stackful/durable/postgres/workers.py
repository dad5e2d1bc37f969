"""Who works: workers that join, live, and are found dead."""

from __future__ import annotations

from stackful.durable.postgres.schema import LOCKS
from stackful.durable.records import Worker

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stackful.durable.postgres.statements import Askable, Session

__all__ = ["add", "find_dead", "heartbeat", "is_any_late", "longest_lease", "note_keys", "recover", "remove", "workers"]

# When the server was started, by its clock; long ago, if that has been set back to before it since.
_START = "(SELECT CASE WHEN began > stackful.clock() THEN 0 ELSE began END FROM extract(epoch FROM pg_postmaster_start_time()) AS began)"
# A worker that cannot have been heard of, because the server itself was away, is not late. One that was heard of in the future has not been
# since the clock was set back.
_IS_LATE = f"(greatest(w.seen, {_START}) + w.lease < stackful.clock() OR w.seen > stackful.clock() + w.lease)"
# A lock is free at once when its holder's session ends. A restart of the server frees them all: until a worker is heard of again, only
# its being late counts.
_IS_GONE = f"""
    (w.seen > {_START} AND pg_try_advisory_xact_lock_shared({LOCKS}, w.number))
"""
_ADD = """
    INSERT INTO stackful.workers (id, number, sessions, host, pid, started, seen, lease, draining)
    VALUES (%s, %s::integer, %s, %s, %s::integer, %s::double precision, stackful.clock(), %s::double precision, %s::boolean)
"""
# What a late worker has begun it holds locked, be it paused or cut off: its sessions are ended.
_END_SESSIONS = """
    SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN stackful.workers w ON w.sessions = a.application_name
    WHERE w.id = ANY(%s::text[]) AND a.usename = current_user AND a.pid <> pg_backend_pid()
"""
# A run whose owner is no worker (any more) has none.
_FREE = """
    WITH freed AS (
        UPDATE stackful.states s SET owner = NULL, fence = fence + 1
        WHERE s.owner = ANY(%s::text[]) OR (%s::boolean AND s.owner IS NOT NULL AND NOT EXISTS (SELECT FROM stackful.workers w WHERE w.id = s.owner))
        RETURNING s.run
    ), due AS (
        UPDATE stackful.runs r SET wake = stackful.clock() FROM freed WHERE r.id = freed.run AND r.status = 'running'
    )
    SELECT count(*) FROM freed
"""


def add(session: Askable, worker: Worker, number: int, lease: float, sessions: str) -> None:
    """Record a worker that holds the lock of this number already."""
    row = [worker.id, number, sessions, worker.host, worker.pid, worker.started, lease, worker.draining]
    session.ask(_ADD, row)
    session.ask("NOTIFY stackful, 'worker'")


def heartbeat(session: Askable, worker: str) -> bool:
    """Say that a worker lives; False if others took it for dead."""
    query = "UPDATE stackful.workers SET seen = stackful.clock() WHERE id = %s"
    return session.ask(query, [worker]).rowcount == 1


def is_any_late(session: Askable) -> bool:
    """Whether a worker has not been heard of for longer than its lease."""
    return bool(session.ask(f"SELECT EXISTS (SELECT FROM stackful.workers w WHERE {_IS_LATE})").fetchall()[0][0])


def longest_lease(session: Askable) -> float:
    """Within which all who live are heard of."""
    ((found,),) = session.ask("SELECT max(lease) FROM stackful.workers").fetchall()
    return float(found or 0.0)


def find_dead(session: Askable, are_late_dead: bool) -> list[str]:
    """The workers whose lock is free, and those that are late, unless nobody can tell; the sessions of those are ended."""
    query = f"SELECT w.id FROM stackful.workers w WHERE (%s::boolean AND {_IS_LATE}) OR {_IS_GONE}"
    rows = session.ask(query, [are_late_dead]).fetchall()
    dead = [row[0] for row in rows]
    if dead:
        session.ask(_END_SESSIONS, [dead])
    return dead


def recover(session: Askable, dead: Sequence[str], are_late_dead: bool) -> Callable[[], int]:
    """Forget workers that are dead still; what is returned tells how many runs have become due."""
    query = f"SELECT w.id FROM stackful.workers w WHERE w.id = ANY(%s::text[]) AND ((%s::boolean AND {_IS_LATE}) OR {_IS_GONE}) FOR UPDATE"
    found = [row[0] for row in session.ask(query, [list(dead), are_late_dead]).fetchall()]
    return remove(session, found, are_orphans_freed=True)


def remove(session: Askable, workers: list[str], are_orphans_freed: bool = False) -> Callable[[], int]:
    """Forget workers, and make their runs due; what is returned tells how many runs."""
    session.ask("DELETE FROM stackful.workers WHERE id = ANY(%s::text[])", [workers])
    freed = session.ask(_FREE, [workers, are_orphans_freed])
    session.ask("SELECT pg_notify('stackful', 'worker'), pg_notify('stackful', 'due')")

    def number() -> int:
        ((found,),) = freed.fetchall()
        return int(found)

    return number


def workers(session: Askable) -> list[Worker]:
    """The workers that live, the oldest first."""
    query = f"""
        SELECT w.id, w.host, w.pid, w.started, w.seen, w.draining FROM stackful.workers w
        WHERE NOT ({_IS_LATE} OR {_IS_GONE}) ORDER BY w.started, w.number
    """
    return [Worker(*row) for row in session.ask(query)]


def note_keys(session: Session, ids: Sequence[str]) -> bool:
    """Note the ids of keys, if one of them, or none at all, is known; whether that was so.

    Where nothing is stored yet, and nobody is at work, nothing is sealed with those that are known: who only looked at an empty store, before
    there was a key for all, has not decided which that is.
    """
    with session.transaction():
        session.ask("LOCK stackful.keys IN SHARE ROW EXCLUSIVE MODE")
        known = {row[0] for row in session.ask("SELECT id FROM stackful.keys")}
        if known and known.isdisjoint(ids):
            if _is_used(session):
                return False
            session.ask("DELETE FROM stackful.keys")
            known = set()
        query = "INSERT INTO stackful.keys SELECT unnest(%s::text[]), stackful.clock() ON CONFLICT DO NOTHING"
        if not known.issuperset(ids):
            session.ask(query, [list(ids)])
    return True


def _is_used(session: Askable) -> bool:
    query = "SELECT EXISTS (SELECT FROM stackful.runs) OR EXISTS (SELECT FROM stackful.schedules) OR EXISTS (SELECT FROM stackful.workers)"
    return bool(session.ask(query).fetchall()[0][0])
