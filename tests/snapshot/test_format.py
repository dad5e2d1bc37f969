"""The container: what docs/format.md says to the byte; whatever is not as it was sealed is refused before anything is unpickled."""

import hashlib
import hmac
import importlib.util
import io
import json
import os
import pickle
import struct
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from traps import Trap

from stackful import Fiber, SealError, SnapshotError, SnapshotFormatError, SnapshotVersionError, snapshot, suspend
from stackful.snapshot import compression
from stackful.snapshot.format import open_sealed, seal, unseal
from stackful.snapshot.keys import keys_of

KEY, OTHER = b"k" * 32, b"o" * 32
PYTHON = "{}.{}".format(*sys.version_info)
HAS_CRYPTOGRAPHY = importlib.util.find_spec("cryptography") is not None
HAS_ZSTD = compression.best() == compression.COMPRESSIONS.index("zstd")
needs_cryptography = pytest.mark.skipif(not HAS_CRYPTOGRAPHY, reason="cryptography is not installed")


@pytest.fixture(autouse=True)
def nothing_was_unpickled():
    """Each test that sets a trap sees to it that it was not sprung."""
    Trap.sprung = 0
    yield
    assert Trap.sprung == 0


def by_hand(body, secret=None, /, schema=3, flags=0, sequence=0, how=0, size=None, middle=b"", **fields):
    """A snapshot as docs/format.md says, by nothing of ours."""
    text = json.dumps({"python": PYTHON, "bytecode": importlib.util.MAGIC_NUMBER.hex(), **fields}).encode()
    size = len(body) if size is None else size
    head = b"STACKFUL" + struct.pack(
        "<BBBBIQQQ", schema, secret is not None, how, flags, len(text), sequence, len(body), size
    )
    data = head + text + middle + body
    return data + (hashlib.sha256(data).digest() if secret is None else hmac.digest(secret, data, "sha256"))


def key_id(key):
    return hmac.digest(key, b"stackful: which key this is", "sha256")[:8].hex()


# --- to the byte ------------------------------------------------------------------------------------------------------


def test_a_snapshot_made_by_hand_is_read():
    """What docs/format.md says is all that there is."""
    body = pickle.dumps([1, "two"], 5)
    assert snapshot.loads(by_hand(body)) == snapshot.loads(by_hand(body, schema=2)) == [1, "two"]
    assert snapshot.loads(by_hand(body, KEY, key=key_id(KEY)), key=KEY) == [1, "two"]
    placed = by_hand(body, KEY, key=key_id(KEY), run="r", sequence=3, flags=8)
    assert snapshot.loads(placed, key=KEY, run="r", sequence=3) == [1, "two"]


def test_a_snapshot_has_the_bytes_that_are_documented():
    """The same the other way round."""
    body = unseal(snapshot.dumps([1]))
    assert snapshot.dumps([1]) == by_hand(body)
    assert snapshot.dumps([1], key=KEY, run="r", sequence=3) == by_hand(
        body, KEY, key=key_id(KEY), run="r", flags=8, sequence=3
    )


def test_large_buffers_follow_the_pickle():
    """A table says how many and how long they are."""
    buffer = bytearray(os.urandom(70_000))
    opened = open_sealed(snapshot.dumps(pickle.PickleBuffer(buffer), compression="none"), None)
    assert opened.head.flags == 1
    assert bytes(opened.body[:17]) == struct.pack("<IIBQ", 0, 1, 0, len(buffer))
    assert bytes(opened.body[-len(buffer) :]) == buffer


def test_the_header_says_what_there_is():
    """Without a key, and without unpickling."""
    told = snapshot.header(snapshot.dumps([Trap()], key=KEY, run="r", sequence=9))
    assert told == {
        "schema": 3, "python": PYTHON, "bytecode": importlib.util.MAGIC_NUMBER.hex(), "seal": "hmac-sha256", "key": key_id(KEY),
        "run": "r", "sequence": 9, "compression": "none", "encryption": None, "size": told["size"], "stored": told["size"],
    }  # fmt: skip


# --- what is refused --------------------------------------------------------------------------------------------------


