"""Synchronous libraries, unmodified, at work many times at once on one thread, with real servers."""

import asyncio
import http.client
import ssl
import threading
import time
import urllib.error
import urllib.request
from importlib import metadata
from importlib.util import find_spec

import pytest
from servers import make_certificate, web_server

from postgresql import PASSWORD
from stackful import aio

CLIENTS = 8


def of(name):
    return pytest.importorskip(name, reason=f"{name} is not installed: NOT RUN", exc_type=ImportError)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    made = make_certificate(tmp_path_factory.mktemp("certificate"))
    if made is None:
        pytest.skip("the command openssl is not installed: TLS IS NOT TESTED")
    return made


@pytest.fixture(params=["http", "https"])
def site(request):
    """(address, certificate or None) of a server that answers when all clients have asked."""
    file = request.getfixturevalue("certificate") if request.param == "https" else None
    with web_server(CLIENTS, file) as port:
        yield f"{request.param}://localhost:{port}", file


def all_at_once(run, ask):
    """What `ask(n)` returns for each client; all of this thread."""

    def main():
        with aio.patched():
            threads = threading.active_count()
            answers = aio.await_(asyncio.gather(*(aio.spawn(ask, n) for n in range(CLIENTS))))
            assert threading.active_count() - threads <= CLIENTS + 40  # those of the server, and for names
        return answers

    return run(main)


def test_urllib_asks_at_once(run, site):
    """The standard library's client: GET, and answers by number."""
    address, certificate = site
    context = certificate and ssl.create_default_context(cafile=certificate)

    def ask(n):
        with urllib.request.urlopen(f"{address}/{n}", timeout=60, context=context) as answer:
            return answer.read()

    assert all_at_once(run, ask) == [b"/%d" % n for n in range(CLIENTS)]


def test_http_client_sends_much_and_goes_on(run, site):
    """A megabyte each way, twice over one connection."""
    address, certificate = site
    port = int(address.rpartition(":")[2])

    def ask(n):
        if certificate:
            client = http.client.HTTPSConnection(
                "localhost", port, context=ssl.create_default_context(cafile=certificate)
            )
        else:
            client = http.client.HTTPConnection("localhost", port)
        body, answers = bytes([n]) * 1_000_000 + b"end", []
        for _ in range(2):
            client.request("POST", "/", body)
            answers.append(client.getresponse().read() == body[::-1])
        client.close()
        return answers

    assert all_at_once(run, ask) == CLIENTS * [[True, True]]


def test_requests_asks_at_once(run, site):
    """requests, and urllib3 with its pool of connections, over one session."""
    requests = of("requests")
    address, certificate = site

    def main():
        with aio.patched(), requests.Session() as session:
            session.mount(address, requests.adapters.HTTPAdapter(pool_maxsize=CLIENTS, pool_block=True))

            def ask(n):
                return [
                    session.get(f"{address}/{n}", verify=certificate and str(certificate), timeout=60).text
                    for _ in range(2)
                ]

            return aio.await_(asyncio.gather(*(aio.spawn(ask, n) for n in range(CLIENTS))))

    assert run(main) == [2 * [f"/{n}"] for n in range(CLIENTS)]


def test_requests_time_out_and_can_be_cancelled(run, site):
    """By its own timeout, and by asyncio's."""
    requests = of("requests")
    address, certificate = site
    verify = certificate and str(certificate)

    def main():
        with aio.patched():
            with pytest.raises(requests.Timeout):
                requests.get(f"{address}/alone", timeout=(60, 0.2), verify=verify)
            with pytest.raises(TimeoutError):
                aio.await_(asyncio.wait_for(aio.call(requests.get, f"{address}/alone", verify=verify), 0.2))
            return "both"

    assert run(main) == "both"


def test_wrong_certificates_are_refused(run, certificate):
    """What fails in the handshake is the original's error."""

    def main(port):
        with aio.patched(), pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            urllib.request.urlopen(f"https://localhost:{port}/", timeout=60)
        return "refused"

    with web_server(1, certificate) as port:
        assert run(main, port) == "refused"


def test_pg8000_talks_to_postgresql_at_once(run, postgres_server):
    """One session waits in the server for a lock that another task's session holds, on the same thread."""
    pg8000 = of("pg8000.native")

    def connect():
        return pg8000.Connection("postgres", host="127.0.0.1", port=postgres_server.port, password=PASSWORD, timeout=60)

    def holder(trace):
        session = connect()
        session.run("SELECT pg_advisory_lock(1)")
        trace.append("held")
        while session.run("SELECT count(*) FROM pg_locks WHERE NOT granted") != [[CLIENTS]]:
            time.sleep(0.01)
        trace.append("released")
        session.close()

    def waiter(n, trace):
        session = connect()
        while "held" not in trace:
            time.sleep(0.001)
        session.run("SELECT pg_advisory_lock_shared(1)")
        trace.append("waited")
        rows = session.run("SELECT i, repeat('x', 1000) FROM generate_series(1, :most) AS i", most=100 + n)
        session.close()
        return sum(i for i, text in rows if len(text) == 1000)

    def main():
        trace = []
        with aio.patched():
            tasks = [aio.spawn(holder, trace), *(aio.spawn(waiter, n, trace) for n in range(CLIENTS))]
            return aio.await_(asyncio.gather(*tasks))[1:], trace

    sums, trace = run(main)
    assert sums == [sum(range(101 + n)) for n in range(CLIENTS)]
    assert trace == ["held", "released"] + CLIENTS * ["waited"]


def test_sqlalchemy_talks_to_postgresql_at_once(run, postgres_server):
    """Its ordinary engine over pg8000, with a pool of connections: transactions that take turns on one row lose nothing."""
    if find_spec("sqlalchemy") and metadata.version("sqlalchemy") < "2.1":
        pytest.skip("this SQLAlchemy loads greenlet, which switches fibers' C stacks off in the whole process: NOT RUN")
    sqlalchemy = of("sqlalchemy")
    of("pg8000")

    def add(engine):
        for _ in range(3):
            with engine.begin() as connection:
                n = connection.execute(sqlalchemy.text("SELECT n FROM counter FOR UPDATE")).scalar_one()
                time.sleep(0)
                connection.execute(sqlalchemy.text("UPDATE counter SET n = :n"), {"n": n + 1})

    def main():
        with aio.patched():
            engine = sqlalchemy.create_engine(
                postgres_server.url().replace("postgresql", "postgresql+pg8000", 1), pool_size=3
            )
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("DROP TABLE IF EXISTS counter"))
                connection.execute(sqlalchemy.text("CREATE TABLE counter AS SELECT 0 AS n"))
            aio.await_(asyncio.gather(*(aio.spawn(add, engine) for _ in range(CLIENTS))))
            with engine.connect() as connection:
                total = connection.execute(sqlalchemy.text("SELECT n FROM counter")).scalar_one()
            engine.dispose()
            return total

    assert run(main) == 3 * CLIENTS
