"""Large arrays go to files and come back without a copy: what comes back is what was saved, and nothing else is let in."""

import io
import os
import pickle
import sys
import threading

import pytest
from traps import Trap

from stackful import SealError, SnapshotError, SnapshotFormatError, _core, snapshot
from stackful.snapshot import files
from stackful.snapshot.format import HAS_PARTS, head_of, seal
from stackful.snapshot.parts import prefix_of

KEY = b"k" * 32
SIZES = (3 << 20, 70_000, (2 << 20) + 1)


def value(*more):
    """Buffers of several sizes among other things."""
    return [
        "before",
        *(pickle.PickleBuffer(bytearray(os.urandom(size))) for size in SIZES),
        *more,
    ]


def is_same(loaded, saved):
    """Whether the same has come back, in memory that can be written to."""
    assert all(type(one) is bytearray for one in loaded[1:4])
    return loaded[0] == saved[0] and all(
        one == bytes(other.raw()) for one, other in zip(loaded[1:4], saved[1:4], strict=True)
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "large.snapshot"


@pytest.fixture
def whole(monkeypatch):
    """What `load` was given in one piece instead: nothing, where it read it to its place."""
    given = []
    loads = snapshot.loads
    monkeypatch.setattr(snapshot, "loads", lambda data, **how: (given.append(len(data)), loads(data, **how))[1])
    return given


@pytest.mark.parametrize("key", [KEY, None], ids=["key", "no key"])
@pytest.mark.parametrize("buffering", [-1, 0], ids=["buffered", "unbuffered"])
def test_large_buffers_come_back_from_a_file(path, whole, key, buffering):
    """With the bytes that `dumps` makes; the file may have something before them."""
    saved = value()
    with open(path, "wb", buffering=buffering) as file:
        file.write(b"something else")
        count = snapshot.dump(saved, file, key=key, run="r", sequence=3)
    data = path.read_bytes()
    assert len(data) == 14 + count
    assert data[14:] == snapshot.dumps(saved, key=key, run="r", sequence=3)
    with open(path, "rb", buffering=buffering) as file:
        file.seek(14)
        loaded = snapshot.load(file, key=key, run="r", sequence=3)
        assert file.read() == b""
    assert is_same(loaded, saved)
    assert whole == []


@pytest.mark.parametrize(
    "how", [{"compression": "zlib"}, {"blobs": snapshot.MemoryBlobs()}, {}], ids=["zlib", "blobs", "small"]
)
def test_other_snapshots_are_read_in_one_piece(path, whole, how):
    """Compressed, with blobs, or small: the same comes back."""
    saved = ["before", *(pickle.PickleBuffer(bytearray(size)) for size in (SIZES if how else (10, 20, 30)))]
    with path.open("wb") as file:
        snapshot.dump(saved, file, key=KEY, **how)
    with path.open("rb") as file:
        assert is_same(snapshot.load(file, key=KEY, blobs=how.get("blobs")), saved)
    assert len(whole) == 1


def test_what_is_no_file_on_a_disk_will_do(whole):
    """Memory, and whatever else has `read` and `write`."""
    saved, file = value(), io.BytesIO()
    snapshot.dump(saved, file, key=KEY)
    file.seek(0)
    assert is_same(snapshot.load(file, key=KEY), saved)
    assert len(whole) == 1


class Little:
    """A file that takes a little at a time."""

    def __init__(self):
        self.data = bytearray()

    def write(self, data):
        self.data += data[:300_000]
        return min(len(data), 300_000)


def test_all_is_written_to_a_file_that_takes_a_little_at_a_time():
    """As files without a buffer may."""
    saved, file = value(), Little()
    assert snapshot.dump(saved, file, key=KEY) == len(file.data)
    assert is_same(snapshot.loads(bytes(file.data), key=KEY), saved)


class Full:
    """A disk that is full."""

    def write(self, data):
        raise OSError(28, "No space left on device")


def test_an_error_of_the_file_is_raised():
    """And the thread that digests has ended by then."""
    with pytest.raises(OSError, match="No space left"):
        snapshot.dump(value(), Full(), key=KEY)


def test_where_no_thread_can_be_started_none_is_needed(path, monkeypatch):
    """As at the end of the interpreter, where functions that were registered with `atexit` may save something."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    saved = value()
    with path.open("wb") as file:
        snapshot.dump(saved, file, key=KEY)
    with path.open("rb") as file:
        assert is_same(snapshot.load(file, key=KEY), saved)


def test_a_seal_that_could_not_be_made_is_no_seal(path, monkeypatch):
    """The error is raised, and the file has no end: it is refused."""

    def digest_of(pieces, key):
        raise MemoryError

    monkeypatch.setattr(files, "digest_of", digest_of)
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    with path.open("wb") as file, pytest.raises(MemoryError, match="digests a snapshot"):
        snapshot.dump(value(), file, key=KEY)
    monkeypatch.undo()
    with path.open("rb") as file, pytest.raises(SnapshotFormatError, match="cut short"):
        snapshot.load(file, key=KEY)


@pytest.fixture(scope="module")
def trapped():
    """A large snapshot that calls something when it is unpickled."""
    return snapshot.dumps(value(Trap()), key=KEY, run="mine", sequence=3)


def refusals(data):
    """(bytes, how they are loaded, error, what its message says)."""
    head = head_of(data)
    for at in (
        0,
        8,
        9,
        20,
        30,
        45,
        head.start,
        head.start + 4,
        head.start + 9,
        head.start + 60,
        head.start + 300,
        1 << 20,
        head.end - 1,
        len(data) - 1,
    ):
        yield data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], {}, SnapshotError, "."
    yield data[:-1], {}, SnapshotFormatError, "cut short"
    yield data + b"x", {}, SnapshotFormatError, "bytes added"
    yield data, {"key": b"o" * 32}, SealError, "another key"
    yield data, {"key": None}, SealError, "no key was given"
    yield data, {"run": "yours"}, SealError, "belongs to run 'mine'"
    yield data, {"sequence": 4}, SealError, "number 3 of its run"


def test_what_is_not_as_it_was_sealed_is_refused_before_unpickling(path, trapped):
    """As it is where the bytes are in memory, with the same errors."""
    Trap.sprung = 0
    for data, how, error, says in refusals(trapped):
        path.write_bytes(data)
        with path.open("rb") as file, pytest.raises(error, match=says) as caught:
            snapshot.load(file, **{"key": KEY, **how})
        with pytest.raises(error) as other:
            snapshot.loads(data, **{"key": KEY, **how})
        assert str(caught.value) == str(other.value)
    assert Trap.sprung == 0
    with path.open("wb") as file:
        file.write(trapped)
    with path.open("rb") as file:
        snapshot.load(file, key=KEY)
    assert Trap.sprung == 1


def test_a_table_that_lies_is_refused(path):
    """Sealed with the right key: lengths that the body has no room for, buffers that nobody asks for or that are missing."""
    saved = pickle.dumps(pickle.PickleBuffer(bytearray(5 << 20)), 5, buffer_callback=lambda buffer: False)
    buffer = bytes(5 << 20)
    for told in ([], [memoryview(buffer)] * 2):
        path.write_bytes(seal(prefix_of((), told) + saved + buffer, KEY, flags=HAS_PARTS))
        with path.open("rb") as file, pytest.raises(SnapshotFormatError):
            snapshot.load(file, key=KEY)


def test_a_file_that_becomes_shorter_meanwhile_is_an_error(path, trapped, monkeypatch):
    """Another process has cut it off."""
    path.write_bytes(trapped)
    monkeypatch.setattr(files, "_size", lambda file: len(trapped))
    os.truncate(path, 1 << 20)
    with path.open("rb") as file, pytest.raises(EOFError, match="shorter"):
        snapshot.load(file, key=KEY)


def test_memory_that_is_to_be_filled_has_the_size_that_was_asked_for():
    """And no other: what is no size is refused."""
    assert [len(_core.blank_bytes(size)) for size in (0, 1, 5000)] == [0, 1, 5000]
    for size, error in (
        (-1, ValueError),
        (1 << 70, OverflowError),
        (sys.maxsize, (MemoryError, OverflowError)),
        ("x", TypeError),
    ):
        with pytest.raises(error):
            _core.blank_bytes(size)


def test_memory_that_a_restored_array_has_is_its_own(path):
    """Two loads of a file share nothing."""
    numpy = pytest.importorskip("numpy")
    saved = {"weights": numpy.arange(1_000_000.0)}
    with path.open("wb") as file:
        snapshot.dump(saved, file)
    with path.open("rb") as file:
        first = snapshot.load(file)
        file.seek(0)
        second = snapshot.load(file)
    first["weights"][:] = 0
    assert (second["weights"] == saved["weights"]).all()
