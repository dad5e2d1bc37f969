"""Adding runs: those that somebody starts, and the children that a run starts with its next state."""

from __future__ import annotations

import json

from stackful.durable.postgres.blobs import keep_blobs
from stackful.durable.postgres.rows import RUN_FIELDS, text
from stackful.durable.store import ENDED
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from stackful.durable.postgres.statements import Answer, Askable
    from stackful.durable.records import NewRun
    from stackful.durable.store import Run

__all__ = ["add_runs", "insert_runs", "insert_script"]

# What PostgreSQL cannot guess the type of from a list of None.
_TYPES = {
    "exit_status": "integer", "priority": "integer", "history": "integer", "created": "double precision", "updated": "double precision",
    "started": "double precision", "wake": "double precision", "deadline": "double precision", "every": "double precision",
    "cancelled": "boolean", "attributes": "jsonb", "argv": "jsonb",
}  # fmt: skip
# Computed by the statement.
_DECIDED = {"status", "wake", "started", "argv"}
_GIVEN = [name for name in RUN_FIELDS if name not in {"status", "started"}]
_COPIED = ", ".join(name for name in RUN_FIELDS if name not in _DECIDED)
_ARRAYS = ", ".join(f"%s::{_TYPES.get(name, 'text')}[]" for name in _GIVEN)

# Of a run that is added with the state of another one (its saver), only when that one's fence is in force.
# Rows are locked in the order of their ids: two who add the same runs wait for each other, and do not get stuck.
_INSERT = f"""
    WITH given AS MATERIALIZED (
        SELECT *, wake IS NULL OR wake <= stackful.clock() AS is_due
        FROM unnest({_ARRAYS}, %s::bytea[], %s::bytea[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::bytea[], %s::text[], %s::bigint[])
            WITH ORDINALITY AS v({", ".join(_GIVEN)}, arguments, source, seq, steps, step, line, data, saver, guard, place)
    ), new AS (
        INSERT INTO stackful.runs ({_COPIED}, argv, arguments, source, status, started, queued, wake)
        SELECT {_COPIED}, ARRAY(SELECT jsonb_array_elements_text(argv)), arguments, source,
            CASE WHEN is_due AND queue IS NULL AND %s::text IS NOT NULL THEN 'running' ELSE 'pending' END,
            CASE WHEN is_due AND queue IS NULL AND %s::text IS NOT NULL THEN stackful.clock() END,
            is_due AND queue IS NOT NULL,
            CASE WHEN NOT is_due THEN least(wake, deadline) WHEN queue IS NOT NULL THEN deadline
                WHEN %s::text IS NULL THEN least(coalesce(wake, stackful.clock()), deadline) END
        FROM given
        WHERE saver IS NULL OR EXISTS (SELECT FROM stackful.states s WHERE s.run = saver AND s.fence = guard)
        ORDER BY place
        ON CONFLICT DO NOTHING
        RETURNING id, status, wake
    )
    INSERT INTO stackful.states (run, fence, owner, seq, steps, step, line, taken, size, data)
    SELECT new.id, CASE new.status WHEN 'running' THEN 1 ELSE 0 END, CASE new.status WHEN 'running' THEN %s::text END,
        coalesce(given.seq, 0), coalesce(given.steps, 0), coalesce(given.step, ''), coalesce(given.line, ''),
        CASE WHEN given.data IS NOT NULL THEN stackful.clock() END, coalesce(length(given.data), 0), given.data
    FROM new JOIN given USING (id)
    RETURNING run, fence
"""

_FIND = """
    SELECT id, program FROM stackful.runs WHERE id = %s OR (dedup = %s AND status <> ALL(%s::text[])) ORDER BY (id = %s) DESC LIMIT 1
"""


def insert_runs(
    session: Askable, runs: Sequence[NewRun], owner: str | None, savers: Sequence[tuple[str | None, int | None]]
) -> Answer:
    """Send what adds runs; the answer has a row for each that was added, its id and its fence.

    Those that are in no queue and due are the owner's at once, if there is one. The savers are, for each, the run with whose state it is
    added, and the fence that must be in force; or nothing.
    """
    columns = [list(column) for column in zip(*map(_row_of, runs), strict=True)]
    guards = [list(column) for column in zip(*savers, strict=True)]
    return session.ask(_INSERT, [*columns, *guards, owner, owner, owner, owner])


def add_runs(
    session: Askable, address: str, runs: Sequence[NewRun], owner: str | None
) -> Callable[[], list[tuple[str, int]]]:
    """Add runs that somebody starts; for each its id and fence, as `Store.add_runs` says."""
    added: dict[str, int] = dict(insert_runs(session, runs, owner, [(None, None)] * len(runs)).fetchall())
    answers = [_answer(session, address, new, added, owner) for new in runs]
    kept = [
        (run_id, fence, new.run.seq, new.blobs)
        for new, (run_id, fence) in zip(runs, answers, strict=True)
        if new.blobs and fence >= 0
    ]
    keep_blobs(session, kept)
    if any(fence == 0 for _, fence in answers):
        session.ask("SELECT pg_notify('stackful', 'due')")
    return lambda: answers


def _answer(session: Askable, address: str, new: NewRun, added: dict[str, int], owner: str | None) -> tuple[str, int]:
    run = new.run
    while run.id not in added:
        ended = [status.value for status in ENDED]
        row = session.ask(_FIND, [run.id, run.dedup, ended, run.id]).fetchone()
        if row is not None:
            if row[0] == run.id and row[1] != run.program:
                raise StoreError(f"there is already a run called {run.id} in {address}, of {row[1]}; choose another id")
            return row[0], -1
        # What stood in the way has ended, or gone, since.
        added.update(insert_runs(session, [new], owner, [(None, None)]).fetchall())
    return run.id, added.pop(run.id)


def insert_script(session: Askable, run: Run, source: bytes) -> None:
    """Add a script's run, which runs already."""
    session.ask(
        "INSERT INTO stackful.runs (id, kind, program, status, created, updated, started, python, argv, cwd, every, source, version, attributes)"
        " VALUES (%s, %s, %s, %s, %s::double precision, %s::double precision, %s::double precision, %s, %s::text[], %s, %s::double precision,"
        " %s::bytea, %s, %s::jsonb)",
        [run.id, run.kind, run.program, run.status.value, run.created, run.updated or run.created, run.created, run.python, list(run.argv),
         run.cwd, run.every, source, run.version, json.dumps(dict(run.attributes)) if run.attributes else None],
    )  # fmt: skip
    session.ask("INSERT INTO stackful.states (run) VALUES (%s)", [run.id])


def _row_of(new: NewRun) -> list[Any]:
    run, state = new.run, new.state
    values = {
        **run._asdict(),
        "argv": json.dumps(list(run.argv)),
        "updated": run.updated or run.created,
        "attributes": json.dumps(dict(run.attributes)) if run.attributes else None,
        "error": text(run.error),
        "question": text(run.question),
    }
    of_state = [state.seq, state.steps, text(state.step), text(state.line), state.data] if state else [None] * 5
    return [*(values[name] for name in _GIVEN), new.arguments, new.source, *of_state]
