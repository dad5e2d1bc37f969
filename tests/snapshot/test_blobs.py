"""Large values are stored once for many snapshots; what comes back is what was saved, from one snapshot, its base and its packs."""

import gc
import importlib.util
import os
import pickle
import random

import pytest

from stackful import Fiber, SealError, SnapshotFormatError, UnsaveableError, _core, snapshot, suspend
from stackful.snapshot.blobs import Draft
from stackful.snapshot.format import HAS_BASE, head_of
from stackful.snapshot.sqlite import SqliteBlobs

KEY = b"k" * 32
needs_cryptography = pytest.mark.skipif(
    importlib.util.find_spec("cryptography") is None, reason="cryptography is not installed"
)
WORDS = [f"word{number}" for number in range(4000)]


def text(number, seed):
    """About so many words, like no other."""
    return " ".join(random.Random(seed).choices(WORDS, k=number))


def agent(steps, each=200):
    """The state after each step of a conversation that grows."""
    messages = []
    for step in range(steps):
        messages.append({"role": "assistant", "content": text(each // 4, f"{step} a"), "step": step})
        messages.append({"role": "tool", "content": text(each, f"{step} t"), "id": f"call_{step}"})
        yield {"step": step, "messages": messages, "last": messages[-1]}


@pytest.fixture(params=["memory", "sqlite"])
def blobs(request, tmp_path):
    if request.param == "memory":
        yield snapshot.MemoryBlobs()
    else:
        with SqliteBlobs(tmp_path / "blobs.db") as made:
            yield made


@pytest.mark.parametrize("how", [{}, {"compression": "none"}, {"compression": "zlib"}], ids=["best", "none", "zlib"])
def test_every_snapshot_of_a_growing_state_comes_back(blobs, how):
    """Each by itself, in any order, with a history of its own; and identity is kept."""
    made = [(pickle.dumps(state), snapshot.dumps(state, blobs=blobs, key=KEY, run="r", **how)) for state in agent(30)]
    for plain, data in random.Random(1).sample(made, len(made)):
        state = snapshot.loads(data, blobs=snapshot.History(blobs), key=KEY, run="r")
        assert state == pickle.loads(plain)
        assert state["last"] is state["messages"][-1]


def test_a_snapshot_leaves_nothing_for_the_collector():
    """What it was to store, megabytes maybe, is gone when it has been made, for none of that refers to itself."""
    blobs = snapshot.MemoryBlobs()
    gc.collect()
    gc.disable()
    try:
        snapshot.dumps(["x" * 100_000], blobs=blobs)
        left = sum(type(thing) is Draft for thing in gc.get_objects())
    finally:
        gc.enable()
    assert left == 0


def test_what_is_stored_is_little_more_than_the_final_state():
    """At most 1.2 times as many bytes, all snapshots kept; what does not compress shows it best."""
    blobs, messages, size = snapshot.MemoryBlobs(), [], 0
    for step in range(100):
        messages.append({"role": "assistant", "content": os.urandom(500).hex(), "step": step})
        messages.append({"role": "tool", "content": os.urandom(3500).hex(), "id": f"call_{step}"})
        size += len(snapshot.dumps({"step": step, "messages": messages}, blobs=blobs, key=KEY, run="r", sequence=step))
    stored = size + sum(map(len, blobs.data.values()))
    assert stored < 1.2 * len(snapshot.dumps(messages))


def test_a_snapshot_reads_from_one_base():
    """However many went before it: a base stands alone."""
    blobs = snapshot.MemoryBlobs()
    data = [snapshot.dumps(state, blobs=blobs) for state in agent(40)]
    bases = {head_of(one).base for one in data if head_of(one).flags & HAS_BASE}
    assert 1 < len(bases) < 20
    needed = snapshot.references(data[-1], blobs=blobs)
    assert len(needed & bases) == 1


def test_what_was_stored_before_is_not_stored_again(blobs):
    """Neither in this process nor in the next, which has loaded a snapshot."""
    state = list(agent(5, each=2000))[-1]
    data = snapshot.dumps(state, blobs=blobs)
    puts = []
    put = blobs.put
    blobs.put = lambda digest, data: (puts.append(len(data)), put(digest, data))
    history = snapshot.History(blobs)
    loaded = snapshot.loads(data, blobs=history)
    loaded["messages"].append({"role": "user", "content": "z" * 1000})
    again = snapshot.dumps(loaded, blobs=history)
    assert sum(puts) < 1500
    assert snapshot.loads(again, blobs=blobs) == loaded


def test_equal_strings_are_stored_once():
    """Found by what they are, not by which object."""
    blobs = snapshot.MemoryBlobs()
    snapshot.dumps([text(500, 1), text(500, 1), text(500, 1).encode()], blobs=blobs, compression="none")
    assert sum(map(len, blobs.data.values())) < 2.2 * len(text(500, 1))


def test_mutable_memory_is_compared_each_time():
    """A buffer that has not changed is not stored again; one that has is."""
    blobs = snapshot.MemoryBlobs()
    memory = bytearray(os.urandom(50_000))
    first = snapshot.dumps(pickle.PickleBuffer(memory), blobs=blobs)
    snapshot.dumps(pickle.PickleBuffer(memory), blobs=blobs)
    assert len(blobs.data) == 1
    memory[0] ^= 1
    second = snapshot.dumps(pickle.PickleBuffer(memory), blobs=blobs)
    assert len(blobs.data) == 2
    assert snapshot.loads(second, blobs=blobs) == memory != snapshot.loads(first, blobs=blobs)


def hold(words, stop):
    count = len(words)
    stop(count)
    return words, count


def test_a_fiber_keeps_its_large_values_in_blobs():
    """Its locals are found again, and the fiber goes on."""
    blobs = snapshot.MemoryBlobs()
    fiber = Fiber(hold, text(3000, 7), suspend)
    fiber.resume()
    data = snapshot.dumps(fiber, blobs=blobs)
    assert len(data) < 1500
    assert snapshot.loads(data, blobs=blobs).resume() == (text(3000, 7), len(text(3000, 7)))


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_snapshot_that_cannot_be_made_stores_nothing():
    """And the next one is whole."""
    blobs = snapshot.MemoryBlobs()
    history = snapshot.History(blobs)
    value = [text(500, 3), (lambda: (yield))(), open(os.devnull)]  # noqa: SIM115
    value[2].close()
    value[2] = os.scandir("/")
    with pytest.raises(UnsaveableError):
        snapshot.dumps(value, blobs=history)
    value[2].close()
    assert not blobs.data
    assert snapshot.loads(snapshot.dumps(value[0], blobs=history), blobs=blobs) == value[0]


def test_what_was_rolled_back_is_stored_again():
    """`forget` says that nothing of it was kept."""
    blobs = snapshot.MemoryBlobs()
    history = snapshot.History(blobs)
    snapshot.dumps(text(500, 3), blobs=history)
    blobs.data.clear()
    history.forget()
    assert snapshot.loads(snapshot.dumps(text(500, 3), blobs=history), blobs=blobs) == text(500, 3)


def test_a_missing_blob_is_reported():
    """With its digest."""
    blobs = snapshot.MemoryBlobs()
    data = snapshot.dumps([text(500, 3)], blobs=blobs)
    with pytest.raises(SnapshotFormatError, match="which is not there"):
        snapshot.loads(data, blobs=snapshot.MemoryBlobs())
    with pytest.raises(SnapshotFormatError, match="give blobs="):
        snapshot.loads(data)


@pytest.mark.parametrize("at", [0, 1, -1])
def test_an_altered_blob_is_refused_before_it_is_unpickled(at):
    """Its digest stands in the snapshot, which is sealed."""
    blobs = snapshot.MemoryBlobs()
    states = list(agent(10))
    data = snapshot.dumps(states[-1], blobs=blobs, key=KEY)
    for digest, good in list(blobs.data.items()):
        changed = bytearray(good)
        changed[at] ^= 1
        blobs.data[digest] = bytes(changed)
        with pytest.raises(SealError, match="altered or damaged"):
            snapshot.loads(data, blobs=snapshot.History(blobs), key=KEY)
        blobs.data[digest] = good


@needs_cryptography
def test_blobs_of_encrypted_snapshots_are_encrypted():
    """Under a key for each; after a rotation all is stored anew, under the new key."""
    blobs = snapshot.MemoryBlobs()
    secret = "not to be read by others " * 100
    data = snapshot.dumps([secret], blobs=blobs, key=KEY, encrypt=True, compression="none")
    assert all(b"not to be" not in blob for blob in blobs.data.values())
    new = b"n" * 32
    now = snapshot.dumps([secret], blobs=blobs, key=(new, KEY), encrypt=True)
    assert snapshot.loads(now, blobs=blobs, key=new) == snapshot.loads(data, blobs=blobs, key=(new, KEY)) == [secret]
    with pytest.raises(SealError, match="another key"):
        snapshot.loads(data, blobs=blobs, key=new)


def test_what_no_snapshot_needs_can_be_dropped(blobs):
    """`references` tells what is needed, without unpickling."""
    data = [snapshot.dumps(state, blobs=blobs, key=KEY) for state in agent(30)]
    before = blobs.size()
    kept = data[:3]
    blobs.keep_only(set().union(*(snapshot.references(one, blobs=blobs, key=KEY) for one in kept)))
    assert blobs.size() < before / 4
    assert [snapshot.loads(one, blobs=blobs, key=KEY)["step"] for one in kept] == [0, 1, 2]
    with pytest.raises(SnapshotFormatError, match="not there"):
        snapshot.loads(data[-1], blobs=blobs, key=KEY)


def test_a_blob_that_is_cut_short_is_refused():
    """Even if its digest fits: somebody may have the key and no care."""
    import hashlib

    from stackful.snapshot.format import seal
    from stackful.snapshot.parts import prefix_of

    blobs = snapshot.MemoryBlobs()
    for blob in (b"", b"\0", b"\1\0", b"\0\1", b"\7\0x", b"\0\0not a pickle"):
        digest = hashlib.sha256(blob).digest()
        blobs.put(digest, blob)
        body = prefix_of([digest], []) + b"\x80\x05J" + (1 << 16).to_bytes(4, "little") + b"Q."
        with pytest.raises((SnapshotFormatError, SealError)):
            snapshot.loads(seal(body, flags=1), blobs=blobs)


def test_an_unknown_number_is_refused():
    """A pickle that asks for a value of a pack that there is not."""
    from stackful.snapshot.format import seal
    from stackful.snapshot.parts import prefix_of

    body = prefix_of([], []) + b"\x80\x05J" + (3 << 16).to_bytes(4, "little") + b"Q."
    with pytest.raises(SnapshotFormatError, match="rebuilt"):
        snapshot.loads(seal(body, flags=1), blobs=snapshot.MemoryBlobs())


def test_values_keep_their_places_whatever_is_dropped_and_moved(blobs):
    """Packs stand in another order, and some in none: each snapshot refers to what it holds, and to nothing else."""
    chosen, history = random.Random(5), snapshot.History(blobs)
    values = [text(60, number) for number in range(40)] + [text(60, number).encode() for number in range(40, 60)]
    held, made = values[:20], []
    for _ in range(30):
        held = chosen.sample(held, len(held) - 3) + chosen.sample(values, 5)
        made.append((list(held), snapshot.dumps(held, blobs=history, compression="none")))
    for value, data in made:
        assert snapshot.loads(data, blobs=snapshot.History(blobs)) == value
    needed = snapshot.references(made[-1][1], blobs=blobs)
    blobs.keep_only(needed)
    assert snapshot.loads(made[-1][1], blobs=snapshot.History(blobs)) == held


def test_numbers_of_no_pack_and_terms_of_another_kind_are_refused():
    """`_core.numbering` trusts nobody with what it reads."""
    with pytest.raises(TypeError):
        _core.numbering(1, [], [], {}, [], [], len)
    for number, places in ((1 << 16, []), (5 << 16, [None]), (7, [None]), (1 << 70, [None]), ("x", [None])):
        number_of = _core.numbering(1, {"value": number}, [b""], {}, [], places, len)
        assert number_of(5) is number_of("") is None
        with pytest.raises((IndexError, OverflowError, TypeError)):
            number_of("value")
