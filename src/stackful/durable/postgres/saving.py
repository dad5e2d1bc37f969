"""Commits: the states of a group of runs, each guarded by its fence, and what else changes with them.

Lost wake-ups are the danger here: a run that is about to wait, and at the same time another that brings what it waits for, and neither sees
the other's change. So everybody first writes (or locks) the row of its own run, then locks the rows of those it looks at, and only then looks:
each statement sees what was committed before it began.
"""

from __future__ import annotations

import json

from stackful.durable.postgres.adding import insert_runs
from stackful.durable.postgres.blobs import drop_blobs, keep_blobs
from stackful.durable.postgres.rows import text
from stackful.durable.postgres.signalling import deliver, wake_for_signals
from stackful.durable.records import Save
from stackful.durable.store import ENDED, Status

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from stackful.durable.postgres.statements import Askable, Session
    from stackful.durable.records import Change

__all__ = ["change_script", "end_runs", "save_all", "save_plain"]

_ONE = """
    UPDATE stackful.states SET seq = %s::bigint, steps = %s::bigint, step = %s, line = %s, taken = stackful.clock(), size = %s::bigint, data = %s::bytea
    WHERE run = %s AND fence = %s::bigint
"""
_MANY = """
    UPDATE stackful.states s SET seq = v.seq, steps = v.steps, step = v.step, line = v.line, taken = stackful.clock(), size = length(v.data),
        data = v.data
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bytea[])
        AS v(run, fence, seq, steps, step, line, data)
    WHERE s.run = v.run AND s.fence = v.fence RETURNING s.run
"""
# A state that is not given stays, with all that is said of it.
_MIXED = """
    UPDATE stackful.states s SET
        owner = CASE WHEN v.releases THEN NULL ELSE s.owner END,
        seq = CASE WHEN v.data IS NULL THEN s.seq ELSE v.seq END, steps = CASE WHEN v.data IS NULL THEN s.steps ELSE v.steps END,
        step = CASE WHEN v.data IS NULL THEN s.step ELSE v.step END, line = CASE WHEN v.data IS NULL THEN s.line ELSE v.line END,
        taken = CASE WHEN v.data IS NULL THEN s.taken ELSE stackful.clock() END,
        size = CASE WHEN v.data IS NULL THEN s.size ELSE length(v.data) END, data = coalesce(v.data, s.data)
    FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::boolean[])
        AS v(run, fence, seq, steps, step, line, data, releases)
    WHERE s.run = v.run AND s.fence = v.fence RETURNING s.run
"""
_ENDED = "('finished', 'failed', 'cancelled')"
# Who falls asleep and is due at once was cancelled meanwhile: nobody else would tell that there is something to claim.
_CHANGE = f"""
    WITH changed AS (UPDATE stackful.runs r SET
        status = v.status, updated = stackful.clock(), queued = false,
        wake = CASE WHEN v.status = 'running' OR v.status IN {_ENDED} THEN NULL WHEN v.told THEN v.wake
            WHEN r.cancelled THEN stackful.clock() ELSE least(v.wake, r.deadline) END,
        waits = v.waits, question = CASE v.status WHEN 'waiting' THEN v.question END,
        result = CASE WHEN v.status IN {_ENDED} THEN v.result ELSE r.result END,
        error = CASE WHEN v.status IN {_ENDED} THEN v.error ELSE r.error END,
        exit_status = CASE WHEN v.status IN {_ENDED} THEN v.exit_status ELSE r.exit_status END,
        attributes = CASE WHEN v.attributes IS NULL THEN r.attributes ELSE
            nullif((coalesce(r.attributes, '{{}}') || v.attributes) - ARRAY(SELECT jsonb_array_elements_text(v.removed)), '{{}}') END
    FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::double precision[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::integer[],
            %s::boolean[], %s::jsonb[], %s::jsonb[])
        AS v(run, fence, status, wake, waits, question, result, error, exit_status, told, attributes, removed)
        JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    WHERE r.id = v.run RETURNING r.wake, r.cancelled)
    SELECT pg_notify('stackful', 'due') FROM changed WHERE cancelled AND wake <= stackful.clock() LIMIT 1
"""
_CONSUME = """
    DELETE FROM stackful.signals g USING unnest(%s::text[], %s::bigint[], %s::bigint[]) AS v(run, fence, id), stackful.states s
    WHERE s.run = v.run AND s.fence = v.fence AND g.id = v.id AND g.run = v.run
"""
_AWAIT = """
    INSERT INTO stackful.awaits (target, run)
    SELECT v.target, v.run FROM unnest(%s::text[], %s::bigint[], %s::text[]) AS v(run, fence, target)
        JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    ON CONFLICT DO NOTHING
"""
_LOCK_TARGETS = "SELECT FROM stackful.runs WHERE id = ANY(%s::text[]) ORDER BY id FOR SHARE"
_LOCK_WAITERS = """
    SELECT FROM stackful.runs WHERE id IN (SELECT run FROM stackful.awaits WHERE target = ANY(%s::text[])) ORDER BY id FOR NO KEY UPDATE
"""
_WAKE_WAITERS = f"""
    WITH woken AS (
        UPDATE stackful.runs r SET wake = stackful.clock()
        WHERE r.status = 'waiting' AND (r.wake IS NULL OR r.wake > stackful.clock())
            AND r.id IN (SELECT unnest(%s::text[]) UNION SELECT run FROM stackful.awaits WHERE target = ANY(%s::text[]))
            AND (EXISTS (SELECT FROM stackful.awaits a JOIN stackful.runs t ON t.id = a.target
                    WHERE a.run = r.id AND t.status IN ('failed', 'cancelled'))
                OR NOT EXISTS (SELECT FROM stackful.awaits a JOIN stackful.runs t ON t.id = a.target
                    WHERE a.run = r.id AND t.status NOT IN {_ENDED}))
        RETURNING r.id
    )
    SELECT pg_notify('stackful', 'due') FROM (SELECT FROM woken LIMIT 1) AS any_woken
"""
# What good ends leave behind; who waits for these runs; and whether the next of their queues may begin.
_FORGET = f"""
    WITH ended AS MATERIALIZED (
        SELECT id, status, queue FROM stackful.runs WHERE id = ANY(%s::text[]) AND status IN {_ENDED}
    ), done AS (
        SELECT id FROM ended WHERE status IN ('finished', 'cancelled')
    ), states AS (
        UPDATE stackful.states s SET data = NULL, size = 0 FROM done WHERE s.run = done.id
    ), signals AS (
        DELETE FROM stackful.signals g USING done WHERE g.run = done.id
    ), signal_keys AS (
        DELETE FROM stackful.signal_keys k USING done WHERE k.run = done.id
    )
    SELECT pg_notify('stackful', 'ended ' || id) FROM ended
    UNION ALL SELECT pg_notify('stackful', 'due')
        WHERE EXISTS (SELECT FROM stackful.runs q WHERE q.queued AND q.queue IN (SELECT queue FROM ended))
"""
_KEEP = """
    INSERT INTO stackful.checkpoints (run, seq, taken, size, steps, step, line, data)
    SELECT s.run, s.seq, s.taken, s.size, s.steps, s.step, s.line, s.data
    FROM unnest(%s::text[], %s::bigint[]) AS v(run, fence) JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    ON CONFLICT (run, seq) DO UPDATE SET taken = excluded.taken, size = excluded.size, steps = excluded.steps, step = excluded.step,
        line = excluded.line, data = excluded.data
"""
_THIN = """
    DELETE FROM stackful.checkpoints c USING unnest(%s::text[], %s::bigint[], %s::bigint[]) AS v(run, fence, seq), stackful.states s
    WHERE s.run = v.run AND s.fence = v.fence AND c.run = v.run AND c.seq = v.seq
"""


