"""What a store has of connections: they are opened and replaced as needed, and what goes wrong is said in a sentence."""

import signal
import threading
import time

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

from postgresql import server
from stackful.durable.postgres import sessions as module
from stackful.durable.postgres.sessions import Sessions
from stackful.errors import StoreError


def one(session):
    return session.execute("SELECT 1").fetchone()[0]


def backend_of(session):
    return session.execute("SELECT pg_backend_pid()").fetchone()[0]


@pytest.fixture
def impatient(monkeypatch):
    """Nothing is waited for."""
    monkeypatch.setattr(module, "_PATIENCE", 0.0)


def message_of(url):
    sessions = Sessions(url)
    with pytest.raises(StoreError) as caught:
        sessions.run(one)
    sessions.close()
    return str(caught.value)


def test_a_session_is_used_again(postgres_url):
    """The second use is of the same backend; two uses at the same time are of two."""
    sessions = Sessions(postgres_url)
    first = sessions.run(backend_of)
    assert sessions.run(backend_of) == first
    with sessions.session() as a, sessions.session() as b:
        assert a.info.backend_pid != b.info.backend_pid
    sessions.close()


def test_a_session_left_within_a_transaction_is_not_used_again(postgres_url):
    """What the next one does is not done within the transaction of somebody who has left."""
    sessions = Sessions(postgres_url)
    with sessions.session() as session:
        session.execute("BEGIN")
        left = session.info.backend_pid
    assert sessions.run(backend_of) != left
    assert session.closed
    sessions.close()


def test_a_wrong_password_is_said_without_being_shown(postgres_server):
    """The message names the database and the way out, and no password."""
    message = message_of(postgres_server.url(password="hush"))
    assert "refuses the user or the password" in message
    assert "PGPASSWORD" in message
    assert "hush" not in message


def test_a_missing_database_is_said(postgres_server):
    """With the command that makes it."""
    message = message_of(postgres_server.url("absent"))
    assert "there is no such database; `createdb` makes it" in message
    assert '"absent" does not exist' in message


def test_a_url_that_is_none_is_said():
    """Before anything is connected to, and without the password."""
    with pytest.raises(StoreError, match="is no URL of a PostgreSQL database: invalid") as caught:
        Sessions("postgresql://ada:hush@localhost/runs?colour=red")
    assert "ada:***@localhost" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_is_away_is_said():
    """When it has been waited for."""
    assert "the server is away, or does not answer" in message_of("postgresql://postgres@127.0.0.1:1/runs")


def test_too_many_sessions_are_said(impatient):
    """With what the administrator can do."""
    with server(max_connections=5) as small:
        sessions = Sessions(small.url().replace("postgres:", "guest:"))
        small.execute("CREATE ROLE guest LOGIN PASSWORD 'secret'")
        held = []
        with pytest.raises(StoreError, match="no connection left; raise its max_connections"):
            for _ in range(6):
                held.append(sessions.connect())
        for session in held:
            session.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
def test_a_restarted_server_is_found_again(how):
    """Work that comes upon a session of the old server is done in one of the new, and its caller notices nothing."""
    with server() as restarted:
        sessions = Sessions(restarted.url())
        assert sessions.run(one) == 1
        with sessions.session(), sessions.session():
            pass
        restarted.restart(how)
        assert sessions.run(one) == 1
        sessions.close()


def test_a_server_that_is_away_is_waited_for():
    """Until it is back, with growing pauses."""
    with server() as restarted:
        sessions = Sessions(restarted.url())
        restarted.stop()
        results = []
        waiting = threading.Thread(target=lambda: results.append(sessions.run(one)))
        waiting.start()
        time.sleep(0.3)
        assert results == []
        restarted.start()
        waiting.join()
        assert results == [1]
        sessions.close()


def test_closing_ends_the_waiting():
    """A store that is closed does not keep its users for as long as it would wait for a server."""
    sessions = Sessions("postgresql://postgres@127.0.0.1:1/runs")
    errors = []

    def work():
        try:
            sessions.run(one)
        except StoreError as error:
            errors.append(error)

    waiting = threading.Thread(target=work)
    waiting.start()
    time.sleep(0.1)
    sessions.close()
    waiting.join(5)
    assert not waiting.is_alive()
    assert "the server is away" in str(errors[0])


def test_a_session_that_the_server_ended_is_replaced(postgres_server, postgres_url):
    """An administrator's pg_terminate_backend is survived as a restart is."""
    sessions = Sessions(postgres_url)
    old = sessions.run(backend_of)
    postgres_server.execute(f"SELECT pg_terminate_backend({old}, 5000)")
    assert sessions.run(backend_of) != old
    sessions.close()


def test_a_mistake_of_ours_is_not_tried_again(postgres_url):
    """Only what passes by itself is."""
    sessions = Sessions(postgres_url)
    calls = []

    def work(session):
        calls.append(1)
        session.execute("SELECT nothing")

    with pytest.raises(StoreError, match='PostgreSQL says: column "nothing" does not exist'):
        sessions.run(work)
    assert len(calls) == 1
    sessions.close()
