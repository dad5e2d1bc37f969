"""Who works on a run: claims, and runs that are given back, cancelled, tried again; what is due next."""

from __future__ import annotations

from stackful.durable.postgres.rows import COLUMNS, run, run_of
from stackful.durable.postgres.saving import end_runs
from stackful.durable.records import Claimed, State
from stackful.durable.store import ENDED, Run, Status
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from stackful.durable.postgres.statements import Askable
    from stackful.durable.records import Reach

__all__ = ["cancel", "cancelled", "claim", "next_due", "release", "retry"]

_NOW = "(SELECT stackful.clock())"  # asked once a statement, and so of use to an index

# Runs whose time has come and that have a queue before them are put in it. Those that another worker looks at are its business.
_QUEUE_UP = f"""
    UPDATE stackful.runs SET queued = true, wake = deadline WHERE id IN (
        SELECT id FROM stackful.runs
        WHERE wake <= {_NOW} AND kind = 'function' AND queue IS NOT NULL AND started IS NULL AND NOT queued
            AND (deadline IS NULL OR deadline > {_NOW})
        FOR UPDATE SKIP LOCKED)
"""
# The queues in which runs wait: one look at the index for each, not one for each run.
_QUEUES = """
    RECURSIVE waiting (queue) AS (
        SELECT min(queue) FROM stackful.runs WHERE queued
        UNION ALL SELECT (SELECT min(r.queue) FROM stackful.runs r WHERE r.queued AND r.queue > waiting.queue) FROM waiting
        WHERE waiting.queue IS NOT NULL
    )
"""
# Limits hold for all workers together: who counts the runs of a queue and then takes some is alone with it.
_LOCK_QUEUES = f"""
    WITH {_QUEUES} SELECT FROM stackful.queues q WHERE (q.concurrency IS NOT NULL OR q.rate IS NOT NULL)
    AND q.name IN (SELECT queue FROM waiting) ORDER BY q.name FOR NO KEY UPDATE
"""
_ROOM = f"""
    least(
        CASE WHEN q.concurrency IS NULL THEN 1000000 ELSE q.concurrency - (
            SELECT count(*) FROM stackful.runs u WHERE u.queue = q.name AND u.status IN ('running', 'sleeping', 'waiting')) END,
        CASE WHEN q.rate IS NULL THEN 1000000 ELSE q.rate - (
            SELECT count(*) FROM stackful.runs b WHERE b.queue = q.name AND b.started > {_NOW} - q.seconds) END
    )
"""
_WITHIN = """
    (%(programs)s::text[] IS NULL OR program = ANY(%(programs)s::text[])) AND (%(queues)s::text[] IS NULL OR coalesce(queue, '-') = ANY(%(queues)s::text[]))
"""
_CLAIM = f"""
    WITH {_QUEUES}, due AS MATERIALIZED (
        SELECT id, waits, wake FROM stackful.runs
        WHERE wake <= {_NOW} + %(ahead)s::double precision AND (wake <= {_NOW} OR status = 'sleeping')
            AND kind = 'function' AND (queue IS NULL OR started IS NOT NULL OR deadline <= {_NOW}) AND {_WITHIN}
        ORDER BY priority DESC, wake, number LIMIT %(limit)s::bigint FOR UPDATE SKIP LOCKED
    ), room AS MATERIALIZED (
        SELECT w.queue, CASE WHEN q.name IS NULL THEN 1000000 ELSE {_ROOM} END AS size
        FROM waiting w LEFT JOIN stackful.queues q ON q.name = w.queue WHERE w.queue IS NOT NULL
    ), admitted AS MATERIALIZED (
        SELECT first.id, first.waits, NULL::double precision FROM room, LATERAL (
            SELECT id, waits FROM stackful.runs r
            WHERE r.queued AND r.queue = room.queue AND {_WITHIN}
            ORDER BY priority DESC, number LIMIT greatest(least(room.size, %(limit)s::bigint), 0) FOR UPDATE SKIP LOCKED
        ) AS first LIMIT %(limit)s::bigint - (SELECT count(*) FROM due)
    ), chosen AS MATERIALIZED (
        SELECT * FROM due UNION SELECT * FROM admitted
    ), taken AS (
        UPDATE stackful.runs r SET status = 'running', wake = NULL, queued = false, waits = NULL, question = NULL,
            updated = {_NOW}, started = coalesce(r.started, {_NOW})
        FROM chosen WHERE r.id = chosen.id RETURNING r.*
    ), held AS (
        UPDATE stackful.states s SET fence = s.fence + 1, owner = %(worker)s
        FROM chosen WHERE s.run = chosen.id RETURNING s.*
    ), waited AS (
        DELETE FROM stackful.awaits a USING chosen WHERE a.run = chosen.id
    )
    SELECT {COLUMNS}, chosen.waits, chosen.wake, s.fence, s.data, CASE WHEN s.data IS NULL THEN r.arguments END
    FROM taken r JOIN held s ON s.run = r.id JOIN chosen ON chosen.id = r.id ORDER BY r.priority DESC, r.number
"""
_RELEASE = f"""
    WITH given AS (
        UPDATE stackful.states s SET owner = NULL, fence = s.fence + 1 FROM unnest(%s::text[], %s::bigint[]) AS v(run, fence)
        WHERE s.run = v.run AND s.fence = v.fence AND s.owner IS NOT NULL RETURNING s.run
    ), freed AS (
        UPDATE stackful.runs r SET wake = {_NOW} FROM given WHERE r.id = given.run AND r.status = 'running' RETURNING r.id
    )
    SELECT pg_notify('stackful', 'due') FROM (SELECT FROM freed LIMIT 1) AS any_freed
"""
_NEXT = f"""
    WITH {_QUEUES}
    SELECT least(
        (SELECT min(wake) FROM stackful.runs WHERE wake IS NOT NULL AND kind = 'function' AND {_WITHIN}),
        (SELECT min(next) FROM stackful.schedules WHERE name <> ALL(%(unread)s::text[]) AND {_WITHIN}),
        (SELECT min(CASE WHEN q.rate IS NULL THEN {_NOW} ELSE coalesce((
                SELECT b.started + q.seconds FROM stackful.runs b WHERE b.queue = q.name AND b.started > {_NOW} - q.seconds
                ORDER BY b.started DESC LIMIT 1 OFFSET greatest(q.rate - 1, 0)), {_NOW}) END)
            FROM waiting w LEFT JOIN stackful.queues q ON q.name = w.queue
            WHERE w.queue IS NOT NULL AND EXISTS (SELECT FROM stackful.runs r WHERE r.queued AND r.queue = w.queue AND {_WITHIN})
                AND (q.concurrency IS NULL OR q.concurrency > (
                SELECT count(*) FROM stackful.runs u WHERE u.queue = q.name AND u.status IN ('running', 'sleeping', 'waiting'))))
    )
"""
_CANCEL = """
    UPDATE stackful.runs SET cancelled = true, updated = stackful.clock(),
        status = CASE WHEN %(is_new)s::boolean THEN 'cancelled' ELSE status END,
        error = CASE WHEN %(is_new)s::boolean THEN 'cancelled before it began' ELSE error END,
        wake = CASE WHEN %(is_new)s::boolean THEN NULL WHEN status = 'running' THEN wake ELSE stackful.clock() END,
        queued = queued AND status = 'running'
    WHERE id = %(id)s
"""


