"""Runs whose states are large: each large value is stored once for all states, as long as one needs it, and never missing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from durable.commands import SOURCES
from durable.engines import PATIENCE, until
from durable.ledger import PROGRAMS
from durable.test_functions import failure
from durable.test_kill_functions import rows
from stackful import SealError, SnapshotFormatError, StoreError, durable
from stackful.cli.raw import print_raw
from stackful.durable import Status
from stackful.durable.transfer import export_run, import_run

sys.path.insert(0, str(PROGRAMS))
import talker

# Bytes of a state besides what was said.
OVERHEAD = 3000


@pytest.fixture(params=["sqlite", "postgres"])
def store(request, tmp_path, monkeypatch):
    """A fresh store on either database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STACKFUL_KEY", "00" * 32)
    if request.param == "sqlite":
        return "runs.db"
    pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)
    return request.getfixturevalue("postgres_url")


@pytest.fixture
def engine(store):
    """An engine over it."""
    with durable.connect(store) as engine:
        yield engine


def ask(store, query):
    """What is in the tables."""
    return rows(Path.cwd(), store, query)


def stored(store):
    """Bytes of all states, checkpoints and large values."""
    ((size,),) = ask(
        store,
        "SELECT coalesce(sum(size), 0) FROM (SELECT length(data) AS size FROM states UNION ALL SELECT length(data) FROM blobs"
        " UNION ALL SELECT length(data) FROM checkpoints) AS all_of_them",
    )
    return int(size)


def blobs(store):
    """How many large values there are, and how many uses of them."""
    return ask(store, "SELECT (SELECT count(*) FROM blobs), (SELECT count(*) FROM blob_users)")[0]


def recorded(engine, monkeypatch):
    """What is committed, from now on."""
    plain, saves = engine.store.commit, []

    def commit(given):
        saves.extend(given)
        return plain(given)

    monkeypatch.setattr(engine.store, "commit", commit)
    return saves


def size_of(save):
    """Bytes that a commit brings."""
    return len(save.data or b"") + sum(map(len, (save.blobs or {}).values()))


def waiting(function, *args, **options):
    """A run that waits for the signal "go"."""
    handle = durable.start(function, *args, **options)
    until(lambda: handle.status is not Status.RUNNING)
    assert handle.status is Status.WAITING, handle.run.error
    return handle


def go(handle):
    """Let it go on to its end."""
    durable.send(handle, "go")
    return handle.result(PATIENCE)


# --- what it costs ----------------------------------------------------------------------------------------------------


def test_a_state_that_grows_costs_what_was_added(engine, store, monkeypatch):
    """An agent of 60 steps: no step stores more than twice what it added, the store holds what was said once, and nothing when it is over."""
    saves = recorded(engine, monkeypatch)
    handle = waiting(talker.converse, 60, True)
    shared = [size_of(save) for save in saves if save.steps > 10]
    assert len(shared) >= 50
    assert max(shared) < 2 * talker.SIZE
    assert talker.SIZE * 60 < stored(store) < 1.2 * talker.SIZE * 60
    assert go(handle) == talker.expected(60)
    assert (stored(store), blobs(store)) == (0, (0, 0))


def test_small_states_are_stored_as_they_were(engine, store, monkeypatch):
    """A run whose states stay small has nothing to do with large values, from its first commit to its last."""
    saves = recorded(engine, monkeypatch)
    assert durable.start(talker.converse, 3).result(PATIENCE) == talker.expected(3)
    assert len(saves) == 4
    assert all(save.blobs is None and save.unused is None for save in saves)


def test_the_first_large_state_is_stored_whole(engine, monkeypatch):
    """There may be no second one: sharing begins with that."""
    saves = recorded(engine, monkeypatch)
    handle = waiting(talker.converse, 60, True)
    first = next(number for number, save in enumerate(saves) if save.blobs)
    assert len(saves[first - 1].data) > 16384 > len(saves[first - 2].data)
    assert len(saves[first].data) < OVERHEAD
    assert go(handle) == talker.expected(60)


def test_what_a_state_needs_no_more_is_dropped(engine, store):
    """A run that replaces a large value in each step does not fill the store, not even where small ones that stay were stored together with it."""
    handle = waiting(talker.reading, 40)
    assert stored(store) < 2 * (10 * talker.SIZE + 40 * 250) + 5 * talker.SIZE + 16384
    assert go(handle) == (40, talker.expected(10))


def test_sharing_is_given_up_where_nothing_is_shared(engine, store, monkeypatch):
    """A state that is another one after each step is stored whole."""
    saves = recorded(engine, monkeypatch)
    handle = waiting(talker.recomputing, 20)
    assert [save.blobs for save in saves[-8:]] == [None] * 8
    assert blobs(store) == (0, 0)
    assert go(handle) == 4000


