"""Workers on one machine: who they are, whether they live, and how they hear of one another."""

from __future__ import annotations

import os
import sqlite3
from _weakref import ref

from stackful.durable.sqlite.claims import Claims
from stackful.durable.sqlite.rows import marks
from stackful.errors import RunNotFoundError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike

    from stackful.durable.records import NewRun, NewSignal, Queue, Schedule, Signal, Worker
    from stackful.durable.sqlite.wakeups import LifeLock, Wakeups

__all__ = ["Workers"]


class Workers(Claims):
    """Workers, signals, queues, schedules, wake-ups."""

    heartbeat_every: float | None = None

    def __init__(self, path: str | PathLike[str], create: bool = True) -> None:
        super().__init__(path, create)
        self._woken: Wakeups | None = None
        self._lives: dict[str, LifeLock] = {}
        self._watched: set[str] = set()
        os.register_at_fork(after_in_child=_weakly(self))

    def close(self) -> None:
        """Let go of the file, and of all that this process held."""
        for worker in list(self._lives):
            self.leave(worker)
        if self._woken:
            self._woken.close()
        super().close()

    def forget(self) -> None:
        """In a forked child: none of it is ours, nor is the connection, which must not be used on both sides."""
        if self._woken:
            self._woken.forget()
        for life in self._lives.values():
            life.forget()
        self._lives = {}

    @property
    def _wakeups(self) -> Wakeups:
        """Loaded by whoever first has something to tell: a script that is alone does not wait for it."""
        if self._woken is None:
            from stackful.durable.sqlite.wakeups import Wakeups

            self._woken = Wakeups(self.path)
        return self._woken

    # Who works on what is nothing that must survive a power cut: nobody does then.

    # --- workers ------------------------------------------------------------------------------------------------------

    def join(self, worker: Worker) -> None:
        """Become a worker: its runs are taken over when this process has died."""
        from stackful.durable.sqlite.wakeups import LifeLock

        self._lives[worker.id] = LifeLock(self._life(worker.id))
        with self._first_transaction() as db:
            is_alone = db.execute("SELECT 1 FROM workers LIMIT 1").fetchone() is None
            row = [worker.id, worker.host, worker.pid, worker.started, worker.draining]
            db.execute("INSERT INTO workers VALUES (?, ?, ?, ?, ?)", row)
        if not is_alone:  # only workers watch workers; one that comes later sees this one in the table
            self._tell("worker")

    def leave(self, worker: str) -> None:
        """Be a worker no more; runs that it still holds are due for others at once."""
        life = self._lives.pop(worker, None)
        try:
            with self._transaction(is_durable=False) as db:
                count = self._free(db, worker)
        finally:
            if life:
                life.release()  # if the store could not be told, it is as if we had died
        if count:
            self._tell("due")

    def heartbeat(self, worker: str) -> bool:
        """Nothing to be said: the lock says it. False if others took it for dead all the same."""
        with self._reading() as db:
            return db.execute("SELECT 1 FROM workers WHERE id = ?", [worker]).fetchone() is not None

    def drain(self, worker: str) -> None:
        """Mark a worker as one that takes no more runs."""
        with self._transaction() as db:
            db.execute("UPDATE workers SET draining = 1 WHERE id = ?", [worker])

    def recover(self) -> int:
        """Make due all runs whose worker is dead, forget those workers; how many runs there were."""
        from stackful.durable.sqlite.wakeups import LifeLock

        with self._reading() as db:
            found = [row[0] for row in db.execute("SELECT id FROM workers").fetchall()]
        dead = [worker for worker in found if worker not in self._lives and not LifeLock.is_held(self._life(worker))]
        count = 0
        if dead:
            with self._transaction(is_durable=False) as db:
                count = sum(self._free(db, worker) for worker in dead)
            for worker in dead:
                self._forget_file(worker)
            if count:
                self._tell("due")
        self._watch([worker for worker in found if worker not in dead])
        return count

    def workers(self) -> list[Worker]:
        """The workers that live, the oldest first."""
        from stackful.durable.records import Worker
        from stackful.durable.sqlite.wakeups import LifeLock

        now = self.now()
        with self._reading() as db:
            rows = db.execute("SELECT id, host, pid, started, draining FROM workers ORDER BY started").fetchall()
        return [
            Worker(worker, host, pid, started, now, bool(draining))
            for worker, host, pid, started, draining in rows
            if worker in self._lives or LifeLock.is_held(self._life(worker))
        ]

    def _free(self, db: sqlite3.Connection, worker: str) -> int:
        """Make a worker's runs due, with fences that it does not have, and forget it."""
        runs = [row[0] for row in db.execute("SELECT run FROM states WHERE owner = ?", [worker]).fetchall()]
        for run_id in runs:
            db.execute("UPDATE states SET owner = NULL, fence = fence + 1 WHERE run = ?", [run_id])
            db.execute("UPDATE runs SET wake = ? WHERE id = ? AND status = 'running'", [self.now(), run_id])
        db.execute("DELETE FROM workers WHERE id = ?", [worker])
        return len(runs)

    def _life(self, worker: str) -> str:
        return f"{self.path}-{worker}.worker"

    def _forget_file(self, worker: str) -> None:
        try:
            os.unlink(self._life(worker))
        except FileNotFoundError:
            pass

    # --- wake-ups -----------------------------------------------------------------------------------------------------

    def listen(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Have `callback(kind, subject)` called when something happened, here or in another process."""
        end = self._wakeups.add(callback)
        self._watch([worker.id for worker in self.workers()])
        return end

    def _watch(self, workers: Sequence[str]) -> None:
        """Hear of it when another process's worker dies: a thread each waits for the lock that it holds."""
        import threading

        for worker in workers:
            if worker not in self._lives and worker not in self._watched:
                self._watched.add(worker)
                arguments = (self._life(worker), ref(self._wakeups))
                threading.Thread(target=_report_death, args=arguments, name="stackful-watch", daemon=True).start()

    def _tell_all(self, told: Sequence[tuple[str, str]]) -> None:
        if told and (self._woken or _is_heard(self.path)):
            self._wakeups.tell(told)

    # --- signals ------------------------------------------------------------------------------------------------------

    def send(self, signals: Sequence[NewSignal]) -> list[bool]:
        """Send signals; for each whether it was taken in."""
        now = self.now()
        with self._transaction() as db:
            for signal in signals:
                if db.execute("SELECT 1 FROM runs WHERE id = ?", [signal.run]).fetchone() is None:
                    raise RunNotFoundError(
                        f"there is no run {signal.run!r} in {self.path}; `stackful ps` lists them all"
                    )
            taken = [self._deliver(db, signal, now) for signal in signals]
        self._tell_all([("signal", signal.run) for signal in signals] + [("due", "")])
        return taken

    def signals(self, run_id: str, name: str | None = None) -> list[Signal]:
        """The signals of a run that have not been consumed, the oldest first."""
        from stackful.durable.records import Signal

        query = (
            "SELECT id, run, name, payload, sent FROM signals WHERE run = ? AND name = coalesce(?, name) ORDER BY id"
        )
        with self._reading() as db:
            return [Signal(*row) for row in db.execute(query, (run_id, name))]

    def blobs(self, digests: Sequence[str]) -> dict[str, bytes]:
        """Large values that states refer to, by digest; those that are not there are left out."""
        found: dict[str, bytes] = {}
        for start in range(0, len(digests), 500):
            part = digests[start : start + 500]
            query = f"SELECT digest, data FROM blobs WHERE digest IN ({marks(part)})"
            with self._reading() as db:
                found.update(db.execute(query, part))
        return found

    # --- queues and schedules -----------------------------------------------------------------------------------------

    def put_queue(self, queue: Queue) -> None:
        """Make a queue, or change its limits."""
        rate, seconds = queue.rate or (None, None)
        with self._transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?)", [queue.name, queue.concurrency, rate, seconds]
            )
        self._tell("due")

    def queues(self) -> list[Queue]:
        """All queues that were made, by name."""
        from stackful.durable.records import Queue

        with self._reading() as db:
            rows = db.execute("SELECT name, concurrency, rate, seconds FROM queues ORDER BY name").fetchall()
        return [Queue(name, limit, None if rate is None else (rate, seconds)) for name, limit, rate, seconds in rows]

    def put_schedule(self, schedule: Schedule) -> None:
        """Make a schedule, or change it; its ``next`` stays as it is when cron, zone and program are the same."""
        s = schedule
        with self._transaction() as db:
            db.execute(
                "INSERT INTO schedules (name, program, cron, zone, next, queue, arguments) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (name) DO UPDATE SET queue = excluded.queue, arguments = excluded.arguments, next = CASE"
                " WHEN program = excluded.program AND cron = excluded.cron AND zone = excluded.zone THEN next"
                " ELSE excluded.next END, program = excluded.program, cron = excluded.cron, zone = excluded.zone",
                [s.name, s.program, s.cron, s.zone, s.next, s.queue, s.arguments],
            )
        self._tell("due")

    def schedules(self) -> list[Schedule]:
        """All schedules, by name."""
        from stackful.durable.records import Schedule

        query = "SELECT name, program, cron, zone, next, arguments, queue FROM schedules ORDER BY name"
        with self._reading() as db:
            return [Schedule(*row) for row in db.execute(query)]

    def drop_schedule(self, name: str) -> None:
        """Forget a schedule; harmless if there is none."""
        with self._transaction() as db:
            db.execute("DELETE FROM schedules WHERE name = ?", [name])

    def fire(self, schedule: Schedule, next: float, run: NewRun) -> bool:  # noqa: A002 - the name in the contract
        """Add the run that is due by a schedule and set when the next is; False if another worker was first."""
        with self._transaction() as db:
            query = "UPDATE schedules SET next = ? WHERE name = ? AND next = ?"
            is_first = db.execute(query, [next, schedule.name, schedule.next]).rowcount == 1
            if is_first:
                self._insert(db, run, self.now())
        if is_first:
            self._tell("due")
        return is_first


def _weakly(store: Workers) -> Callable[[], None]:
    """For a hook that stays for ever, and must not keep the store as long."""
    found = ref(store)

    def forget() -> None:
        living = found()
        if living is not None:
            living.forget()

    return forget


def _is_heard(path: str) -> bool:
    """Whether any process listens."""
    folder, base = os.path.split(os.path.abspath(path))
    try:
        return any(name.startswith(f"{base}-") and name.endswith(".wake") for name in os.listdir(folder))
    except OSError:
        return True  # whoever tells them will say what is wrong


def _report_death(path: str, wakeups: ref[Wakeups]) -> None:
    from stackful.durable.sqlite.wakeups import LifeLock

    LifeLock.wait(path)
    living = wakeups()
    if living is not None:
        living.call("worker")
