"""Statements without cursors: values of all types go there and come back, batches take one round trip, errors leave a session that can be used."""

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

import psycopg

from stackful.durable.postgres.sessions import Sessions
from stackful.durable.postgres.statements import Batch, Session, Statement
from stackful.errors import StoreError


@pytest.fixture
def session(postgres_url):
    with Session.connect(postgres_url, autocommit=True) as connected:
        yield connected


def is_idle(session):
    return session.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


VALUES = {
    "text": ["", "a", "käse \N{SNAKE}", "x" * 100_000],
    "bigint": [0, -1, 2**63 - 1, -(2**63)],
    "integer": [0, -1, 2**31 - 1],
    "double precision": [0.0, -0.1, 1e300, float("inf"), 7],
    "boolean": [True, False],
    "bytea": [b"", b"\0\xff", b"x" * 100_000],
    "jsonb": ['{"a": [1, null]}', "null"],
}


@pytest.mark.parametrize("kind", VALUES)
def test_values_come_back_as_they_went(session, kind):
    """Each alone, in an array, and absent."""
    given = VALUES[kind]
    expected = [value for ((value,),) in (session.execute(f"SELECT %s::{kind}", [value]).fetchall() for value in given)]
    for value, wanted in zip(given, expected, strict=True):
        assert session.ask(f"SELECT %s::{kind}", [value]).fetchall() == [(wanted,)]
    assert session.ask(f"SELECT %s::{kind}", [None]).fetchall() == [(None,)]
    array = session.ask(f"SELECT %s::{kind}[]", [[*given, None]]).fetchall()
    assert array == [([*expected, None],)]
    assert session.ask(f"SELECT %s::{kind}[]", [[]]).fetchall() == [([],)]


def test_a_value_without_a_type_is_text_and_a_named_one_is_sent_once():
    """The statement says so to the server."""
    assert Statement("SELECT %s, %s::bigint[]").query == b"SELECT $1::text, $2::bigint[]"
    named = Statement("SELECT %(a)s::bigint, %(b)s, %(a)s::bigint")
    assert named.query == b"SELECT $1::bigint, $2::text, $1::bigint"
    assert named.encode({"b": "b", "a": 1, "other": 2}) == [b"\0\0\0\0\0\0\0\1", b"b"]


def test_values_that_do_not_fit_the_statement_are_refused():
    """A mistake of ours is told before anything is sent."""
    with pytest.raises(ValueError, match="shorter"):
        Statement("SELECT %s, %s").encode(["a"])


def test_an_answer_that_is_looked_at_has_the_batch_sent(session):
    """The same statement may be in it twice, and the batch goes on after."""
    batch = Batch(session)
    first = batch.ask("SELECT %s::bigint", [1])
    second = batch.ask("SELECT %s::bigint", [2])
    assert second.fetchone() == (2,)
    third = batch.ask("SELECT generate_series(1, %s::integer)", [3])
    batch.sync()
    batch.sync()
    assert (first.fetchall(), [*third], third.rowcount) == ([(1,)], [(1,), (2,), (3,)], 3)
    assert session.ask("SELECT WHERE false").fetchone() is None


def test_the_first_error_of_a_batch_is_raised_and_the_session_can_be_used(session):
    """What follows it is not done, and a statement that the server did not take is sent again when it is asked again."""
    batch = Batch(session)
    batch.ask("CREATE TABLE one (a bigint)")
    batch.ask("SELECT a FROM two")
    batch.ask("SELECT 1 / 0")
    with pytest.raises(psycopg.errors.UndefinedTable, match='"two" does not exist'):
        batch.sync()
    assert is_idle(session)
    with pytest.raises(psycopg.errors.UndefinedTable, match='"one" does not exist'):
        session.ask("SELECT a FROM one")
    session.execute("CREATE TABLE two (a bigint)")
    assert session.ask("SELECT a FROM two").fetchall() == []
    assert session.execute("SELECT 1").fetchall() == [(1,)]


def test_what_fails_when_the_transaction_ends_is_an_error(session):
    """A constraint that is checked at the commit, which a single statement brings about."""
    session.execute("CREATE TABLE one (a bigint UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.ask("INSERT INTO one VALUES (1), (1)")
    assert is_idle(session)
    assert session.ask("SELECT count(*) FROM one").fetchall() == [(0,)]


def test_large_values_go_both_ways_at_once(session):
    """More than the sockets hold: the server is read from while it is written to."""
    data = bytes(range(256)) * 40_000
    batch = Batch(session)
    answers = [batch.ask("SELECT %s::bytea", [data]) for _ in range(4)]
    batch.sync()
    assert all(answer.fetchall() == [(data,)] for answer in answers)


def test_a_connection_that_is_lost_is_an_operational_error(postgres_server, session):
    """Whether it was lost before the statement, or while its answer is awaited."""
    other = Session.connect(session.info.dsn, password="secret", autocommit=True)
    with pytest.raises(psycopg.OperationalError):
        session.ask("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
    postgres_server.execute(f"SELECT pg_terminate_backend({other.info.backend_pid}, 5000)")
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            other.ask("SELECT 1")
    other.close()


def test_a_statement_that_only_writes_tells_how_many_rows(session):
    """Each time anew, and what goes wrong is the error that it is."""
    session.execute("CREATE TABLE one (a bigint UNIQUE)")
    query = "INSERT INTO one SELECT generate_series(1, %s::integer)"
    assert [session.tell(query, [0]), session.tell(query, [3])] == [0, 3]
    with pytest.raises(psycopg.errors.UniqueViolation):
        session.tell(query, [2])
    assert is_idle(session)
    assert session.tell("DELETE FROM one", []) == 3
    stop = "DELETE FROM one WHERE pg_terminate_backend(%s::integer)"
    session.execute("INSERT INTO one VALUES (1)")
    assert session.tell(stop, [0]) == 0
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            session.tell(stop, [session.info.backend_pid])


def test_plans_of_the_store_are_made_once_and_those_of_applications_as_they_say(postgres_url):
    """Code within `transaction` has a session whose settings are the server's."""
    sessions = Sessions(postgres_url)
    query = "SELECT current_setting('plan_cache_mode')"
    assert sessions.run(lambda session: session.ask(query).fetchone()) == ("force_generic_plan",)
    with sessions.connect_as(Session) as shared:
        assert shared.ask(query).fetchone() == ("auto",)
    sessions.close()


def test_a_worker_has_its_sessions_before_it_needs_them(postgres_url):
    """Filled up, they are used again; after the end there are none."""
    sessions = Sessions(postgres_url)
    sessions.fill()
    kept = sessions._free.copy()
    assert len(kept) > 1
    with sessions.session() as a, sessions.session() as b:
        assert {a, b} <= set(kept)
    sessions.close()
    sessions.fill()
    assert sessions._free == []
    assert all(session.closed for session in kept)
    with pytest.raises(StoreError):
        Sessions("postgresql://postgres@127.0.0.1:1/runs?connect_timeout=1").connect()
