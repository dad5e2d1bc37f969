"""Runs as rows: reading and listing them."""

from __future__ import annotations

import json

from stackful.durable.records import Outcome, State
from stackful.durable.store import ENDED, Checkpoint, Run, Status
from stackful.errors import RunNotFoundError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from stackful.durable.postgres.statements import Askable, Session
    from stackful.durable.records import Filter

__all__ = [
    "COLUMNS",
    "RUN_FIELDS",
    "checkpoints",
    "children",
    "count",
    "field",
    "load_state",
    "outcomes",
    "run",
    "run_of",
    "runs",
    "state",
    "text",
]

_STATE_FIELDS = frozenset("owner seq steps step line taken size".split())

RUN_FIELDS = [name for name in Run._fields if name not in _STATE_FIELDS]
"""What of a `Run` is a column of the table runs."""


def _column(name: str) -> str:
    if name == "updated":
        return "greatest(r.updated, s.taken)"  # a step writes its state alone
    return f"s.{name}" if name in _STATE_FIELDS else f"r.{name}"


COLUMNS = ", ".join(map(_column, Run._fields))
"""A `Run`, of runs r and states s."""

_SHARED = """(SELECT coalesce(sum(length(b.data)), 0)::bigint FROM stackful.blob_users u JOIN stackful.blobs b USING (digest)
    WHERE u.run = {0}.run AND u.since <= {0}.seq AND (u.until IS NULL OR u.until >= {0}.seq))"""
# For whoever looks at runs: with the large values that the state needs; claims do without.
_SHOWN = COLUMNS.replace("s.size", f"CASE s.size WHEN 0 THEN 0 ELSE s.size + {_SHARED.format('s')} END")
_SELECT = f"SELECT {_SHOWN} FROM stackful.runs r LEFT JOIN stackful.states s ON s.run = r.id"
_PLACE = {name: place for place, name in enumerate(Run._fields)}
_MISSING = {"seq": 0, "steps": 0, "step": "", "line": "", "size": 0}


def text(value: str | None) -> str | None:
    r"""What is only shown, as PostgreSQL takes it: without NUL characters and halves of characters.

    Example:
        >>> text("a\0b")
        'a\\x00b'
    """
    if value is None or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def run(session: Askable, address: str, run_id: str) -> Run:
    """The run with this id, or the only one whose id starts so."""
    rows = session.ask(f"{_SELECT} WHERE r.id = %s", [run_id]).fetchall()
    if not rows:
        query = f"{_SELECT} WHERE starts_with(r.id, %s) ORDER BY r.number LIMIT 11"
        rows = session.ask(query, [run_id]).fetchall()
    if len(rows) > 1:
        names = ", ".join(row[0] for row in rows[:10]) + (", ..." if len(rows) > 10 else "")
        raise RunNotFoundError(f"{run_id!r} is the start of several runs: {names}; give more of the id")
    if not rows:
        raise _not_found(address, run_id)
    return run_of(rows[0])


def runs(session: Session, where: Filter | None, limit: int | None, offset: int) -> list[Run]:
    """Runs, the newest first."""
    condition, values = _condition(where)
    page = f"LIMIT {'ALL' if limit is None else int(limit)} OFFSET {int(offset)}"  # numbers that the planner sees
    query = f"{_SELECT} {condition} ORDER BY r.created DESC, r.number DESC {page}"
    return [run_of(row) for row in session.cursor(binary=True).execute(query, values, prepare=False)]


def count(session: Session, where: Filter | None) -> dict[Status, int]:
    """How many runs there are of each status."""
    condition, values = _condition(where)
    query = f"SELECT r.status, count(*) FROM stackful.runs r {condition} GROUP BY r.status"
    rows = session.cursor(binary=True).execute(query, values, prepare=False)
    return {Status(status): number for status, number in rows}


def field(session: Askable, address: str, run_id: str, column: str) -> bytes:
    """A column of bytes."""
    row = session.ask(f"SELECT {column} FROM stackful.runs WHERE id = %s", [run_id]).fetchone()
    if row is None:
        raise _not_found(address, run_id)
    return bytes(row[0] or b"")


