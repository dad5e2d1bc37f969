"""Runs as rows: reading, listing, adding, ending."""

from __future__ import annotations

import sqlite3

from stackful.durable.sqlite.database import Database
from stackful.durable.store import ENDED, Run, Status
from stackful.errors import RunNotFoundError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from stackful.durable.records import Filter, NewRun, Outcome

__all__ = ["SHARED", "Rows", "marks"]

_STATE_FIELDS = frozenset("owner seq steps step line taken size".split())
_COLUMNS = ", ".join(
    "length(s.data)" if name == "size" else f"s.{name}" if name in _STATE_FIELDS else f"r.{name}"
    for name in Run._fields
)
_SELECT = f"SELECT {_COLUMNS} FROM runs r LEFT JOIN states s ON s.run = r.id"

SHARED = """(SELECT coalesce(sum(length(b.data)), 0) FROM blob_users u JOIN blobs b ON b.digest = u.digest
    WHERE u.run = {0}.run AND u.since <= {0}.seq AND (u.until IS NULL OR u.until >= {0}.seq))"""
"""The bytes of the large values that a state or checkpoint needs."""

# For whoever looks at runs; claims do without.
_SHOWN = _SELECT.replace("length(s.data)", f"length(s.data) + {SHARED.format('s')}")
_PLACE = {name: place for place, name in enumerate(Run._fields)}
_WRITTEN = [name for name in Run._fields if name not in _STATE_FIELDS]
_INSERT = f"INSERT INTO runs ({', '.join(_WRITTEN)}, queued, arguments, source) VALUES ({', '.join('?' * (len(_WRITTEN) + 3))})"
_ENDED = ", ".join(f"'{status.value}'" for status in sorted(ENDED))


def marks(values: Sequence[object]) -> str:
    """As many question marks as there are values.

    >>> marks("abc")
    '?, ?, ?'
    """
    return ", ".join("?" * len(values))


