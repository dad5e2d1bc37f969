"""Large values that states share: kept under their digests as long as a run needs them."""

from __future__ import annotations

from stackful.durable.store import ENDED

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from stackful.durable.postgres.statements import Askable
    from stackful.durable.records import Save

__all__ = ["delete_runs", "drop_blobs", "keep_blobs", "read_blobs"]

# In the order of digests, so that nobody gets stuck.
_KEEP = """
    INSERT INTO stackful.blobs (digest, data)
    SELECT DISTINCT ON (v.digest) v.digest, v.data
    FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bytea[]) AS v(run, fence, digest, data)
        JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    ORDER BY v.digest
    ON CONFLICT DO NOTHING
"""
_USE = """
    INSERT INTO stackful.blob_users (run, digest, since)
    SELECT v.run, v.digest, v.seq FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[]) AS v(run, fence, digest, seq)
        JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    ORDER BY v.digest
    ON CONFLICT (run, digest) DO UPDATE SET until = NULL
"""
# Of a run that has ended (no digest is given) nothing is needed any more but what checkpoints need.
_END = """
    UPDATE stackful.blob_users u SET until = v.seq
    FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[]) AS v(run, fence, digest, seq)
        JOIN stackful.states s ON s.run = v.run AND s.fence = v.fence
    WHERE u.run = v.run AND (u.digest = v.digest OR v.digest IS NULL AND u.until IS NULL)
"""
_DROP = """
    DELETE FROM stackful.blob_users u USING unnest(%s::text[], %s::bigint[]) AS v(run, fence), stackful.states s
    WHERE s.run = v.run AND s.fence = v.fence AND u.run = v.run AND u.until IS NOT NULL AND NOT EXISTS (
        SELECT FROM stackful.checkpoints c WHERE c.run = u.run AND c.seq BETWEEN u.since AND u.until)
    RETURNING u.digest
"""
_UNUSED = "NOT EXISTS (SELECT FROM stackful.blob_users u WHERE u.digest = b.digest)"
_LOCK = (
    "SELECT b.digest FROM stackful.blobs b WHERE b.digest = ANY(%s::text[]) ORDER BY b.digest FOR UPDATE SKIP LOCKED"
)
_LOCK_UNUSED = f"SELECT b.digest FROM stackful.blobs b WHERE {_UNUSED} ORDER BY b.digest FOR UPDATE SKIP LOCKED"
_SWEEP = f"DELETE FROM stackful.blobs b WHERE b.digest = ANY(%s::text[]) AND {_UNUSED}"


def read_blobs(session: Askable, digests: Sequence[str]) -> dict[str, bytes]:
    """Those that are there, by digest."""
    query = "SELECT digest, data FROM stackful.blobs WHERE digest = ANY(%s::text[])"
    return dict(session.ask(query, [list(digests)]).fetchall())


def keep_blobs(session: Askable, given: Sequence[tuple[str, int, int, Mapping[str, bytes]]]) -> None:
    """Store what runs, if these are their fences, refer to from a state on."""
    if given:
        values = [(run, fence, *value) for run, fence, _, blobs in given for value in blobs.items()]
        session.ask(_KEEP, _columns(values))
        users = [(run, fence, digest, seq) for run, fence, seq, blobs in given for digest in blobs]
        session.ask(_USE, _columns(users))


def drop_blobs(session: Askable, saves: Sequence[Save]) -> None:
    """Drop what no state of these runs needs any more, and nobody else's."""
    unused = [(save, save.unused) for save in saves if save.unused is not None]
    if not unused:
        return
    ended: list[tuple[str, int, str | None, int]] = [(s.run, s.fence, None, s.seq) for s, _ in unused if s.data is None]
    ended += [(s.run, s.fence, digest, s.seq - 1) for s, digests in unused for digest in digests]
    if ended:
        session.ask(_END, _columns(ended))
    dropped = session.ask(_DROP, _columns([(save.run, save.fence) for save, _ in unused])).fetchall()
    _sweep(session, _LOCK, [[row[0] for row in dropped]])


def delete_runs(session: Askable, run_ids: Sequence[str]) -> Callable[[], int]:
    """Forget runs that have ended, and all values that nobody needs; what is returned tells how many runs there were.

    All, for two runs that drop the same value at once each see that the other needs it.
    """
    ended = [status.value for status in ENDED]
    query = "DELETE FROM stackful.runs WHERE id = ANY(%s::text[]) AND status = ANY(%s::text[])"
    deleted = session.ask(query, [list(run_ids), ended])
    _sweep(session, _LOCK_UNUSED, [])
    return lambda: deleted.rowcount


def _sweep(session: Askable, query: str, values: Sequence[object]) -> None:
    """Those that somebody is about to refer to are locked by that (a foreign key), and stay."""
    free = [row[0] for row in session.ask(query, values)]
    if free:
        session.ask(_SWEEP, [free])


def _columns(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    return [list(column) for column in zip(*rows, strict=True)]
