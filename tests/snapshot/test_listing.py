"""A snapshot shown without loading it."""

import importlib.util
import json
import os
import subprocess
import sys

import golden_programs
import pytest
from traps import Trap

from stackful import Fiber, SnapshotFormatError, snapshot, suspend
from stackful.snapshot.format import seal
from stackful.snapshot.listing import look

KEY = b"k" * 32


def outer(trap):
    found = inner("here")
    return found, trap


def inner(where):
    return [where, suspend(where)]


def held():
    fiber = Fiber(outer, Trap())
    fiber.resume()
    return fiber


def test_frames_are_shown_with_lines_and_names_and_nothing_is_called():
    """The innermost first, by what the snapshot itself tells."""
    Trap.sprung = 0
    listing = look(snapshot.dumps(held(), key=KEY, run="r", sequence=2), key=KEY)
    first = inner.__code__.co_firstlineno
    told = [(place.function, place.module, place.line, place.variables) for place in listing.frames]
    assert told == [("inner", __name__, first + 1, ("where",)), ("outer", __name__, first - 4, ("trap", "found"))]
    assert listing.seal == "fits"
    assert (listing.header["run"], listing.header["sequence"]) == ("r", 2)
    assert f"{Trap.__module__}:spring" in listing.names
    assert any("STOP" in line for line in listing.instructions())
    assert Trap.sprung == 0


def test_what_is_wrong_with_the_seal_is_told():
    """And the rest is shown all the same: looking does no harm."""
    data = bytearray(snapshot.dumps(held(), key=KEY))
    assert "no key was given" in look(bytes(data)).seal
    assert "another key" in look(bytes(data), key=b"other").seal
    data[-1] ^= 1
    listing = look(bytes(data), key=KEY)
    assert "does not fit" in listing.seal
    assert [place.function for place in listing.frames] == ["inner", "outer"]


@pytest.mark.skipif(importlib.util.find_spec("cryptography") is None, reason="cryptography is not installed")
def test_of_an_encrypted_snapshot_the_header_is_shown():
    """All, with the key."""
    data = snapshot.dumps(held(), key=KEY, encrypt=True)
    assert (look(data).frames, look(data).note) == ([], "this snapshot is encrypted: give its key")
    assert len(look(data, key=KEY).frames) == 2


def test_a_snapshot_with_blobs_lists_them():
    """Those that it names; where it differs from a base only, the blobs are needed to see more."""
    blobs = snapshot.MemoryBlobs()
    data = [snapshot.dumps([held(), "x" * 5000, list(range(1000 + n))], blobs=blobs) for n in range(3)][-1]
    assert "give blobs=" in look(data).note
    listing = look(data, blobs=blobs)
    assert {bytes.fromhex(digest) for digest in listing.blobs} == snapshot.references(data, blobs=blobs)
    assert len(listing.frames) == 2


def test_a_damaged_pickle_is_shown_as_far_as_it_goes():
    """With what is wrong with it."""
    listing = look(seal(b"\x80\x05]q\x00(K\x01\xff"))
    assert "damaged" in listing.note
    assert "no further" in list(listing.instructions())[-1]
    with pytest.raises(SnapshotFormatError):
        look(b"no snapshot")


@pytest.mark.parametrize("path", sorted(golden_programs.FOLDER.glob("*.snapshot")), ids=lambda path: path.stem)
def test_snapshots_of_every_python_and_schema_are_shown(path):
    """Whichever Python looks."""
    listing = look(path.read_bytes(), key=golden_programs.KEY)
    assert listing.seal == "fits"
    assert [place.function for place in listing.frames][:3] == ["visit", "visit", "counted"]


def command(*arguments, **environment):
    """What `stackful` prints."""
    program = "from stackful.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def test_the_command_shows_a_file(tmp_path):
    """For people, and for programs; the key comes from the environment."""
    path = tmp_path / "one.snapshot"
    path.write_bytes(snapshot.dumps(held(), key=KEY))
    text = command("show", "--raw", path)
    for expected in (
        "schema       3",
        "not checked",
        f"{__name__}:inner  line",
        "variables: where",
        "SHORT_BINUNICODE",
    ):
        assert expected in text
    told = json.loads(command("show", "--raw", "--json", path, STACKFUL_KEY=KEY.hex()))[str(path)]
    assert told["seal"] == "fits"
    assert [frame["function"] for frame in told["frames"]] == ["inner", "outer"]
    assert told["pickle"][-1].startswith("highest protocol")


SCRIPT = """
import stackful
def work(number):
    stackful.checkpoint()
    1 / 0
work(7)
"""


def test_the_command_shows_a_run(tmp_path):
    """Its last checkpoint, with the lines of the script."""
    (tmp_path / "script.py").write_text(SCRIPT)
    store = tmp_path / "runs.db"
    program = "from stackful.cli.main import main; main()"
    run = [sys.executable, "-c", program, "run", "--store", store, "--name", "one", tmp_path / "script.py"]
    subprocess.run(list(map(str, run)), capture_output=True, check=False)
    told = json.loads(command("show", "--raw", "--json", "--store", store, "one"))
    assert list(told) == ["environment", "program"]
    assert all(part["seal"] == "fits" for part in told.values())
    frames = [
        (frame["function"], frame["line"]) for frame in told["program"]["frames"] if frame["module"] == "__main__"
    ]
    assert frames == [("work", 4), ("<module>", 6)]