def refusals():
    """(name, bytes, how they are loaded, error, what its message says)."""
    good = snapshot.dumps([Trap()], key=KEY, run="mine", sequence=3)
    plain = snapshot.dumps([Trap()])
    yield "no snapshot", b"PK\x03\x04" + good, {"key": KEY}, SnapshotFormatError, "no snapshot"
    yield "empty", b"", {"key": KEY}, SnapshotFormatError, "no snapshot"
    for at in range(8, len(good)):
        cut = good[:at]
        yield f"truncated at {at}", cut, {"key": KEY}, SnapshotError, "cut short|damaged|no snapshot|sealed"
    yield "bytes added", good + b"x", {"key": KEY}, SnapshotFormatError, "bytes added"
    for at in range(len(good)):
        changed = bytearray(good)
        changed[at] ^= 1
        yield f"altered at {at}", bytes(changed), {"key": KEY}, SnapshotError, "."
    yield "unsealed", plain, {"key": KEY}, SealError, "not sealed with a key; nothing was unpickled"
    yield "no key", good, {}, SealError, "no key was given; nothing was unpickled"
    yield "another key", good, {"key": OTHER}, SealError, f"another key, {key_id(KEY)}"
    lying = by_hand(pickle.dumps(Trap(), 5), OTHER, key=key_id(KEY))
    yield "another key that says it is this", lying, {"key": KEY}, SealError, "does not fit"
    yield "another run", good, {"key": KEY, "run": "yours"}, SealError, "belongs to run 'mine', not to run 'yours'"
    yield "another moment", good, {"key": KEY, "run": "mine", "sequence": 4}, SealError, "number 3 of its run, not 4"
    yield "no run", plain, {"run": "mine"}, SealError, "belongs to no run, not to run 'mine'"
    yield "a later schema", by_hand(b"", schema=4), {}, SnapshotVersionError, "schema 4, this Stackful reads 1 to 3"
    yield "flags of a later release", by_hand(b"", flags=64), {}, SnapshotFormatError, "flags 64"


REFUSALS = list(refusals())


@pytest.mark.parametrize(("_", "data", "how", "error", "says"), REFUSALS, ids=[case[0] for case in REFUSALS])
def test_what_is_not_as_it_was_sealed_is_refused_before_unpickling(_, data, how, error, says):
    """Unsealed, altered in any byte, cut short anywhere, sealed by others, of another run or moment."""
    with pytest.raises(error, match=says):
        snapshot.loads(data, **how)


def test_a_key_must_be_bytes_and_not_empty():
    """A text is no key."""
    for wrong, error in [
        ("text", TypeError),
        (b"", ValueError),
        ([], ValueError),
        (7, TypeError),
        (["text"], TypeError),
    ]:
        with pytest.raises(error):
            snapshot.dumps(1, key=wrong)
        with pytest.raises(error):
            snapshot.loads(snapshot.dumps(1), key=wrong)


def test_a_sequence_number_counts_from_zero():
    """It has 64 bits."""
    for wrong in (-1, 1 << 64):
        with pytest.raises(ValueError, match="64 bits"):
            snapshot.dumps(1, run="r", sequence=wrong)


@pytest.mark.parametrize("body", [b"", b"\0" * 7, struct.pack("<II", 2**31, 0), struct.pack("<IIBQ", 0, 1, 0, 2**63)])
def test_a_damaged_table_of_parts_is_refused(body):
    """Its numbers are not believed."""
    with pytest.raises(SnapshotFormatError, match="table of parts"):
        snapshot.loads(by_hand(body, flags=1))


# --- compression and encryption ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["none", "zlib", *(["zstd"] if HAS_ZSTD else [])])
def test_compression_is_recorded_and_undone(name):
    """Each kind that there is."""
    value = list(range(10_000))
    data = snapshot.dumps(value, compression=name)
    assert snapshot.header(data)["compression"] == name
    assert snapshot.loads(data) == value
    assert (len(data) < 25_000) == (name != "none")


def test_what_does_not_become_smaller_is_not_compressed():
    """Neither a small snapshot nor one of random bytes."""
    assert snapshot.header(snapshot.dumps([1] * 100))["compression"] == "none"
    for name in (None, "zlib"):
        data = snapshot.dumps(os.urandom(200_000), compression=name)
        assert snapshot.header(data)["compression"] == "none"


@pytest.mark.parametrize("base", [None, b"what they resemble" * 1000], ids=["plain", "resembling"])
def test_threads_compress_at_the_same_time(base):
    """What one compresses is not mixed with what another does."""
    texts = [bytes(f"{n} is the number of this one; ", "ascii") * 4000 * (n + 1) for n in range(8)]
    number = compression.best()

    def crossed(text):
        packed = [compression.compress(number, text, base) for _ in range(50)]
        return {compression.decompress(number, data, len(text), base) for data in packed}

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(crossed, texts)) == [{text} for text in texts]