def save_plain(session: Session, saves: Sequence[Save]) -> list[str]:
    """Commit states, in one statement, that comes to the same when it is done twice; the runs whose fence was lost."""
    if len(saves) == 1:
        (s,) = saves
        values = [s.seq, s.steps, text(s.step), text(s.line), len(s.data or b""), s.data, s.run, s.fence]
        return [] if session.tell(_ONE, values) else [s.run]
    rows = ((s.run, s.fence, s.seq, s.steps, text(s.step), text(s.line), s.data) for s in saves)
    saved = {row[0] for row in session.ask(_MANY, _columns(rows, 7)).fetchall()}
    return [s.run for s in saves if s.run not in saved]


def save_all(session: Askable, saves: Sequence[Save]) -> Callable[[], list[str]]:
    """Send what saves states with all that changes; what is returned tells which runs' fence was lost, of which nothing is changed."""
    rows = (
        (s.run, s.fence, s.seq, s.steps, text(s.step), text(s.line), s.data, s.change is not None and s.change.status is not Status.RUNNING)
        for s in saves
    )  # fmt: skip
    answer = session.ask(_MIXED, _columns(rows, 8))
    changes = [(s, s.change) for s in saves if s.change is not None]
    _change_runs(session, changes)
    _keep(session, saves)
    _pass_on(session, changes)
    _settle(session, changes)

    def lost() -> list[str]:
        saved = {row[0] for row in answer.fetchall()}
        return [s.run for s in saves if s.run not in saved]

    return lost


