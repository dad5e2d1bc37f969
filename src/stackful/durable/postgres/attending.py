"""A thread with two sessions of its own: it hears what others did, shows that this process lives, and notices the death of another.

A worker lives as long as a session of its holds an advisory lock, which the server frees when the session ends, however it ends. Each worker
waits for the lock of the one before it, in a ring: whoever gets such a lock knows at once that its holder is gone. Nobody polls.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from itertools import count

import psycopg

from stackful.durable.postgres.schema import LOCKS
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.durable.postgres.sessions import Sessions
    from stackful.durable.postgres.statements import Session

__all__ = ["Attendant"]

# Seconds before a new attempt to reach the server, the first time and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

# Seconds that somebody waits for the thread to have a session.
_PATIENCE = 10.0

_IS_BACK = "UPDATE stackful.workers SET seen = stackful.clock() WHERE number = ANY(%s)"


class Attendant:
    """Callbacks, and the locks that say that workers live.

    Args:
        sessions: where its two come from.

    Raises:
        StoreError: from `add` and `hold`, when the server cannot be reached.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._callbacks: dict[int, Callable[[str, str], None]] = {}
        self._numbers = count()
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wanted: set[int] = set()
        self._held: set[int] = set()
        self._is_listening = self._is_filled = False
        self._heard: deque[str] = deque()
        self._thread: threading.Thread | None = None
        self._ears = _Ears()
        self._ring = _Ring(sessions)
        self._is_closing = False

    def add(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call it for all that is heard from now on; what is returned ends that."""
        number = next(self._numbers)
        self._callbacks[number] = callback
        try:
            self._await(lambda: self._is_listening)
        except BaseException:
            del self._callbacks[number]
            raise
        return lambda: self._callbacks.pop(number, None) and None

    def tell(self, kind: str, subject: str = "") -> None:
        """Call the callbacks of this process."""
        for callback in list(self._callbacks.values()):
            callback(kind, subject)

    def hold(self, number: int) -> None:
        """Show that a worker lives, from when this returns."""
        self._wanted.add(number)
        self._await(lambda: number in self._held)

    def drop(self, number: int) -> None:
        """Show it no more."""
        self._wanted.discard(number)
        if self._thread is not None:
            self._await(lambda: number not in self._held)

    def close(self) -> None:
        """End the thread; what it held is free."""
        self._is_closing = True
        self._ears.poke()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._callbacks.clear()
        self._ears.close()

    def _await(self, condition: Callable[[], bool]) -> None:
        """Have the thread do what is wanted."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="stackful-postgres", daemon=True)
                self._thread.start()
            self._ears.poke()
            if not self._changed.wait_for(lambda: condition() or self._is_closing, _PATIENCE):
                raise StoreError(
                    f"the store {self._sessions.address} cannot be used: the server is away, or does not answer"
                )

    # --- the thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        pause, was_there = _FIRST_PAUSE, False
        while not self._is_closing:
            session = None
            try:
                session = self._sessions.connect()
                self._greet(session)
                if was_there:
                    self.tell("lost")
                pause, was_there = _FIRST_PAUSE, True
                while not self._is_closing:
                    self._attend(session)
            except (psycopg.Error, StoreError, OSError):
                self._ears.wait([], pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            finally:
                with self._lock:
                    self._held.clear()
                    self._is_listening = self._is_filled = False
                    self._changed.notify_all()
                self._ring.close()
                if session is not None:
                    session.close()

    def _greet(self, session: Session) -> None:
        """In a new session: nothing that happens from now on is missed, and the workers of this process are seen to live."""
        session.add_notify_handler(self._hear)
        session.execute("LISTEN stackful")
        self._hold_wanted(session)
        if session.execute(_IS_BACK, [list(self._held)]).rowcount:
            session.execute("NOTIFY stackful, 'worker'")
        with self._lock:
            self._is_listening = True
            self._changed.notify_all()

    def _attend(self, session: Session) -> None:
        self._hold_wanted(session)
        self._ring.watch_before(session, self._held)
        self._tell_heard()
        if self._held and not self._is_filled:
            self._is_filled = True
            self._sessions.fill()
        ready = self._ears.wait([session.fileno(), *self._ring.files()])
        if session.fileno() in ready:
            session.pgconn.consume_input()
            while (heard := session.pgconn.notifies()) is not None:
                self._heard.append(heard.extra.decode())
        if self._ring.is_lost(ready):
            self.tell("worker")

    def _hold_wanted(self, session: Session) -> None:
        for number in self._wanted - self._held:
            session.execute("SELECT pg_advisory_lock(%s, %s)", [LOCKS, number])
            self._held.add(number)
        for number in self._held - self._wanted:
            session.execute("SELECT pg_advisory_unlock(%s, %s)", [LOCKS, number])
            self._held.discard(number)
        with self._lock:
            self._changed.notify_all()

    def _hear(self, heard: psycopg.Notify) -> None:
        """Called in the midst of other statements, while somebody may wait for us: to be told when they are through."""
        self._heard.append(heard.payload)

    def _tell_heard(self) -> None:
        while self._heard:
            kind, _, subject = self._heard.popleft().partition(" ")
            if kind == "worker":
                self._ring.is_stale = True
                self._ring.gone.clear()  # whoever has a lock again, or is no worker any more
                self._ears.poke()
            self.tell(kind, subject)


class _Ring:
    """The worker before ours, and a session that waits for its lock."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._session: Session | None = None
        self._watched: int | None = None
        self.gone: set[int] = set()
        self.is_stale = True

    def files(self) -> list[int]:
        return [] if self._session is None else [self._session.fileno()]

    def watch_before(self, session: Session, held: set[int]) -> None:
        """Wait for the lock of the worker that comes before these, if it is not waited for already."""
        if not self.is_stale:
            return
        self.is_stale = False
        others: list[int] = []
        if held:
            rows = session.execute("SELECT number FROM stackful.workers ORDER BY number").fetchall()
            others = [row[0] for row in rows if row[0] not in held | self.gone]
        before = max((n for n in others if n < min(held)), default=max(others, default=None)) if held else None
        if before != self._watched:
            self.close()
            if before is not None:
                self._wait_for(before)

    def is_lost(self, ready: list[int]) -> bool:
        """Whether the worker that was watched has gone."""
        if self._session is None or self._session.fileno() not in ready:
            return False
        pgconn = self._session.pgconn
        pgconn.consume_input()
        if pgconn.is_busy():
            return False
        while (result := pgconn.get_result()) is not None:
            if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
                raise psycopg.OperationalError("the watching session was ended")
        if self._watched is not None:
            self.gone.add(self._watched)
        self.close()
        self.is_stale = True
        return True

    def close(self) -> None:
        session, self._session, self._watched = self._session, None, None
        self.is_stale = True
        if session is not None:
            session.close()  # the backend, which waits for a lock, notices by `client_connection_check_interval`

    def _wait_for(self, number: int) -> None:
        self._session, self._watched = self._sessions.connect(), number
        self.is_stale = False
        lock = f"{LOCKS}, {number}"
        query = f"SELECT pg_advisory_lock_shared({lock}); SELECT pg_advisory_unlock_shared({lock})"
        self._session.pgconn.send_query(query.encode())
        while self._session.pgconn.flush():
            pass


class _Ears:
    """Waits for files, or for a poke."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def poke(self) -> None:
        try:
            os.write(self._writer, b"!")
        except BlockingIOError:
            pass  # enough pokes are waiting

    def wait(self, files: list[int], timeout: float | None = None) -> list[int]:
        """Those of the files that can be read."""
        poll = select.poll()
        for file in [self._reader, *files]:
            poll.register(file, select.POLLIN)
        ready = [file for file, _ in poll.poll(None if timeout is None else 1000 * timeout)]
        if self._reader in ready:
            try:
                os.read(self._reader, 4096)
            except BlockingIOError:
                pass
        return ready

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)
