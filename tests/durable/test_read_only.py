"""A store that can only be read is looked at like any; what would have to write says so."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
RUNS = """
    import time, shop
    from stackful import durable
    with durable.connect("runs.db"):
        durable.start(shop.order, "tea").result()
        waits = durable.start(shop.waiter, "never", id="w")
        while waits.status is not durable.Status.WAITING:
            time.sleep(0.01)
"""
SCRIPT = """
    import os, stackful
    stackful.checkpoint()
    os.kill(os.getpid(), 9)
"""


def as_anybody(command):
    """The command without the rights of root, which may write everywhere."""
    if os.geteuid():
        return command
    if not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and there is no setpriv")
    return ["setpriv", "--inh-caps", "-all", "--bounding-set", "-all", "--ambient-caps", "-all", "--", *command]


@pytest.fixture
def stored(commands):
    """A folder with a store of its own, with runs of functions and one of a script in it."""
    commands.environment["PYTHONPATH"] += os.pathsep + str(PROGRAMS)
    commands.python(commands.script(RUNS), check=True)
    commands.stackful("run", "--store", "runs.db", "--name", "s", commands.script(SCRIPT))
    commands.stackful("ps", "--store", "runs.db", check=True)  # writes the log into the file
    yield commands
    commands.folder.chmod(0o700)


def stackful(commands, *args):
    command = [sys.executable, "-m", "stackful", args[0], "--store", str(commands.folder / "runs.db"), *args[1:]]
    return subprocess.run(
        as_anybody(command), capture_output=True, text=True, timeout=60, cwd="/", env=commands.environment
    )


def deny(commands, *names):
    """Take away the right to write to these files, and to make others beside them."""
    for name in names:
        for file in commands.folder.glob(name):
            file.chmod(0o400)
    commands.folder.chmod(0o500)


@pytest.mark.parametrize("names", [(), ("runs.db",), ("runs.db*", "key")])
def test_a_store_that_can_only_be_read_is_looked_at(stored, names):
    """Runs, their stacks, their checkpoints, those of scripts; nothing is made or changed."""
    deny(stored, *names)
    before = (stored.folder / "runs.db").read_bytes(), sorted(os.listdir(stored.folder))
    for command, shown in ((["ps"], "waiting (signal:never)"), (["show", "w"], "name = 'never'"), (["show", "s"], "<module>"),
                           (["log", "w"], "waiter"), (["log", "s"], "1"), (["ps", "--json"], "interrupted")):  # fmt: skip
        done = stackful(stored, *command)
        assert (done.stderr, done.returncode) == ("", 0)
        assert shown in done.stdout
    assert ((stored.folder / "runs.db").read_bytes(), sorted(os.listdir(stored.folder))) == before


@pytest.mark.parametrize(
    "command", [["signal", "w", "go"], ["cancel", "w"], ["gc"], ["resume", "s"], ["worker", "shop"]]
)
def test_what_would_write_to_a_store_that_can_only_be_read_says_so(stored, command):
    """In one message, and nothing has changed."""
    deny(stored, "runs.db", "key")
    done = stackful(stored, *command)
    assert done.returncode == 74
    (message,) = done.stderr.splitlines()
    assert "it is read-only; make the file and its folder writable" in message or "Permission denied" in message


def test_the_key_is_needed_only_for_what_is_sealed(stored):
    """Of somebody else's store, whose key nobody else can read, the runs can be listed."""
    (stored.folder / "key").chmod(0)
    deny(stored, "runs.db")
    assert "waiting (signal:never)" in stackful(stored, "ps").stdout
    assert "waiter" in stackful(stored, "log", "w").stdout
    done = stackful(stored, "show", "w")
    assert "waits for signal:never" in done.stdout
    assert "key cannot be read: Permission denied" in done.stderr


def test_a_store_whose_log_cannot_be_read_says_what_to_do(stored):
    """What is in the log only would be missing: it is not shown without."""
    database = sqlite3.connect(stored.folder / "runs.db")
    database.execute("PRAGMA wal_autocheckpoint = 0")
    database.execute("UPDATE runs SET priority = 5")
    database.commit()
    for name in ("runs.db", "runs.db-wal"):
        shutil.copy(stored.folder / name, stored.folder / f"copy-{name}")
    database.close()
    for name in ("runs.db", "runs.db-wal"):
        (stored.folder / f"copy-{name}").replace(stored.folder / name)
    deny(stored, "runs.db*")
    done = stackful(stored, "ps")
    assert (
        "runs.db-wal, has to be written into it first; open it once where it can be written, or copy both"
        in done.stderr
    )
    assert done.returncode == 74


def test_a_read_only_store_of_an_earlier_version_says_so(stored):
    """It would have to be brought up to date first."""
    with sqlite3.connect(stored.folder / "runs.db") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    deny(stored, "runs.db*")
    done = stackful(stored, "ps")
    assert "made by an earlier version of Stackful and has to be brought up to date, but is read-only" in done.stderr
    assert done.returncode == 74


def test_its_page_is_served(stored):
    """What changes is seen by looking: nothing can be heard of it."""
    pytest.importorskip("uvicorn")
    pytest.importorskip("starlette")
    deny(stored)
    command = [sys.executable, "-m", "stackful", "serve", "--port", "0", "--store", str(stored.folder / "runs.db")]
    with subprocess.Popen(
        as_anybody(command), stdout=subprocess.PIPE, text=True, cwd="/", env=stored.environment
    ) as server:
        try:
            address = server.stdout.readline().rpartition(" ")[2].strip()
            shown = json.loads(answer_of(f"{address}api/runs"))
        finally:
            server.terminate()
    assert {run["id"] for run in shown["runs"]} >= {"w", "s"}


def answer_of(url):
    """Asked again until the server is there."""
    end = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(url, timeout=60).read()
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.05)