class Rows(Database):
    """What can be asked of runs, and what all that changes them has in common."""

    def run(self, run_id: str) -> Run:
        """The run with this id, or the only one whose id starts so; RunNotFoundError otherwise."""
        return self._run(run_id, _SHOWN)

    def _run(self, run_id: str, select: str = _SELECT) -> Run:
        with self._reading() as db:
            exact = db.execute(f"{select} WHERE r.id = ?", [run_id]).fetchall()
            rows = exact or db.execute(f"{select} WHERE substr(r.id, 1, ?) = ?", [len(run_id), run_id]).fetchall()
        if len(rows) > 1:
            names = ", ".join(row[0] for row in reversed(rows[:10])) + (", ..." if len(rows) > 10 else "")
            raise RunNotFoundError(f"{run_id!r} is the start of several runs: {names}; give more of the id")
        if not rows:
            raise RunNotFoundError(f"there is no run {run_id!r} in {self.path}; `stackful ps` lists them all")
        return _run_of(rows[0])

    def runs(self, where: Filter | None = None, *, limit: int | None = None, offset: int = 0) -> list[Run]:
        """Runs, the newest first."""
        condition, values = _condition(where)
        query = f"{_SHOWN} {condition} ORDER BY r.created DESC, r.number DESC LIMIT ? OFFSET ?"
        with self._reading() as db:
            return [_run_of(row) for row in db.execute(query, [*values, -1 if limit is None else limit, offset])]

    def count(self, where: Filter | None = None) -> dict[Status, int]:
        """How many runs there are of each status; statuses without any are left out."""
        condition, values = _condition(where)
        with self._reading() as db:
            rows = db.execute(f"SELECT r.status, count(*) FROM runs r {condition} GROUP BY r.status", values).fetchall()
        return {Status(status): number for status, number in rows}

    def arguments(self, run_id: str) -> bytes:
        """What a run began with."""
        return bytes(self._field(run_id, "arguments") or b"")

    def source(self, run: Run) -> bytes:
        """The script as it was when the run started."""
        return bytes(self._field(run.id, "source") or b"")

    def outcomes(self, run_ids: Sequence[str]) -> list[Outcome]:
        """How runs stand, in this order, with results and errors of those that have ended."""
        from stackful.durable.records import Outcome

        found: dict[str, Outcome] = {}
        for start in range(0, len(run_ids), 500):
            part = run_ids[start : start + 500]
            query = f"SELECT id, status, result, error FROM runs WHERE id IN ({marks(part)})"
            with self._reading() as db:
                for run_id, status, result, error in db.execute(query, list(part)):
                    found[run_id] = Outcome(run_id, Status(status), result, error)
        missing = next((run_id for run_id in run_ids if run_id not in found), None)
        if missing is not None:
            raise RunNotFoundError(f"there is no run {missing!r} in {self.path}; `stackful ps` lists them all")
        return [found[run_id] for run_id in run_ids]

    def children(self, run_id: str) -> list[str]:
        """The ids of the runs that a run has started and that have not ended."""
        query = f"SELECT id FROM runs WHERE parent = ? AND status NOT IN ({_ENDED}) ORDER BY number"
        with self._reading() as db:
            return [row[0] for row in db.execute(query, [run_id])]

    def delete(self, run_ids: Sequence[str]) -> int:
        """Forget runs that have ended, with all that belongs to them; how many there were."""
        with self._transaction() as db:
            before = db.total_changes
            count = 0
            for run_id in run_ids:
                count += db.execute(f"DELETE FROM runs WHERE id = ? AND status IN ({_ENDED})", [run_id]).rowcount
            if db.total_changes > before:
                db.execute("DELETE FROM blobs WHERE digest NOT IN (SELECT digest FROM blob_users)")
        self._shrink()
        return count

    def _shrink(self) -> None:
        with self._reading() as db:
            # A step frees a page and yields a row without columns, which a cursor cannot read (debug builds of CPython abort).
            db.executescript("PRAGMA incremental_vacuum")

    def _field(self, run_id: str, column: str) -> Any:
        with self._reading() as db:
            row = db.execute(f"SELECT {column} FROM runs WHERE id = ?", [run_id]).fetchone()
        if row is None:
            raise RunNotFoundError(f"there is no run {run_id!r} in {self.path}; `stackful ps` lists them all")
        return row[0]

    # --- within a transaction -----------------------------------------------------------------------------------------

    def _insert(
        self, db: sqlite3.Connection, new: NewRun, now: float, owner: str | None = None, is_strict: bool = True
    ) -> tuple[str, int]:
        """Add one run, if there is none such; its id and fence as `Store.add_runs` says."""
        run = new.run
        taken = self._taken(db, run, is_strict)
        if taken is not None:
            return taken, -1
        is_due = run.wake is None or run.wake <= now
        is_claimed = owner is not None and run.queue is None and is_due
        is_queued = run.queue is not None and is_due and not is_claimed
        run = run._replace(
            status=Status.RUNNING if is_claimed else Status.PENDING,
            started=now if is_claimed else None,
            wake=None if is_claimed else run.deadline if is_queued else _earlier(run.wake or now, run.deadline),
        )
        self._insert_row(db, run, is_queued, new.arguments, new.source)
        state = new.state
        values = (
            (state.seq, state.steps, state.step, state.line, now, state.data) if state else (0, 0, "", "", None, None)
        )
        db.execute(
            "INSERT INTO states (run, fence, owner, seq, steps, step, line, taken, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (run.id, int(is_claimed), owner if is_claimed else None, *values),
        )
        if new.blobs:
            self._keep_blobs(db, run.id, run.seq, new.blobs)
        return run.id, int(is_claimed)

    def _keep_blobs(self, db: sqlite3.Connection, run_id: str, seq: int, blobs: Mapping[str, bytes]) -> None:
        """Large values that the states of a run refer to from this one on; some may be there, and some may have been unused meanwhile."""
        db.executemany("INSERT OR IGNORE INTO blobs VALUES (?, ?)", blobs.items())
        db.executemany(
            "INSERT INTO blob_users (run, digest, since) VALUES (?, ?, ?) ON CONFLICT (run, digest) DO UPDATE SET until = NULL",
            [(run_id, digest, seq) for digest in blobs],
        )

    def _insert_row(
        self, db: sqlite3.Connection, run: Run, is_queued: bool = False, arguments: bytes = b"", source: bytes = b""
    ) -> None:
        db.execute(_INSERT, [*_row_of(run), is_queued, arguments, source])

    def _taken(self, db: sqlite3.Connection, run: Run, is_strict: bool = True) -> str | None:
        found = db.execute("SELECT program FROM runs WHERE id = ?", [run.id]).fetchone()
        if found:
            if is_strict and found[0] != run.program:
                raise StoreError(
                    f"there is already a run called {run.id} in {self.path}, of {found[0]}; choose another id"
                )
            return run.id
        if run.dedup is None:
            return None
        query = f"SELECT id FROM runs WHERE dedup = ? AND status NOT IN ({_ENDED})"
        found = db.execute(query, [run.dedup]).fetchone()
        return str(found[0]) if found else None

    def _end(self, db: sqlite3.Connection, run_id: str, status: Status, now: float) -> None:
        """What follows from the end of a run for all others."""
        db.execute("DELETE FROM awaits WHERE run = ?", [run_id])
        if status is not Status.FAILED:
            db.execute("UPDATE states SET data = NULL WHERE run = ?", [run_id])  # its numbers stay
            for table in ("signals", "signal_keys"):
                db.execute(f"DELETE FROM {table} WHERE run = ?", [run_id])
        waiters = [row[0] for row in db.execute("SELECT run FROM awaits WHERE target = ?", [run_id]).fetchall()]
        if not waiters:
            return
        db.execute("DELETE FROM awaits WHERE target = ?", [run_id])
        for waiter in waiters:
            if status is not Status.FINISHED or not self._awaits_more(db, waiter):
                db.execute("UPDATE runs SET wake = ? WHERE id = ? AND status = 'waiting'", [now, waiter])

    def _awaits_more(self, db: sqlite3.Connection, run_id: str) -> bool:
        return db.execute("SELECT 1 FROM awaits WHERE run = ? LIMIT 1", [run_id]).fetchone() is not None