def outcomes(session: Askable, address: str, run_ids: Sequence[str]) -> list[Outcome]:
    """How runs stand, in this order."""
    query = "SELECT id, status, result, error FROM stackful.runs WHERE id = ANY(%s::text[])"
    found = {row[0]: Outcome(row[0], Status(row[1]), row[2], row[3]) for row in session.ask(query, [list(run_ids)])}
    for run_id in run_ids:
        if run_id not in found:
            raise _not_found(address, run_id)
    return [found[run_id] for run_id in run_ids]


def children(session: Askable, run_id: str) -> list[str]:
    """The runs that a run has started and that have not ended."""
    query = "SELECT id FROM stackful.runs WHERE parent = %s AND status <> ALL(%s::text[]) ORDER BY number"
    return [row[0] for row in session.ask(query, [run_id, [status.value for status in ENDED]])]


def state(session: Askable, run_id: str) -> State | None:
    """The last state of a run, with its data."""
    query = (
        "SELECT run, seq, steps, step, line, taken, size, data FROM stackful.states WHERE run = %s AND data IS NOT NULL"
    )
    row = session.ask(query, [run_id]).fetchone()
    return State(*row) if row else None


def checkpoints(session: Askable, run_id: str) -> list[Checkpoint]:
    """The checkpoints of a run, the newest first; the last state of a function's run is one."""
    query = f"""
        SELECT run, seq, taken, size + {_SHARED.format("k")} FROM stackful.checkpoints k WHERE run = %s
        UNION SELECT s.run, s.seq, coalesce(c.taken, s.taken), s.size + {_SHARED.format("s")}
            FROM stackful.states s LEFT JOIN stackful.checkpoints c ON c.run = s.run AND c.seq = s.seq
            WHERE s.run = %s AND s.data IS NOT NULL
        ORDER BY seq DESC
    """
    return [Checkpoint(*row) for row in session.ask(query, [run_id, run_id])]


def load_state(session: Askable, address: str, run_id: str, seq: int) -> State:
    """A checkpoint of a function's run with its data."""
    last = state(session, run_id)
    if last is not None and last.seq == seq:
        return last
    query = "SELECT run, seq, steps, step, line, taken, size, data FROM stackful.checkpoints WHERE run = %s AND seq = %s::bigint"
    row = session.ask(query, [run_id, seq]).fetchone()
    if row is not None:
        return State(*row)
    run(session, address, run_id)
    kept = ", ".join(str(kept.seq) for kept in reversed(checkpoints(session, run_id))) or "none"
    raise StoreError(f"run {run_id} has no checkpoint {seq} any more; kept are: {kept}")


def run_of(row: Sequence[Any]) -> Run:
    """A run, of the columns `COLUMNS`."""
    values = list(row)
    values[_PLACE["argv"]] = tuple(values[_PLACE["argv"]])
    values[_PLACE["status"]] = Status(values[_PLACE["status"]])
    for name, missing in _MISSING.items():
        if values[_PLACE[name]] is None:
            values[_PLACE[name]] = missing
    return Run(*values)


def _condition(where: Filter | None) -> tuple[str, list[Any]]:
    if where is None:
        return "", []
    columns = ((column, getattr(where, column)) for column in ("kind", "program", "queue", "parent", "dedup"))
    parts: list[tuple[str, list[Any]]] = [
        (f"r.{column} = %s", [value]) for column, value in columns if value is not None
    ]
    if where.statuses:
        parts.append(("r.status = ANY(%s)", [[status.value for status in where.statuses]]))
    if where.text:
        parts.append(("(strpos(r.id, %s) > 0 OR strpos(r.program, %s) > 0)", [where.text, where.text]))
    for name, value in (where.attributes or {}).items():
        # The first finds them by the index, and finds too much where values are containers.
        wanted = json.dumps(value)
        pair = json.dumps({name: value})
        parts.append(("(r.attributes @> %s::jsonb AND r.attributes -> %s = %s::jsonb)", [pair, name, wanted]))
    if where.since is not None:
        parts.append(("r.created >= %s", [where.since]))
    if where.before is not None:
        parts.append(("r.created < %s", [where.before]))
    if not parts:
        return "", []
    return "WHERE " + " AND ".join(part for part, _ in parts), [value for _, values in parts for value in values]


def _not_found(address: str, run_id: str) -> RunNotFoundError:
    return RunNotFoundError(f"there is no run {run_id!r} in {address}; `stackful ps` lists them all")
