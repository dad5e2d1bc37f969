"""Who works on a run: claims, fences, and the commits that they guard."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager

from stackful.durable.sqlite.rows import Rows, marks
from stackful.durable.sqlite.shared import SharedTransaction
from stackful.durable.store import ENDED, Status
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from stackful.durable.records import Change, Claimed, NewRun, NewSignal, Reach, Save
    from stackful.durable.store import Checkpoint, SavedState

__all__ = ["Claims"]

_ADVANCE = "UPDATE states SET seq = ?, steps = ?, step = ?, line = ?, taken = ?, data = ? WHERE run = ? AND fence = ?"
_REPLACE = (
    "INSERT OR REPLACE INTO states (run, fence, owner, seq, steps, step, line, taken, data)"
    " SELECT run, fence, owner, ?, ?, ?, ?, ?, ? FROM states WHERE run = ? AND fence = ?"
)
_DROP = (
    "DELETE FROM blob_users WHERE run = ? AND until IS NOT NULL AND NOT EXISTS"
    " (SELECT 1 FROM checkpoints c WHERE c.run = blob_users.run AND c.seq BETWEEN since AND until) RETURNING digest"
)
_DROP_UNUSED = "DELETE FROM blobs WHERE digest = ? AND NOT EXISTS (SELECT 1 FROM blob_users WHERE digest = ?)"
_HAS_DUE = "SELECT EXISTS (SELECT 1 FROM runs WHERE wake <= ? AND kind = 'function'), EXISTS (SELECT 1 FROM runs WHERE queued = 1)"
# The queues in which runs wait for their turn: one look at the index for each, not one for each run.
_QUEUES = """
    WITH RECURSIVE waiting (queue) AS (
        SELECT min(queue) FROM runs WHERE queued = 1
        UNION ALL SELECT (SELECT min(r.queue) FROM runs r WHERE r.queued = 1 AND r.queue > waiting.queue) FROM waiting
        WHERE waiting.queue IS NOT NULL
    )
    SELECT w.queue, q.concurrency, q.rate, q.seconds FROM waiting w LEFT JOIN queues q ON q.name = w.queue
    WHERE w.queue IS NOT NULL
