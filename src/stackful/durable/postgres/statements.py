"""Statements, sent without a cursor: each session prepares each once, values go out as PostgreSQL's binary format has them.

psycopg works out anew for each statement what types its values have, and waits for the socket again and again within a pipeline: that took many
times as long as the server's work (docs/speed.md). What it is good at is left to it: connections, errors, and the rows of answers.
"""

from __future__ import annotations

import re
import select
import struct
from collections import deque
from functools import cache
from itertools import count
from typing import Any, TypeAlias

import psycopg
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus, Format

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from psycopg.pq.abc import PGresult

__all__ = ["Answer", "Askable", "Batch", "Session"]

# A value is written as %s::type or %(name)s::type, or with [] behind the type; one without a type is text.
_PLACE = re.compile(r"%(?:\((\w+)\))?s(?:::(text|bigint|integer|double precision|boolean|bytea|jsonb)\b)?(\[\])?")

_numbers = count()


# For each type its number, as in PostgreSQL's src/include/catalog/pg_type.dat, and its binary format.
_TYPES: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "text": (25, str.encode),
    "bigint": (20, struct.Struct(">q").pack),
    "integer": (23, struct.Struct(">i").pack),
    "double precision": (701, struct.Struct(">d").pack),
    "boolean": (16, struct.Struct(">?").pack),
    "bytea": (17, bytes),
    "jsonb": (3802, lambda value: b"\x01" + value.encode()),
}


def _array_of(number: int, encode: Callable[[Any], bytes]) -> Callable[[Sequence[Any]], bytes]:
    """How a list is written: as array_recv reads it (PostgreSQL 15, src/backend/utils/adt/arrayfuncs.c)."""

    def encode_all(values: Sequence[Any]) -> bytes:
        if not values:
            return struct.pack(">iii", 0, 0, number)
        parts = [struct.pack(">iiiii", 1, None in values, number, len(values), 1)]
        for value in values:
            data = None if value is None else encode(value)
            parts.append(struct.pack(">i", -1 if data is None else len(data)))
            parts.append(data or b"")
        return b"".join(parts)

    return encode_all


class Statement:
    """A statement as the server gets it.

    Args:
        query: its SQL.
    """

    __slots__ = ("encoders", "formats", "name", "names", "query")

    def __init__(self, query: str) -> None:
        self.name = b"stackful_%d" % next(_numbers)
        self.encoders: list[Callable[[Any], bytes]] = []
        self.names: list[str] = []
        self.query = _PLACE.sub(self._place, query).encode()
        self.formats = [Format.BINARY] * len(self.encoders)

    def _place(self, found: re.Match[str]) -> str:
        name, kind, array = found[1], found[2] or "text", found[3] or ""
        if name is None or name not in self.names:
            number, encode = _TYPES[kind]
            self.encoders.append(_array_of(number, encode) if array else encode)
            self.names.append(name or "")
        place = len(self.names) if name is None else self.names.index(name) + 1
        return f"${place}::{kind}{array}"

    def encode(self, values: Sequence[Any] | Mapping[str, Any]) -> list[bytes | None]:
        given = values if isinstance(values, (list, tuple)) else [values[name] for name in self.names]  # type: ignore[call-overload]
        return [None if value is None else encode(value) for encode, value in zip(self.encoders, given, strict=True)]


statement_of = cache(Statement)