def change_script(session: Askable, run_id: str, change: Change) -> None:
    """The same for the change of a script, which nobody claims and whose fence is never lost."""
    save_all(session, [Save(run_id, 0, 0, 0, "", "", None, change)])
    if change.source is not None:
        session.ask("UPDATE stackful.runs SET source = %s::bytea WHERE id = %s", [change.source, run_id])


def _change_runs(session: Askable, changes: Sequence[tuple[Save, Change]]) -> None:
    rows = [
        (save.run, save.fence, change.status.value, change.wake, change.waits, text(change.question), change.result, text(change.error),
         change.exit_status, change.told, *_attributes(change))
        for save, change in changes
        if change.status is not Status.RUNNING or change.attributes
    ]  # fmt: skip
    if rows:
        session.ask(_CHANGE, _columns(rows, 12))


def _attributes(change: Change) -> tuple[str | None, str | None]:
    if not change.attributes:
        return None, None
    kept = {name: value for name, value in change.attributes.items() if value is not None}
    return json.dumps(kept), json.dumps([name for name in change.attributes if name not in kept])


def _keep(session: Askable, saves: Sequence[Save]) -> None:
    """Large values, and checkpoints, which are thinned out: each power of two that one comes past costs one look."""
    keep_blobs(session, [(s.run, s.fence, s.seq, s.blobs) for s in saves if s.blobs])
    kept = [s for s in saves if s.history and s.data is not None]
    if kept:
        session.ask(_KEEP, _columns(((s.run, s.fence) for s in kept), 2))
        thinned = [(s.run, s.fence, seq) for s in kept for seq in _too_many(s.seq, s.history)]
        if thinned:
            session.ask(_THIN, _columns(thinned, 3))
    drop_blobs(session, saves)


def _too_many(seq: int, kept: int) -> list[int]:
    """Which checkpoints are too many now that this state is kept: of each stride the one that has just come within it, perhaps.

    Example:
        >>> _too_many(19, 4)
        [15, 11, 3]
    """
    found, reach, stride = [], kept, 2
    while seq - reach > 0:
        if (seq - reach) % stride:
            found.append(seq - reach)
        reach, stride = 2 * reach, 2 * stride
    return found


def _pass_on(session: Askable, changes: Sequence[tuple[Save, Change]]) -> None:
    """What states bring about for others: signals that are consumed or sent, children."""
    consumed = [(save.run, save.fence, number) for save, change in changes for number in change.consumed]
    if consumed:
        session.ask(_CONSUME, _columns(consumed, 3))
    children = [(new, (save.run, save.fence)) for save, change in changes for new in change.runs]
    if children:
        insert_runs(session, [new for new, _ in children], None, [saver for _, saver in children])
        session.ask("SELECT pg_notify('stackful', 'due')")
    sent = [(signal, (save.run, save.fence)) for save, change in changes for signal in change.signals]
    if sent:
        deliver(session, [signal for signal, _ in sent], [saver for _, saver in sent])


def _settle(session: Askable, changes: Sequence[tuple[Save, Change]]) -> None:
    """Wake those who wait for what is there now: these runs themselves, and others that wait for these."""
    waiting = [(save, change) for save, change in changes if change.status is Status.WAITING]
    names = [(s.run, c.waits.partition(":")[2]) for s, c in waiting if c.waits and c.waits.startswith("signal:")]
    if names:
        wake_for_signals(session, names)
    awaits = [(save.run, save.fence, target) for save, change in waiting for target in change.awaits]
    if awaits:
        session.ask(_AWAIT, _columns(awaits, 3))
        session.ask(_LOCK_TARGETS, [sorted({target for _, _, target in awaits})])
    ended = [save.run for save, change in changes if change.status in ENDED]
    end_runs(session, ended, [run for run, _, _ in awaits])


def end_runs(session: Askable, ended: list[str], waiting: list[str]) -> None:
    """What follows for others from the ends of runs, whose rows say so already; ``waiting`` has just begun to wait for others' ends."""
    if ended:
        session.ask(_LOCK_WAITERS, [ended])
    if ended or waiting:
        session.ask(_WAKE_WAITERS, [waiting, ended])
    if ended:
        session.ask(_FORGET, [ended])


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]
