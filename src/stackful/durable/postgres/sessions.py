"""Sessions with the server: opened when they are needed, used again, replaced when the server was away."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from stackful.durable.postgres.reasons import is_final, is_passing, reason
from stackful.durable.postgres.statements import Batch, Session
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeVar

    S = TypeVar("S", bound=Session)
    T = TypeVar("T")

__all__ = ["Sessions", "hidden"]

# Seconds for which a server that is away is waited for.
_PATIENCE = 10.0

# Seconds before the first new attempt, and at most between two.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5

# Sessions kept for the next who wants one; what is used at the same time beyond that is opened and closed.
_KEPT = 4

# A peer that vanished without a word (a cut cable, a machine without power) is noticed by both ends within so many seconds.
_SILENCE = 8

# What a URL that does not say otherwise means. See PostgreSQL's documentation, "Parameter Key Words".
_DEFAULTS = {
    "connect_timeout": "5",
    "keepalives_idle": str(_SILENCE // 2),
    "keepalives_interval": "1",
    "keepalives_count": str(_SILENCE // 2),
    "tcp_user_timeout": str(_SILENCE * 1000),
}

# The same at the server's end, which frees what a vanished worker held. A Unix socket has none of it, and ignores it.
_SERVER_SETTINGS = (
    f"-c tcp_keepalives_idle={_SILENCE // 2} -c tcp_keepalives_interval=1 -c tcp_keepalives_count={_SILENCE // 2} "
    f"-c tcp_user_timeout={_SILENCE * 1000} -c client_connection_check_interval=2000"
)

# Our statements find their rows by their keys, whatever the values are: one plan does for all, and is made once. (To plan anew each time, which
# is what the server chooses for some of them, takes longer than to carry them out.)
_PLANS = "-c plan_cache_mode=force_generic_plan -c jit=off"


class Sessions:
    """What a store has of connections to one database; for any number of threads.

    Args:
        url: ``postgresql://...``, or any connection string that libpq understands.
        name: what the server shows of them (``application_name``).

    Raises:
        StoreError: the URL cannot be understood.
    """

    def __init__(self, url: str, name: str = "stackful") -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error as error:
            raise StoreError(f"{hidden(url)} is no URL of a PostgreSQL database: {str(error).strip()}") from error
        options = f"{_SERVER_SETTINGS} {given.pop('options', '') or ''}".strip()
        self._arguments: dict[str, Any] = {**_DEFAULTS, "application_name": name, **given, "options": options}
        self.address = _address(given)
        self._free: list[Session] = []
        self._mine = threading.local()
        self._pid = os.getpid()
        self._closing = threading.Event()

    def close(self) -> None:
        """Close what is free; what is in use is closed by its user. Whoever waits for the server gives up."""
        self._closing.set()
        while self._free:
            self._free.pop().close()

    def connect(self) -> Session:
        """A new session, the caller's own.

        Raises:
            StoreError: the server is away, or refuses.
        """
        with self.explained():
            return self._connect()

    def connect_as(self, kind: type[S]) -> S:
        """The same, of another class than psycopg's, and within a transaction from its first statement on."""
        with self.explained():
            return kind.connect(**self._arguments)

    def run(self, work: Callable[[Session], T]) -> T:
        """What ``work`` comes to in a session; once more in a new one when the server was away meanwhile.

        Args:
            work: must come to the same when it is done twice: a connection that breaks during a commit does not tell what came of it.

        Raises:
            StoreError: the server stays away, or refuses.
        """
        end, pause = time.monotonic() + _PATIENCE, _FIRST_PAUSE
        while True:
            try:
                return self._once(work)
            except psycopg.Error as error:
                if not is_passing(error) or time.monotonic() + pause > end or self._closing.wait(pause):
                    raise self._explain(error) from error
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, work: Callable[[Session], T]) -> T:
        """As within `session`, a few microseconds faster: each step of each run comes here."""
        session = self._take()
        try:
            return work(session)
        except psycopg.OperationalError:
            self._drop_free()
            raise
        finally:
            self._give_back(session)

    def transact(self, work: Callable[[Batch], Callable[[], T]]) -> T:
        """What ``work`` comes to in a transaction, which is committed exactly once, whatever becomes of the connection.

        Args:
            work: puts its statements into a batch; what it returns is called when they have been answered, and before the commit.

        Raises:
            StoreError: the server stays away, or refuses; nothing has changed.
        """
        return self.run(lambda session: self._transact(session, work))

    def _transact(self, session: Session, work: Callable[[Batch], Callable[[], T]]) -> T:
        batch = Batch(session)
        batch.ask("BEGIN")
        finish = work(batch)
        number = batch.ask("SELECT pg_current_xact_id_if_assigned()::text")
        batch.sync()
        result = finish()
        ((transaction,),) = number.fetchall()
        try:
            session.ask("COMMIT")
        except psycopg.OperationalError:
            # It may have been committed all the same: the answer is what was lost. Without a number it has written nothing.
            if transaction is None or not self.was_committed(transaction, session.info.backend_pid):
                raise
        return result

    def was_committed(self, transaction: str, backend: int) -> bool:
        """Ask a new session what became of a transaction; one that still waits for us is ended."""

        def ask(session: Session) -> bool:
            session.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s::integer AND backend_xid = %s::xid8::xid",
                [backend, transaction],
            )
            ((status,),) = session.ask("SELECT pg_xact_status(%s::xid8)", [transaction]).fetchall()
            if status == "in progress":
                raise psycopg.errors.LockNotAvailable("the transaction has not ended")  # asked again, after a pause
            return bool(status == "committed")

        return self.run(ask)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session for a while; one that broke, or was left within a transaction, is not used again."""
        taken = self._take()
        try:
            yield taken
        except psycopg.OperationalError:
            self._drop_free()  # what broke this one broke them all, mostly
            raise
        finally:
            self._give_back(taken)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Say in one sentence what the server says in a code."""
        try:
            yield
        except psycopg.Error as error:
            raise self._explain(error) from error

    def _explain(self, error: psycopg.Error) -> StoreError:
        return StoreError(f"the store {self.address} cannot be used: {reason(error)}", is_final=is_final(error))

    def _take(self) -> Session:
        if self._pid != os.getpid():  # a forked child: these are its parent's
            self._pid, self._free = os.getpid(), []
        session = self._mine.session = self._taken_before() or self._connect()
        return session

    def _taken_before(self) -> Session | None:
        """The one that this thread had the last time, which knows its statements and their plans; else the one that was least in use of late."""
        last: Session | None = getattr(self._mine, "session", None)
        try:
            if last in self._free:
                self._free.remove(last)
                return last
            return self._free.pop(0)
        except (IndexError, ValueError):  # there is none, or another thread was faster
            return None

    def _connect(self) -> Session:
        arguments = {**self._arguments, "options": f"{_PLANS} {self._arguments['options']}"}
        return Session.connect(**arguments, autocommit=True)

    def _give_back(self, session: Session) -> None:
        is_idle = session.pgconn.transaction_status == TransactionStatus.IDLE  # and so it is not closed
        if is_idle and len(self._free) < _KEPT and not self._closing.is_set():
            self._free.append(session)
        else:
            session.close()

    def fill(self) -> None:
        """Have as many sessions as are kept, if the server gives them: a worker uses several at once, and to open one takes longer than its work."""
        try:
            while len(self._free) < _KEPT and not self._closing.is_set():
                self._give_back(self._connect())
        except psycopg.Error:
            pass  # whoever needs one is told

    def _drop_free(self) -> None:
        while True:
            try:
                self._free.pop().close()
            except IndexError:
                return


def hidden(url: str) -> str:
    """A URL without what may be secret.

    Example:
        >>> hidden("postgresql://ada:secret@db.example:5433/runs?sslpassword=secret")
        'postgresql://ada:***@db.example:5433/runs'
        >>> hidden("host=db.example password=secret")
        'the connection string'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "the connection string"
    user, at, place = rest.partition("?")[0].rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{colon and ':***'}{at}{place}"


def _address(given: dict[str, Any]) -> str:
    """How messages name a database: without what is secret."""
    host, port = given.get("host") or "", given.get("port") or ""
    database = given.get("dbname") or given.get("user") or ""
    return f"postgresql://{host}{port and ':'}{port}/{database}"