class Answer:
    """What came of a statement of a batch; asking for it has the batch sent, if it has not been."""

    __slots__ = ("_batch", "_result")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._result: PGresult | None = None

    def came(self, result: PGresult) -> None:
        """It is there."""
        self._result = result

    @property
    def rowcount(self) -> int:
        """How many rows it has written, or found."""
        return self._fetch().command_tuples or 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Its rows."""
        return self._batch.session.rows_of(self._fetch())

    def fetchone(self) -> tuple[Any, ...] | None:
        """The first."""
        return next(iter(self.fetchall()), None)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())

    def _fetch(self) -> PGresult:
        if self._result is None:
            self._batch.sync()
        assert self._result is not None
        return self._result


class Session(psycopg.Connection[tuple[Any, ...]]):
    """A connection of psycopg's that can be asked without a cursor."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.known: set[bytes] = set()
        self._rows = Transformer(self)
        self._poll = select.poll()
        self._poll.register(self.pgconn.socket, select.POLLIN)

    def ask(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Answer:
        """What a statement comes to by itself: it is a transaction, if there is none."""
        batch = Batch(self)
        answer = batch.ask(query, values)
        batch.sync()
        return answer

    def tell(self, query: str, values: Sequence[Any]) -> int:
        """How many rows a statement writes, by itself. In one call of libpq, which is faster; but this thread hears no Ctrl-C meanwhile."""
        statement = statement_of(query)
        if statement.name not in self.known:
            return self.ask(query, values).rowcount
        encoded: list[Any] = statement.encode(values)
        result = self.pgconn.exec_prepared(statement.name, encoded, statement.formats)
        if result.status != ExecStatus.COMMAND_OK:
            raise _error_of(result)
        return result.command_tuples or 0

    def rows_of(self, result: PGresult) -> list[tuple[Any, ...]]:
        """The rows of an answer, as Python has such values."""
        self._rows.set_pgresult(result)
        return self._rows.load_rows(0, result.ntuples, tuple)

    def flush(self) -> None:
        """Have all sent. The server may want to be read from meanwhile."""
        while self.pgconn.flush():
            self._poll.modify(self.pgconn.socket, select.POLLIN | select.POLLOUT)
            self._poll.poll()
            self._poll.modify(self.pgconn.socket, select.POLLIN)
            self.pgconn.consume_input()

    def next_result(self) -> PGresult:
        """The next of what was sent in pipeline mode. None says only that a statement is through; twice in a row, that nothing more will come."""
        pgconn = self.pgconn
        for _ in range(2):
            while pgconn.is_busy():
                self._poll.poll()
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is not None:
                return result
        raise psycopg.OperationalError("the connection is lost")


class Batch:
    """Statements that go to the server together, in one round trip: when `sync` is called, or the answer of one is looked at.

    Args:
        session: where to.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._sent: deque[Answer | bytes] = deque()  # bytes: the name of a statement that is prepared

    def ask(self, query: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> Answer:
        """Put a statement in.

        Raises:
            psycopg.Error: the connection is lost.
        """
        statement = statement_of(query)
        encoded = statement.encode(values)
        session, pgconn, name = self.session, self.session.pgconn, statement.name
        if not self._sent:
            pgconn.enter_pipeline_mode()
        if name not in session.known:
            pgconn.send_prepare(name, statement.query)
            session.known.add(name)
            self._sent.append(name)
        pgconn.send_query_prepared(name, encoded, statement.formats, Format.BINARY)
        answer = Answer(self)
        self._sent.append(answer)
        return answer

    def sync(self) -> None:
        """Wait for all answers.

        Raises:
            psycopg.Error: of the first statement that failed; the server has not looked at those behind it.
        """
        if not self._sent:
            return
        session, pgconn, error = self.session, self.session.pgconn, None
        pgconn.pipeline_sync()
        session.flush()
        while (result := session.next_result()).status != ExecStatus.PIPELINE_SYNC:  # a number, in C
            sent = self._sent.popleft() if self._sent else b""  # the commit that a sync brings about has failed
            if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
                if isinstance(sent, Answer):
                    sent.came(result)
                continue
            if isinstance(sent, bytes):
                session.known.discard(sent)
            error = error or _error_of(result)
        self._sent.clear()
        pgconn.exit_pipeline_mode()
        if error is not None:
            raise error


Askable: TypeAlias = Session | Batch
"""Where statements can be sent: each by itself, or together."""


def _error_of(result: PGresult) -> psycopg.Error:
    error = psycopg.errors.error_from_result(result)
    return error if error.sqlstate else psycopg.OperationalError(str(error))