"""


class Claims(Rows):
    """Claiming, committing, giving back, cancelling."""

    def add_runs(self, runs: Sequence[NewRun], owner: str | None = None) -> list[tuple[str, int]]:
        """Add runs; for each, its id and a fence: 1 and more if it was claimed for the owner, -1 if such a run is there already."""
        now = self.now()
        with self._transaction() as db:
            added = [self._insert(db, run, now, owner) for run in runs]
        if any(fence == 0 for _, fence in added):
            self._tell("due")
        return added

    def claim(self, worker: str, limit: int, reach: Reach | None = None, ahead: float = 0.0) -> list[Claimed]:
        """Take over up to `limit` runs that are due, or sleep and will be due so soon; the fence of each grows."""
        now = self.now()
        with self._reading() as db:
            is_due, is_queued = db.execute(_HAS_DUE, [now + ahead]).fetchone()
        if not (is_due or is_queued):
            return []
        # Not on the disk when this returns: after a power cut nobody has claimed it, which is true.
        with self._transaction(is_durable=False) as db:
            chosen, is_put_in_queue = self._due(db, now, limit, reach, ahead)
            if (is_queued or is_put_in_queue) and len(chosen) < limit:
                chosen += self._admitted(db, now, limit - len(chosen), reach)
            taken = [self._take_if_sound(db, run_id, worker, now) for run_id in chosen]
        self._tell_all([("ended", run_id) for run_id, claimed in zip(chosen, taken, strict=True) if claimed is None])
        return [claimed for claimed in taken if claimed is not None]

    def _due(
        self, db: sqlite3.Connection, now: float, limit: int, reach: Reach | None, ahead: float
    ) -> tuple[list[str], bool]:
        """Runs whose time has come, or is about to; those that have a queue before them are put in it, and whether there are such."""
        known, names = _within(reach)
        query = (
            "SELECT id, queue, started, deadline FROM runs"
            f" WHERE wake <= ? AND (wake <= ? OR status = 'sleeping') AND kind = 'function'{known}"
            " ORDER BY priority DESC, wake, number LIMIT ?"
        )
        chosen: list[str] = []
        found = db.execute(query, [now + ahead, now, *names, limit]).fetchall()
        for run_id, queue, started, deadline in found:
            if queue is None or started is not None or (deadline is not None and deadline <= now):
                chosen.append(run_id)
            else:
                db.execute("UPDATE runs SET queued = 1, wake = deadline WHERE id = ?", [run_id])
        return chosen, len(chosen) < len(found)

    def _admitted(self, db: sqlite3.Connection, now: float, limit: int, reach: Reach | None) -> list[str]:
        """Runs whose turn in their queue has come."""
        chosen: list[str] = []
        known, names = _within(reach)
        query = f"SELECT id FROM runs WHERE queued = 1 AND queue = ?{known} ORDER BY priority DESC, number LIMIT ?"
        for name, concurrency, rate, seconds in db.execute(_QUEUES).fetchall():
            room = min(limit - len(chosen), _room(db, name, concurrency, rate, seconds, now))
            if room > 0:
                chosen += [row[0] for row in db.execute(query, [name, *names, room]).fetchall()]
        return chosen

    def _take_if_sound(self, db: sqlite3.Connection, run_id: str, worker: str, now: float) -> Claimed | None:
        """One whose row is damaged fails, and stops no other."""
        try:
            return self._take(db, run_id, worker, now)
        except (ValueError, TypeError, sqlite3.Error, StoreError) as error:
            cause = error.__cause__ or error
            if getattr(cause, "sqlite_errorname", None):
                raise  # it is not the row, but the file
            reason = f"the row of this run is damaged: {cause}"
        db.execute(
            "UPDATE runs SET status = 'failed', error = ?, wake = NULL, queued = 0, waits = NULL, updated = ?,"
            " attributes = CASE WHEN json_valid(attributes) THEN attributes END, deadline = NULL WHERE id = ?",
            [reason, now, run_id],
        )
        db.execute("UPDATE states SET owner = NULL, fence = fence + 1 WHERE run = ?", [run_id])
        self._end(db, run_id, Status.FAILED, now)
        return None

    def _take(self, db: sqlite3.Connection, run_id: str, worker: str, now: float) -> Claimed:
        from stackful.durable.records import Claimed, State

        before = self._run(run_id)
        db.execute(
            "UPDATE runs SET status = 'running', wake = NULL, queued = 0, waits = NULL, question = NULL, updated = ?,"
            " started = coalesce(started, ?) WHERE id = ?",
            [now, now, run_id],
        )
        db.execute("DELETE FROM awaits WHERE run = ?", [run_id])
        query = "UPDATE states SET fence = fence + 1, owner = ? WHERE run = ? RETURNING fence, data"
        fence, data = db.execute(query, [worker, run_id]).fetchone()
        run = before._replace(status=Status.RUNNING, wake=None, started=before.started or now, owner=worker)
        if data is None:
            arguments = db.execute("SELECT arguments FROM runs WHERE id = ?", [run_id]).fetchone()[0]
            return Claimed(run, fence, None, bytes(arguments or b""), before.wake)
        state = State(run_id, run.seq, run.steps, run.step, run.line, run.taken or now, len(data), data)
        return Claimed(run, fence, state, wake=before.wake)

    # --- commits ------------------------------------------------------------------------------------------------------

    def commit(self, saves: Sequence[Save]) -> list[str]:
        """Commit states, all in one transaction; the ids of the runs whose fence was lost."""
        if len(saves) == 1 and saves[0].is_plain and saves[0].seq > 1:
            return self._advance_one(saves[0])
        told: list[tuple[str, str]] = []
        with self._transaction() as db:
            lost = self._save_all(db, saves, told)
        self._tell_all(told)
        return lost

    @contextmanager
    def transaction(self) -> Iterator[SharedTransaction]:
        """A transaction that code of the run shares, on a connection of its own."""
        shared = SharedTransaction(self._connect(), self._save_all, self._add_checkpoint, self._explained)
        with shared:
            yield shared
        self._tell_all(shared.told)

    def _add_checkpoint(
        self, db: sqlite3.Connection, run_id: str, state: SavedState, change: Change | None, told: list[tuple[str, str]]
    ) -> Checkpoint:
        raise NotImplementedError

    def _save_all(self, db: sqlite3.Connection, saves: Sequence[Save], told: list[tuple[str, str]]) -> list[str]:
        now = self.now()
        plain: list[Save] = []
        special: list[Save] = []
        for save in saves:
            (plain if save.is_plain and save.seq > 1 else special).append(save)
        lost = self._advance(db, plain, now)
        return lost + [save.run for save in special if not self._save(db, save, now, told)]

    def _advance_one(self, save: Save) -> list[str]:
        """A run that is alone: the statement is a transaction by itself."""
        row = (save.seq, save.steps, save.step, save.line, self.now(), save.data, save.run, save.fence)
        with self._lock, self._explained():
            self._be("FULL")
            return [] if self._db.execute(_ADVANCE, row).rowcount == 1 else [save.run]

    def _advance(self, db: sqlite3.Connection, saves: Sequence[Save], now: float) -> list[str]:
        """The common case, all in one statement."""
        rows = [(s.seq, s.steps, s.step, s.line, now, s.data, s.run, s.fence) for s in saves]
        if not rows or db.executemany(_ADVANCE, rows).rowcount == len(rows):
            return []
        query = "SELECT 1 FROM states WHERE run = ? AND fence = ?"
        return [s.run for s in saves if not db.execute(query, [s.run, s.fence]).fetchone()]

    def _save(self, db: sqlite3.Connection, save: Save, now: float, told: list[tuple[str, str]]) -> bool:
        if save.data is not None and (
            save.seq == 1 or (save.change is not None and save.change.status is not Status.RUNNING)
        ):
            # A new row at the end of the table: rows that have grown in their place take a page each.
            row = (save.seq, save.steps, save.step, save.line, now, save.data, save.run, save.fence)
            guarded = db.execute(_REPLACE, row).rowcount == 1
        elif save.data is None:
            guarded = db.execute("SELECT 1 FROM states WHERE run = ? AND fence = ?", [save.run, save.fence]).fetchone()
        else:
            guarded = not self._advance(db, [save], now)
        if not guarded:
            return False
        if save.blobs:
            self._keep_blobs(db, save.run, save.seq, save.blobs)
        if save.history and save.data is not None:
            self._keep(db, save, now)
        if save.unused is not None:
            self._drop_blobs(db, save.run, save.seq, save.unused, save.data is None)
        if save.change is not None:
            self._change(db, save, save.change, now, told)
        return True

    def _drop_blobs(
        self, db: sqlite3.Connection, run_id: str, seq: int, unused: Sequence[str], is_end: bool = False
    ) -> None:
        """Drop what no state of the run needs any more, and nobody else's. With its end none is needed but what checkpoints need."""
        if is_end:
            db.execute("UPDATE blob_users SET until = ? WHERE run = ? AND until IS NULL", [seq, run_id])
        rows = [(seq - 1, run_id, digest) for digest in unused]
        db.executemany("UPDATE blob_users SET until = ? WHERE run = ? AND digest = ?", rows)
        dropped = db.execute(_DROP, [run_id]).fetchall()
        db.executemany(_DROP_UNUSED, [(digest, digest) for (digest,) in dropped])

    def _keep(self, db: sqlite3.Connection, save: Save, now: float) -> None:
        """Keep a state as a checkpoint, and thin out those before it: each pass of a power of two costs one look."""
        size = len(save.data or b"")
        db.execute(
            "INSERT OR REPLACE INTO checkpoints (run, seq, taken, size, steps, step, line, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [save.run, save.seq, now, size, save.steps, save.step, save.line, save.data],
        )
        reach, stride = save.history, 2
        while save.seq - reach > 0:
            if (save.seq - reach) % stride:
                db.execute("DELETE FROM checkpoints WHERE run = ? AND seq = ?", [save.run, save.seq - reach])
            reach, stride = reach * 2, stride * 2

    def _change_script(
        self, db: sqlite3.Connection, run_id: str, change: Change, now: float, told: list[tuple[str, str]]
    ) -> None:
        """The same for a script, whose process goes on with it whatever the status."""
        self._change_others(db, run_id, change, now, told)
        wake = now if self._is_there(db, run_id, change) else change.wake
        db.execute(
            "UPDATE runs SET status = ?, waits = ?, question = ?, wake = ? WHERE id = ?",
            [change.status.value, change.waits, change.question, wake, run_id],
        )
        if change.source is not None:
            db.execute("UPDATE runs SET source = ? WHERE id = ?", [change.source, run_id])

    def _change(
        self, db: sqlite3.Connection, save: Save, change: Change, now: float, told: list[tuple[str, str]]
    ) -> None:
        self._change_others(db, save.run, change, now, told)
        if change.status in ENDED:
            self._finish(db, save.run, change, now, told)
        elif change.status is not Status.RUNNING:
            self._suspend(db, save.run, change, now, told)

    def _change_others(
        self, db: sqlite3.Connection, run_id: str, change: Change, now: float, told: list[tuple[str, str]]
    ) -> None:
        if change.consumed:
            db.executemany("DELETE FROM signals WHERE id = ?", [(number,) for number in change.consumed])
        if change.attributes:
            self._merge(db, run_id, change.attributes)
        added = [fence for _, fence in (self._insert(db, new, now, None, False) for new in change.runs)]
        taken = [self._deliver(db, signal, now) for signal in change.signals]
        told += [("signal", signal.run) for signal in change.signals]
        if 0 in added or any(taken):
            told.append(("due", ""))

    def _finish(
        self, db: sqlite3.Connection, run_id: str, change: Change, now: float, told: list[tuple[str, str]]
    ) -> None:
        db.execute(
            "UPDATE runs SET status = ?, result = ?, error = ?, exit_status = ?, updated = ?, wake = NULL, queued = 0,"
            " waits = NULL, question = NULL WHERE id = ?",
            [change.status.value, change.result, change.error, change.exit_status, now, run_id],
        )
        db.execute("UPDATE states SET owner = NULL WHERE run = ?", [run_id])
        self._end(db, run_id, change.status, now)
        told += [("ended", run_id), ("due", "")]

    def _suspend(
        self, db: sqlite3.Connection, run_id: str, change: Change, now: float, told: list[tuple[str, str]]
    ) -> None:
        for target in change.awaits:
            db.execute("INSERT OR IGNORE INTO awaits VALUES (?, ?)", [target, run_id])
        is_there = self._is_there(db, run_id, change)
        db.execute(
            "UPDATE runs SET status = :status, waits = :waits, question = :question, updated = :now, queued = 0,"
            " wake = CASE WHEN :is_there OR (cancelled AND NOT :told) THEN :now WHEN :told THEN :wake"
            " ELSE min(coalesce(:wake, deadline), coalesce(deadline, :wake)) END WHERE id = :run",
            {
                "is_there": is_there,
                "told": change.told,
                "now": now,
                "wake": change.wake,
                "run": run_id,
                "status": change.status.value,
                "waits": change.waits,
                "question": change.question,
            },
        )
        db.execute("UPDATE states SET owner = NULL WHERE run = ?", [run_id])
        (wake,) = db.execute("SELECT wake FROM runs WHERE id = ?", [run_id]).fetchone()
        if wake is not None and wake <= now:
            told.append(("due", ""))

    def _is_there(self, db: sqlite3.Connection, run_id: str, change: Change) -> bool:
        """Whether what a run is about to wait for is there already; runs that have ended need not be awaited."""
        if change.awaits:
            query = "SELECT r.id, r.status FROM awaits a JOIN runs r ON r.id = a.target WHERE a.run = ?"
            for target, status in db.execute(query, [run_id]).fetchall():
                if status in ("failed", "cancelled"):
                    return True
                if status == "finished":
                    db.execute("DELETE FROM awaits WHERE target = ? AND run = ?", [target, run_id])
            return not self._awaits_more(db, run_id)
        if change.waits and change.waits.startswith("signal:"):
            query = "SELECT 1 FROM signals WHERE run = ? AND name = ? LIMIT 1"
            return db.execute(query, [run_id, change.waits.partition(":")[2]]).fetchone() is not None
        return False

    def _merge(self, db: sqlite3.Connection, run_id: str, attributes: Mapping[str, Any]) -> None:
        import json

        (text,) = db.execute("SELECT attributes FROM runs WHERE id = ?", [run_id]).fetchone()
        merged = {**json.loads(text or "{}"), **attributes}
        kept = {name: value for name, value in merged.items() if value is not None}
        text = json.dumps(kept) if kept else None
        db.execute("UPDATE runs SET attributes = ? WHERE id = ?", [text, run_id])

    def _deliver(self, db: sqlite3.Connection, signal: NewSignal, now: float) -> bool:
        """Take a signal in; False where it is one too many, or nobody is there any more."""
        row = db.execute("SELECT status, waits FROM runs WHERE id = ?", [signal.run]).fetchone()
        if row is None or row[0] in ("finished", "cancelled"):
            return False
        if signal.key is not None:
            query = "INSERT OR IGNORE INTO signal_keys VALUES (?, ?)"
            if db.execute(query, [signal.run, signal.key]).rowcount == 0:
                return False
        query = "INSERT INTO signals (run, name, sent, payload) VALUES (?, ?, ?, ?)"
        db.execute(query, [signal.run, signal.name, now, signal.payload])
        if row[0] == "waiting" and row[1] == f"signal:{signal.name}":
            db.execute("UPDATE runs SET wake = ? WHERE id = ?", [now, signal.run])
        return True

    # --- giving back, cancelling, trying again ------------------------------------------------------------------------

    def release(self, fences: Mapping[str, int]) -> None:
        """Give runs back that this worker holds: their last state is due at once, for anybody."""
        now = self.now()
        query = "UPDATE states SET owner = NULL, fence = fence + 1 WHERE run = ? AND fence = ? AND owner IS NOT NULL"
        with self._transaction() as db:
            for run_id, fence in fences.items():
                if db.execute(query, [run_id, fence]).rowcount:
                    db.execute("UPDATE runs SET wake = ? WHERE id = ? AND status = 'running'", [now, run_id])
        if fences:
            self._tell("due")

    def cancel(self, run_id: str) -> Status:
        """Ask for a run's end, and return its status from then on."""
        now = self.now()
        with self._transaction() as db:
            run = self.run(run_id)
            status = run.status
            if status in ENDED:
                return status
            is_new = status is Status.PENDING and not run.seq and run.started is None
            db.execute("UPDATE runs SET cancelled = 1, updated = ? WHERE id = ?", [now, run.id])
            if is_new:
                status = Status.CANCELLED
                db.execute(
                    "UPDATE runs SET status = 'cancelled', wake = NULL, queued = 0, error = ? WHERE id = ?",
                    ["cancelled before it began", run.id],
                )
                self._end(db, run.id, status, now)
            elif status is not Status.RUNNING:
                db.execute("UPDATE runs SET wake = ?, queued = 0 WHERE id = ?", [now, run.id])
        self._tell("ended" if is_new else "cancel", run.id)
        self._tell("due")
        return status

    def cancelled(self, worker: str) -> list[str]:
        """The runs of this worker whose end was asked for."""
        query = "SELECT s.run FROM states s JOIN runs r ON r.id = s.run WHERE s.owner = ? AND r.cancelled"
        with self._reading() as db:
            return [row[0] for row in db.execute(query, [worker])]

    def retry(self, run_id: str) -> None:
        """A FAILED run goes on from its last state, or from its arguments if it has none."""
        with self._transaction() as db:
            run = self.run(run_id)
            if run.status is not Status.FAILED or run.kind != "function":
                what = "a script" if run.kind != "function" else run.status.value
                raise StoreError(f"run {run.id} is {what}: only a run of a function that has failed can be tried again")
            if run.dedup is not None and self._taken(db, run._replace(id="")) is not None:
                raise StoreError(
                    f"run {run.id} cannot be tried again: another run with its key {run.dedup} is under way"
                )
            db.execute(
                "UPDATE runs SET status = 'pending', wake = ?, cancelled = 0, deadline = NULL, error = NULL, updated = ? WHERE id = ?",
                [self.now(), self.now(), run.id],
            )
        self._tell("due")

    # --- what comes next ----------------------------------------------------------------------------------------------

    def next_due(self, reach: Reach | None = None) -> float | None:
        """When `claim` will next have something that it has not now, or a schedule fires."""
        now = self.now()
        known, names = _within(reach)
        due = f"SELECT min(wake) FROM runs WHERE wake IS NOT NULL AND kind = 'function'{known}"
        queued = f"SELECT 1 FROM runs WHERE queued = 1 AND queue = ?{known} LIMIT 1"
        with self._reading() as db:
            found = [
                db.execute(due, names).fetchone()[0],
                _next_scheduled(db, known, names, reach),
            ]
            for name, concurrency, rate, seconds in db.execute(_QUEUES).fetchall():
                if _room(db, name, concurrency, None, None, now) > 0 and db.execute(queued, [name, *names]).fetchone():
                    found.append(_next_by_rate(db, name, rate, seconds, now))
        return min((when for when in found if when is not None), default=None)

    def _tell(self, kind: str, subject: str = "") -> None:
        """Tell those who listen; see `Wakeups`."""
        self._tell_all([(kind, subject)])

    def _tell_all(self, told: Sequence[tuple[str, str]]) -> None:
        raise NotImplementedError


