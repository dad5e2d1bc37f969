"""What a worker does before it takes up runs, and that they wait for nothing else."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stackful import StoreError, durable
from stackful.durable import Status, contexts, functions, warm
from stackful.durable.engine import Engine
from stackful.durable.sqlite import SqliteStore

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop

PATIENCE = 30


@pytest.fixture
def store(tmp_path):
    """A store with a run that has something to do, and that nobody drives."""
    path = tmp_path / "runs.db"
    with durable.connect(path):
        handle = durable.start(shop.onlooker, id="onlooker")
        while handle.status is not Status.WAITING:
            time.sleep(0.005)
    with durable.connect(path, work=False):
        durable.send("onlooker", "go")
    return path


def test_runs_go_on_before_a_worker_listens(store, monkeypatch):
    """Nothing that is not needed for them stands before them; and the store is the process's own by then: a step finds it."""
    listen, seen = Engine._listen, []

    def listen_later(engine):
        end = time.monotonic() + PATIENCE
        while engine.store.run("onlooker").status is not Status.FINISHED and time.monotonic() < end:
            time.sleep(0.005)
        seen.append(engine.store.run("onlooker").status)
        listen(engine)

    monkeypatch.setattr(Engine, "_listen", listen_later)
    with durable.connect(store):
        assert durable.Handle("onlooker").result(PATIENCE) == ["running"]
    assert seen[0] is Status.FINISHED


def test_a_first_look_that_fails_is_made_up_for(store, monkeypatch):
    """The store was busy: connecting succeeds, and its threads ask again."""
    claim, answers = SqliteStore.claim, iter([StoreError("busy"), StoreError("busy")])

    def claim_later(self, *arguments):
        error = next(answers, None)
        if error is not None:
            raise error
        return claim(self, *arguments)

    monkeypatch.setattr(SqliteStore, "claim", claim_later)
    with durable.connect(store):
        assert durable.Handle("onlooker").result(PATIENCE) == ["running"]


def test_the_rehearsal_comes_to_its_end_and_leaves_nothing_behind(tmp_path, monkeypatch, caplog):
    """No file, no open store, no program, no run of this thread."""
    monkeypatch.chdir(tmp_path)
    programs, driver = functions.known_programs(), contexts.here.driver
    with caplog.at_level(logging.DEBUG, "stackful.durable"):
        warm.warm_up()
    assert caplog.records == []
    assert list(tmp_path.iterdir()) == []
    assert (functions.known_programs(), contexts.here.driver) == (programs, driver)
    with pytest.raises(StoreError, match="no store of runs is open"):
        durable.start(shop.onlooker)


def test_a_rehearsal_that_fails_stops_no_worker(monkeypatch, caplog):
    """Nor does a function that is not where its name says."""
    monkeypatch.setattr(SqliteStore, "claim", lambda *_: 1 / 0)
    monkeypatch.setitem(functions._options, "shop:nowhere", functions.Options())
    with caplog.at_level(logging.DEBUG, "stackful.durable"):
        warm.warm_up()
    assert ["rehearsal" in caplog.text, "shop:nowhere" in caplog.text] == [True, True]


def test_a_worker_loads_no_event_loop():
    """Only a step that is a coroutine needs one; loading it takes longer than all the rest."""
    program = "import sys; from stackful.durable import warm; warm.warm_up(); print('asyncio' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "False\n"
    )