def test_a_state_that_becomes_small_is_stored_as_small_ones_are(engine, store):
    """Its large values are dropped."""
    handle = waiting(talker.forgetful)
    assert blobs(store) == (0, 0)
    assert stored(store) < OVERHEAD
    assert go(handle) == talker.expected(10)


# --- that nothing is lost ---------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_with_its_large_values(store):
    """Killed in the middle, it ends in another process; what it goes on to store is what is added there, too."""
    code = f"import talker; from stackful import durable; durable.connect({store!r}); durable.start(talker.converse, 60, True, id='r').result()"
    environment = {**os.environ, "PYTHONPATH": f"{SOURCES}{os.pathsep}{PROGRAMS}", "DIE": "35"}
    killed = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, timeout=100, check=False
    )
    assert killed.returncode == -9, killed.stderr
    before = stored(store)
    assert before < 1.3 * 35 * talker.SIZE
    with durable.connect(store):
        handle = durable.Handle("r")
        until(lambda: handle.status is Status.WAITING)
        assert stored(store) - before < 1.3 * 25 * talker.SIZE
        assert go(handle) == talker.expected(60)
    assert blobs(store) == (0, 0)


def test_a_run_that_was_evicted_is_loaded_with_its_large_values(engine, store):
    """Given back and taken up by another engine, it adds to what is there."""
    waiting(talker.remembered, 12, 6, id="r")
    engine.close()
    before = stored(store)
    with durable.connect(store):
        assert go(durable.Handle("r")) == talker.expected(18)
    assert stored(store) - before < 1.3 * 6 * talker.SIZE + 8 * OVERHEAD


def test_a_run_waits_for_a_store_that_is_away_when_it_is_loaded(engine, store, monkeypatch):
    """Its large values cannot be read now: it does not fail, and is loaded later."""
    waiting(talker.converse, 20, True, id="r")
    engine.close()
    with durable.connect(store, work=False) as engine:
        plain, calls = engine.store.blobs, []

        def read(digests):
            calls.append(digests)
            if len(calls) < 4:
                raise StoreError("not now")
            return plain(digests)

        monkeypatch.setattr(engine.store, "blobs", read)
        engine.work()
        assert go(durable.Handle("r")) == talker.expected(20)
    assert len(calls) >= 4


def test_the_end_of_a_run_drops_what_thinned_checkpoints_needed(engine, store):
    """Also where its large states are long ago, and another process drove it then."""
    waiting(talker.once_large, 40, id="r")
    assert blobs(store)[0] > 0
    engine.close()
    with durable.connect(store):
        assert go(durable.Handle("r")) == 40
    assert blobs(store) == (0, 0)


@pytest.mark.parametrize("is_final", [True, False])
def test_what_was_not_stored_is_not_referred_to(engine, store, monkeypatch, is_final):
    """A commit that the store refuses takes its values with it, a postponed one is made later: each state that is stored can be loaded."""
    plain, seen = engine.store.commit, []

    def commit(saves):
        if any(save.blobs for save in saves):
            seen.append(saves)
            if len(seen) in (1, 3, 4, 9):
                raise StoreError("not now", is_final=is_final)
        return plain(saves)

    monkeypatch.setattr(engine.store, "commit", commit)
    waiting(talker.stubborn, 20, id="r")
    assert engine.stack("r")[0].locals["refused"] == (4 if is_final else 0)
    engine.close()
    with durable.connect(store):
        assert go(durable.Handle("r")) == (talker.expected(20), 4 if is_final else 0)
    assert blobs(store) == (0, 0)


def test_a_transaction_commits_the_large_values_of_its_state(engine, store):
    """Rolled back it leaves none; committed it has them, and the run can be loaded."""
    waiting(talker.writing, id="r")
    engine.close()
    with durable.connect(store):
        assert go(durable.Handle("r")) == talker.digest(
            [{"content": talker.answer(number)} for number in (*range(10), 100)]
        )
    assert ask(store, "SELECT text FROM notes") == [("yes",)]
    assert blobs(store) == (0, 0)


# --- forks, other stores, gc ------------------------------------------------------------------------------------------