def _next_scheduled(db: sqlite3.Connection, known: str, names: list[str], reach: Reach | None) -> float | None:
    unread = () if reach is None else reach.unread
    query = f"SELECT min(next) FROM schedules WHERE name NOT IN ({marks(unread)}){known}"
    found: float | None = db.execute(query, [*unread, *names]).fetchone()[0]
    return found


def _within(reach: Reach | None) -> tuple[str, list[str]]:
    """What is to be said of runs that are within reach."""
    text, names = "", []
    if reach is not None and reach.programs is not None:
        text, names = f" AND program IN ({marks(reach.programs)})", [*reach.programs]
    if reach is not None and reach.queues is not None:
        text += f" AND coalesce(queue, '-') IN ({marks(reach.queues)})"
        names += reach.queues
    return text, names


def _room(
    db: sqlite3.Connection, name: str, concurrency: int | None, rate: int | None, seconds: float | None, now: float
) -> int:
    """How many runs a queue admits now."""
    room = 1 << 30
    if concurrency is not None:
        query = "SELECT count(*) FROM runs WHERE queue = ? AND status IN ('running', 'sleeping', 'waiting')"
        room = concurrency - int(db.execute(query, [name]).fetchone()[0])
    if rate is not None and seconds is not None:
        query = "SELECT count(*) FROM runs WHERE queue = ? AND started > ?"
        room = min(room, rate - int(db.execute(query, [name, now - seconds]).fetchone()[0]))
    return room


def _next_by_rate(
    db: sqlite3.Connection, name: str, rate: int | None, seconds: float | None, now: float
) -> float | None:
    """When the rate of a queue admits its next run: when enough of those that have begun are long enough ago."""
    if rate is None or seconds is None:
        return now
    query = "SELECT started FROM runs WHERE queue = ? AND started > ? ORDER BY started DESC LIMIT 1 OFFSET ?"
    row = db.execute(query, [name, now - seconds, rate - 1]).fetchone()
    return now if row is None else float(row[0]) + seconds
