"""Large values of scripts under `stackful run`: stored once for the checkpoints that are kept, and for those that come."""

import json
import signal
import sqlite3

import pytest

# Grows by a text each round, and dies once when it is told to.
GROWS = """
    import os, random, stackful
    from stackful import durable

    def text(number):
        return random.Random(number).randbytes(3000).hex()

    def put(connection, number):
        connection.execute("CREATE TABLE IF NOT EXISTS notes (number)")
        connection.execute("INSERT INTO notes VALUES (?)", [number])
        if os.path.exists("refuse"):
            os.unlink("refuse")
            connection.execute("CREATE TABLE later (id INTEGER PRIMARY KEY, other REFERENCES later DEFERRABLE INITIALLY DEFERRED)")
            connection.execute("INSERT INTO later VALUES (1, 2)")

    def work(rounds):
        talk = []
        for number in range(rounds):
            talk.append(text(number))
            stackful.checkpoint()
            if number == 9:
                try:
                    durable.transaction(put, number)
                except stackful.StoreError as error:
                    print(type(error).__name__)
            if number == 12 and os.path.exists("die"):
                os.kill(os.getpid(), 9)
            if number == 14:
                del talk[:8]
        return talk == [*map(text, range(8, rounds))]

    print("right", work(20))
    {end}
"""


def blobs(commands):
    """How many bytes of large values are stored, and how many bytes the checkpoints take."""
    with sqlite3.connect(commands.folder / ".stackful" / "runs.db") as database:
        sizes = [database.execute(query).fetchone()[0] or 0 for query in
                 ("SELECT sum(length(data)) FROM blobs", "SELECT sum(length(data)) FROM checkpoints")]  # fmt: skip
    database.close()
    return sizes


def start(commands, end="pass"):
    return commands.stackful("run", "--name", "r", commands.script(GROWS.replace("{end}", end)))


def test_checkpoints_of_a_script_share_what_is_large(commands):
    """What is stored is what there is, once; the checkpoints themselves are small, and it is known what they need."""
    (commands.folder / "die").touch()
    assert start(commands).returncode == -signal.SIGKILL
    shared, alone = blobs(commands)
    assert 13 * 3000 <= shared < 18 * 3200
    assert alone < 20_000
    run = json.loads(commands.stackful("show", "r", "--json").stdout)
    assert run["problem"] is None
    assert 13 * 3000 <= run["checkpoint"]["size"] < 20 * 3200


def test_a_script_goes_on_with_its_large_values(commands):
    """In another process, with those that it shares and those that it loses; nothing of them is left when it has ended."""
    (commands.folder / "die").touch()
    start(commands)
    for command in (["show", "r"], ["show", "--raw", "r"], ["doctor"]):
        done = commands.stackful(*command)
        assert (done.stderr, done.returncode) == ("", 0)
    (commands.folder / "die").unlink()
    done = commands.stackful("resume", "r")
    assert (done.stdout, done.stderr) == ("right True\n", "")
    assert blobs(commands) == [0, 0]


def test_what_a_script_lost_is_dropped(commands):
    """As soon as neither of the two checkpoints that are kept needs it."""
    start(commands, end="os.kill(os.getpid(), 9)")
    shared, _ = blobs(commands)
    assert 12 * 3000 <= shared < 18 * 3200
    assert commands.stackful("resume", "r").returncode == -signal.SIGKILL


def test_a_checkpoint_that_was_not_stored_shares_nothing(commands):
    """Its transaction was rolled back when it was to be committed, and its large values with it: the next one has them all."""
    (commands.folder / "refuse").touch()
    (commands.folder / "die").touch()
    done = start(commands)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == "StoreError\n"
    (commands.folder / "die").unlink()
    assert commands.stackful("resume", "r").stdout == "right True\n"


@pytest.mark.parametrize("where", ["data", "blob"])
def test_the_checkpoint_before_a_damaged_one_has_its_large_values(commands, where):
    """And those that come after it, though they were not needed any more by the damaged one."""
    (commands.folder / "die").touch()
    start(commands)
    path = commands.folder / ".stackful" / "runs.db"
    with sqlite3.connect(path) as database:
        if where == "data":
            database.execute("UPDATE checkpoints SET data = substr(data, 1, length(data) - 9) WHERE seq = 14")
        else:
            newest = "SELECT digest FROM blob_users WHERE since = 14 LIMIT 1"
            database.execute(f"UPDATE blobs SET data = x'00' WHERE digest = ({newest})")
    database.close()
    (commands.folder / "die").unlink()
    done = commands.stackful("resume", "r")
    assert done.stdout == "right True\n"
    assert "the last checkpoint is damaged; going on from checkpoint 13" in done.stderr
