"""Signals: sent to runs, kept until they are consumed."""

from __future__ import annotations

from stackful.durable.records import Signal
from stackful.errors import RunNotFoundError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stackful.durable.postgres.statements import Answer, Askable
    from stackful.durable.records import NewSignal

__all__ = ["deliver", "send", "signals", "wake_for_signals"]

# A run that is about to wait writes its row first and looks for signals then: whoever comes second of the two sees the other.
_LOCK = "SELECT id FROM stackful.runs WHERE id = ANY(%s::text[]) ORDER BY id FOR SHARE"
_DELIVER = """
    WITH given AS MATERIALIZED (
        SELECT v.* FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::bigint[])
            WITH ORDINALITY AS v(run, name, payload, key, saver, guard, place)
            JOIN stackful.runs r ON r.id = v.run AND r.status NOT IN ('finished', 'cancelled')
        WHERE v.saver IS NULL OR EXISTS (SELECT FROM stackful.states s WHERE s.run = v.saver AND s.fence = v.guard)
    ), keyed AS (
        INSERT INTO stackful.signal_keys (run, key) SELECT run, key FROM given WHERE key IS NOT NULL ORDER BY run, key
        ON CONFLICT DO NOTHING RETURNING run, key
    ), fresh AS MATERIALIZED (
        SELECT * FROM given WHERE key IS NULL
        UNION ALL SELECT DISTINCT ON (g.run, g.key) g.* FROM given g JOIN keyed USING (run, key)
    ), sent AS (
        INSERT INTO stackful.signals (run, name, sent, payload) SELECT run, name, stackful.clock(), payload FROM fresh ORDER BY place
    )
    SELECT place, pg_notify('stackful', 'signal ' || run) FROM fresh
"""
_WAKE = """
    WITH woken AS (
        UPDATE stackful.runs r SET wake = stackful.clock()
        FROM unnest(%s::text[], %s::text[]) AS v(run, name)
        WHERE r.id = v.run AND r.status = 'waiting' AND r.waits = 'signal:' || v.name AND (r.wake IS NULL OR r.wake > stackful.clock())
            AND EXISTS (SELECT FROM stackful.signals g WHERE g.run = v.run AND g.name = v.name)
        RETURNING r.id
    )
    SELECT pg_notify('stackful', 'due') FROM (SELECT FROM woken LIMIT 1) AS any_woken
"""


def send(session: Askable, address: str, sent: Sequence[NewSignal]) -> Callable[[], list[bool]]:
    """Send signals; what is returned tells for each whether it was taken in."""
    targets = sorted({signal.run for signal in sent})
    found = {row[0] for row in session.ask(_LOCK, [targets]).fetchall()}
    for target in targets:
        if target not in found:
            raise RunNotFoundError(f"there is no run {target!r} in {address}; `stackful ps` lists them all")
    answer = deliver(session, sent, [(None, None)] * len(sent), is_locked=True)

    def taken() -> list[bool]:
        places = {row[0] for row in answer.fetchall()}
        return [place in places for place in range(1, len(sent) + 1)]

    return taken


def deliver(
    session: Askable,
    sent: Sequence[NewSignal],
    savers: Sequence[tuple[str | None, int | None]],
    is_locked: bool = False,
) -> Answer:
    """Send what puts signals in, and wakes who waits for them; the answer has the places, from 1 on, of those that were taken in.

    The savers are, for each, the run with whose state it is sent, and the fence that must be in force; or nothing.
    """
    if not is_locked:
        session.ask(_LOCK, [sorted({signal.run for signal in sent})])
    rows = [(g.run, g.name, g.payload, g.key, *saver) for g, saver in zip(sent, savers, strict=True)]
    answer = session.ask(_DELIVER, [list(column) for column in zip(*rows, strict=True)])
    wake_for_signals(session, [(signal.run, signal.name) for signal in sent])
    return answer


def wake_for_signals(session: Askable, names: Sequence[tuple[str, str]]) -> None:
    """Make runs due that wait for signals of these names, if there are any."""
    session.ask(_WAKE, [list(column) for column in zip(*names, strict=True)])


def signals(session: Askable, run_id: str, name: str | None) -> list[Signal]:
    """The signals of a run that have not been consumed, the oldest first."""
    query = """
        SELECT id, run, name, payload, sent FROM stackful.signals WHERE run = %s AND (%s::text IS NULL OR name = %s) ORDER BY id
    """
    return [Signal(*row) for row in session.ask(query, [run_id, name, name])]