def test_an_unknown_compression_is_refused():
    """When it is asked for, and when it is met."""
    with pytest.raises(ValueError, match="none, zlib, zstd"):
        snapshot.dumps(1, compression="rar")
    with pytest.raises(SnapshotFormatError, match="does not know: 7"):
        snapshot.loads(by_hand(b"x", how=7))


@pytest.mark.parametrize(("body", "size"), [(b"damaged", 10), (b"", 5)])
def test_what_cannot_be_decompressed_is_refused(body, size):
    """Also when it says another size."""
    for how in (1, 2) if HAS_ZSTD else (1,):
        with pytest.raises(SnapshotFormatError, match="cannot be decompressed"):
            snapshot.loads(by_hand(body, how=how, size=size))


@needs_cryptography
def test_an_encrypted_snapshot_shows_its_header_only():
    """The content does not stand in the bytes, and comes back with the key."""
    data = snapshot.dumps(["a secret text"], key=KEY, run="r", encrypt=True)
    assert b"secret" not in data
    assert snapshot.header(data)["encryption"] == "aes-256-gcm"
    assert snapshot.loads(data, key=[OTHER, KEY], run="r") == ["a secret text"]
    assert data != snapshot.dumps(["a secret text"], key=KEY, run="r", encrypt=True)


@needs_cryptography
def test_encryption_is_aes_gcm_under_a_key_for_each_snapshot():
    """As docs/format.md says, done by hand."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data = snapshot.dumps([1], key=KEY, encrypt=True)
    length = struct.unpack_from("<I", data, 12)[0]
    start = 40 + length
    salt, secret = data[start : start + 32], data[start + 32 : -32]
    derived = hmac.digest(KEY, b"stackful: encryption\0" + salt, "sha256")
    assert AESGCM(derived).decrypt(bytes(12), secret, data[: start + 32]) == unseal(snapshot.dumps([1]))


@needs_cryptography
def test_an_encrypted_snapshot_that_was_altered_is_refused():
    """The seal is over what is encrypted."""
    data = bytearray(snapshot.dumps([Trap()], key=KEY, encrypt=True))
    data[-40] ^= 1
    with pytest.raises(SealError, match="does not fit"):
        snapshot.loads(bytes(data), key=KEY)


def test_encryption_needs_a_key():
    """There is nothing else to encrypt with."""
    with pytest.raises((ValueError, SnapshotError), match="needs a key|pip install"):
        snapshot.dumps(1, encrypt=True)


def test_encryption_without_its_package_says_what_to_install(monkeypatch):
    """Only whoever uses it needs it."""
    from stackful.snapshot import encryption

    encryption._aesgcm.cache_clear()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(SnapshotError, match=r"stackful\[encryption\]"):
        snapshot.dumps(1, key=KEY, encrypt=True)


# --- files ------------------------------------------------------------------------------------------------------------


def ask(question):
    return question + suspend(question)


def test_a_snapshot_goes_to_a_file_and_comes_back():
    """With all that `dumps` and `loads` take."""
    fiber = Fiber(ask, "why? ")
    fiber.resume()
    file = io.BytesIO()
    assert snapshot.dump(fiber, file, key=KEY, run="r", sequence=1) == len(file.getvalue())
    file.seek(0)
    assert snapshot.load(file, key=KEY, run="r", sequence=1).resume("because") == "why? because"


def test_a_wrong_argument_of_dump_is_a_type_error():
    """As for every function."""
    with pytest.raises(TypeError, match="colour"):
        snapshot.dump(1, io.BytesIO(), colour="red")


def test_memory_of_a_loaded_buffer_can_be_written_to():
    """As that of the original; and it is the snapshot's no longer."""
    data = snapshot.dumps(pickle.PickleBuffer(bytearray(100_000)))
    first, second = snapshot.loads(data), snapshot.loads(data)
    first[0] = 1
    assert second[0] == 0


def test_a_snapshot_of_the_seal_function_is_read():
    """What tests make of any body."""
    assert snapshot.loads(seal(pickle.dumps(1), KEY), key=KEY) == 1
    assert keys_of(KEY) is keys_of(KEY)