def _earlier(first: float | None, second: float | None) -> float | None:
    return second if first is None else first if second is None else min(first, second)


def _condition(where: Filter | None) -> tuple[str, list[Any]]:
    if where is None:
        return "", []
    parts: list[tuple[str, Iterable[Any]]] = []
    if where.statuses:
        parts.append((f"r.status IN ({marks(where.statuses)})", [status.value for status in where.statuses]))
    given = {column: getattr(where, column) for column in ("kind", "program", "queue", "parent", "dedup")}
    parts += [(f"r.{column} = ?", [value]) for column, value in given.items() if value is not None]
    if where.text:
        parts.append(("(instr(r.id, ?) OR instr(r.program, ?))", [where.text, where.text]))
    for name, value in (where.attributes or {}).items():
        parts.append(("r.attributes -> ? = json(?)", ["$." + _json_of(name), _json_of(value)]))
    if where.since is not None:
        parts.append(("r.created >= ?", [where.since]))
    if where.before is not None:
        parts.append(("r.created < ?", [where.before]))
    if not parts:
        return "", []
    return "WHERE " + " AND ".join(text for text, _ in parts), [value for _, values in parts for value in values]


def _json_of(value: Any) -> str:
    import json  # with re, which scripts do not pay for

    return json.dumps(value)


def _value_of(text: str) -> Any:
    import json

    return json.loads(text)


def _row_of(run: Run) -> list[Any]:
    values: list[Any] = [run[_PLACE[name]] for name in _WRITTEN]
    places = {name: place for place, name in enumerate(_WRITTEN)}
    values[places["argv"]] = "\0".join(run.argv)
    values[places["status"]] = run.status.value
    values[places["updated"]] = run.updated or run.created
    values[places["attributes"]] = _json_of(run.attributes) if run.attributes else None
    return values


def _run_of(row: Sequence[Any]) -> Run:
    values = list(row)
    values[_PLACE["argv"]] = tuple(values[_PLACE["argv"]].split("\0"))
    values[_PLACE["status"]] = Status(values[_PLACE["status"]])
    values[_PLACE["cancelled"]] = bool(values[_PLACE["cancelled"]])
    attributes = values[_PLACE["attributes"]]
    values[_PLACE["attributes"]] = _value_of(attributes) if attributes else None
    for name, missing in (("seq", 0), ("steps", 0), ("step", ""), ("line", ""), ("size", 0)):
        if values[_PLACE[name]] is None:
            values[_PLACE[name]] = missing
    return Run(*values)