def claim(session: Askable, worker: str, limit: int, reach: Reach | None, ahead: float) -> Callable[[], list[Claimed]]:
    """Send what takes over up to `limit` runs that are due, or sleep and will be due so soon; what is returned gives them."""
    session.ask(_QUEUE_UP)
    session.ask(_LOCK_QUEUES)
    values = {**_names(reach), "limit": limit, "worker": worker, "ahead": ahead}
    answer = session.ask(_CLAIM, values)
    return lambda: [_claimed(row) for row in answer.fetchall()]


def _claimed(row: Sequence[Any]) -> Claimed:
    *columns, waits, wake, fence, data, arguments = row
    found = run_of(columns)._replace(waits=waits)
    assert isinstance(fence, int)
    if not isinstance(data, bytes):
        return Claimed(found, fence, None, arguments if isinstance(arguments, bytes) else b"", wake)
    state = State(found.id, found.seq, found.steps, found.step, found.line, found.taken or 0.0, len(data), data)
    return Claimed(found, fence, state, wake=wake)


def release(session: Askable, fences: Mapping[str, int]) -> Callable[[], None]:
    """Give runs back: their last state is due at once, for anybody."""
    session.ask(_RELEASE, [list(fences), list(fences.values())])
    return lambda: None


def cancelled(session: Askable, worker: str) -> list[str]:
    """The runs of a worker whose end was asked for."""
    query = (
        "SELECT s.run FROM stackful.states s JOIN stackful.runs r ON r.id = s.run WHERE s.owner = %s AND r.cancelled"
    )
    return [row[0] for row in session.ask(query, [worker])]