def test_checkpoints_keep_what_they_need_and_no_more(engine, store):
    """Each state that is kept can be looked at; all of them cost little more than the last, and all that they need goes with them."""
    handle = waiting(talker.remembered, 40, id="r")
    kept = [checkpoint.seq for checkpoint in engine.store.checkpoints("r")]
    assert len(kept) > 8
    for seq in kept[1:]:
        assert len(engine.stack("r", seq)[1].locals["messages"]) == seq - 1
    assert stored(store) < 1.3 * 40 * talker.SIZE
    before, after = engine.diff("r", kept[2], kept[1])[0].locals["messages"]
    assert after == [*before, {"role": "assistant", "content": talker.answer(kept[2] - 1)}]
    assert go(handle) == talker.expected(40)
    assert len(engine.stack("r", kept[0])) > 0
    engine.store.delete(["r"])
    assert (stored(store), blobs(store)) == (0, (0, 0))


def test_a_fork_shares_the_large_values_and_both_go_on(engine, store):
    """From a state in the middle; each adds its own, and neither end takes from the other what it needs."""
    waiting(talker.remembered, 30, 2, id="r")
    before = stored(store)
    fork = engine.fork("r", 20, id="fork")
    until(lambda: fork.status is Status.WAITING)
    assert stored(store) - before < 3 * talker.SIZE + 30 * OVERHEAD
    assert go(durable.Handle("r")) == talker.expected(32)
    engine.store.delete(["r"])
    assert go(fork) == talker.expected(32)
    engine.store.delete(["fork"])
    assert (stored(store), blobs(store)) == (0, (0, 0))


def test_a_fork_with_another_local_has_its_large_values(engine):
    """What was changed is not what is shared."""
    waiting(talker.converse, 20, True, id="r")
    fork = engine.fork("r", edit={"messages": [{"content": "other" * 5000}]})
    assert go(fork) == talker.digest([{"content": "other" * 5000}])
    assert go(durable.Handle("r")) == talker.expected(20)


def test_an_exported_run_takes_its_large_values_along(engine, store, tmp_path):
    """Imported where nothing of it is, under another key, it goes on; and beside the original, too."""
    handle = waiting(talker.converse, 20, True, id="r")
    data = export_run(engine, handle.run)
    assert import_run(engine, data, name="twin") == "twin"
    assert go(durable.Handle("twin")) == talker.expected(20)
    assert go(handle) == talker.expected(20)
    engine.close()
    if "://" in store:
        (tmp_path / "key").write_bytes(bytes(32))
    with durable.connect(tmp_path / "other.db") as other:
        import_run(other, data, tmp_path / "key")
        assert go(durable.Handle("r")) == talker.expected(20)


# --- that nothing is taken for another --------------------------------------------------------------------------------


def write(store, query):
    """Change the tables behind the store's back."""
    if "://" in store:
        import psycopg

        with psycopg.connect(store, options="-c search_path=public,stackful") as session:
            session.execute(query)
        return
    import sqlite3

    with sqlite3.connect(store) as db:
        db.execute(query)
    db.close()


@pytest.mark.parametrize("how", ["altered", "missing", "another's"])
def test_a_large_value_that_is_not_what_was_stored_is_refused_by_name(engine, store, how):
    """Before anything is unpickled, whoever asks; and a run that needs it fails, and says so."""
    waiting(talker.converse, 20, True, id="r")
    engine.close()
    (digest, other), *_ = ask(
        store, "SELECT a.digest, b.digest FROM blobs a JOIN blobs b ON a.digest < b.digest ORDER BY 1, 2"
    )
    if how == "altered":
        write(store, f"UPDATE blobs SET data = (SELECT data FROM states) WHERE digest = '{digest}'")
    elif how == "missing":
        write(store, f"DELETE FROM blob_users WHERE digest = '{digest}'")
        write(store, f"DELETE FROM blobs WHERE digest = '{digest}'")
    else:
        write(
            store,
            f"UPDATE blobs SET data = (SELECT data FROM blobs WHERE digest = '{other}') WHERE digest = '{digest}'",
        )
    kind = SnapshotFormatError if how == "missing" else SealError
    with durable.connect(store) as engine:
        for look in (engine.stack, engine.check_code, engine.fork):
            with pytest.raises(kind, match=rf"large value {digest[:16]}….*; nothing was unpickled"):
                look("r")
        durable.send("r", "go")
        assert f"large value {digest[:16]}" in failure(durable.Handle("r")).text


def test_what_is_shown_of_a_state_includes_its_large_values(engine, store, capsys):
    """`show` has them among the locals, `show --raw` names them, and nothing speaks against going on."""
    waiting(talker.converse, 20, True, id="r")
    assert engine.check_code("r") == []
    assert len(engine.stack("r")[0].locals["messages"]) == 20
    print_raw(store, "r", True)
    shown = capsys.readouterr().out
    used = {digest for (digest,) in ask(store, "SELECT digest FROM blob_users")}
    assert used
    assert all(digest in shown for digest in used)