def next_due(session: Askable, reach: Reach | None) -> float | None:
    """When `claim` will next have something, or a schedule fires."""
    values = {**_names(reach), "unread": [] if reach is None else [*reach.unread]}
    ((when,),) = session.ask(_NEXT, values).fetchall()
    return None if when is None else float(when)


def _names(reach: Reach | None) -> dict[str, Any]:
    programs, queues = (None, None) if reach is None else (reach.programs, reach.queues)
    return {
        "programs": None if programs is None else list(programs),
        "queues": None if queues is None else list(queues),
    }


def cancel(session: Askable, address: str, run_id: str) -> Callable[[], Status]:
    """Ask for a run's end; what is returned tells its status from then on."""
    found = _locked(session, address, run_id)
    if found.status in ENDED:
        return lambda: found.status
    is_new = found.status is Status.PENDING and not found.seq and found.started is None
    session.ask(_CANCEL, {"is_new": is_new, "id": found.id})
    if is_new:
        end_runs(session, [found.id], [])
    else:
        session.ask("SELECT pg_notify('stackful', %s)", [f"cancel {found.id}"])
        session.ask("SELECT pg_notify('stackful', 'due')")
    return lambda: Status.CANCELLED if is_new else found.status


def retry(session: Askable, address: str, run_id: str) -> Callable[[], None]:
    """A run that has failed goes on from its last state, or from its arguments if it has none."""
    found = _locked(session, address, run_id)
    if found.status is not Status.FAILED or found.kind != "function":
        what = "a script" if found.kind != "function" else found.status.value
        raise StoreError(f"run {found.id} is {what}: only a run of a function that has failed can be tried again")
    query = "SELECT FROM stackful.runs WHERE dedup = %s AND status <> ALL(%s::text[])"
    if found.dedup and session.ask(query, [found.dedup, [status.value for status in ENDED]]).rowcount:
        raise StoreError(f"run {found.id} cannot be tried again: another run with its key {found.dedup} is under way")
    session.ask(
        "UPDATE stackful.runs SET status = 'pending', wake = stackful.clock(), cancelled = false, deadline = NULL, error = NULL,"
        " updated = stackful.clock() WHERE id = %s",
        [found.id],
    )
    session.ask("SELECT pg_notify('stackful', 'due')")
    return lambda: None


def _locked(session: Askable, address: str, run_id: str) -> Run:
    """A run whose row nobody else changes before this transaction ends."""
    name = run(session, address, run_id).id
    session.ask("SELECT FROM stackful.runs WHERE id = %s FOR UPDATE", [name])
    return run(session, address, name)
