"""What is given in the place of something else is refused by the call that it is given to, in a sentence that names it and says what is right."""

import sys
from pathlib import Path

import pytest

from stackful import StoreError, durable

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop


@pytest.fixture
def engine(tmp_path, monkeypatch):
    """An engine over a fresh store, connected, which drives nothing."""
    monkeypatch.chdir(tmp_path)
    with durable.connect("runs.db", work=False) as engine:
        yield engine


def started(**options):
    return lambda engine: durable.start(shop.order, "tea", **options)


WRONG = [
    (lambda engine: durable.step(3), r"step\(\) takes a function and its arguments, not 3: step\(f, x\), where"),
    (lambda engine: durable.start(3), r"start\(\) takes a function and its arguments, not 3"),
    (lambda engine: durable.gather([3]), r"start\(\) takes a function and its arguments, not 3"),
    (started(id=5), "the id of a run is a text, not 5"),
    (started(queue=5), "queue is a text, not 5"),
    (started(key=5), "key is a text, not 5"),
    (started(priority="high"), "priority is a whole number, not 'high'"),
    (started(deadline="1 h"), "deadline is a number of seconds, not '1 h'"),
    (started(delay="1 h"), "delay is a number of seconds, not '1 h'"),
    (started(attributes={1: 2}), "the name of an attribute is a text, not 1"),
    (lambda engine: durable.schedule(3, "0 * * * *"), r"schedule\(\) takes a function and its arguments, not 3"),
    (lambda engine: durable.schedule(shop.order, 5, "tea"), "cron is a text, not 5"),
    (lambda engine: durable.schedule(shop.order, "0 * * * *", "tea", zone=1), "zone is a text, not 1"),
    (lambda engine: durable.run(history="all")(shop.order), "history is a whole number, not 'all'"),
    (lambda engine: durable.run(deadline="1 h")(shop.order), "deadline is a number of seconds"),
    (lambda engine: durable.Queue(5), "the name of a queue is a text, not 5"),
    (lambda engine: durable.Queue("q", "two"), "the concurrency of queue 'q' is a whole number, not 'two'"),
    (lambda engine: durable.Filter(durable.Status.FAILED), r"statuses= takes several, as \(Status.FAILED,\), not"),
    (lambda engine: durable.connect(5), "a store is named by a path or a URL, not by 5"),
    (lambda engine: durable.connect(b"x.db"), "a store is named by a path or a URL, not by b'x.db'"),
    (lambda engine: durable.connect([]), r"a store is named by a path or a URL, not by \[\]"),
    (lambda engine: durable.connect("x.db", threads="two"), "threads is a whole number, not 'two'"),
    (lambda engine: durable.connect("x.db", programs="shop:order"), r"programs= takes a list of texts: \['shop:order'\]"),
    (lambda engine: durable.connect("x.db", queues=5), "queues= takes a list of texts, not 5"),
    (lambda engine: durable.connect("x.db", lease="1 h"), "lease is a number of seconds, not '1 h'"),
    (lambda engine: durable.send(5, "go"), "a run is named by its id, a text, or by its handle, not by 5"),
    (lambda engine: durable.send("r", 5), "the name of a signal is a text, not 5"),
    (lambda engine: durable.cancel(5), "not by 5"),
    (lambda engine: durable.sleep("1 h"), "the length of a sleep is a number of seconds, not '1 h'"),
    (lambda engine: durable.wait_signal(5), "the name of a signal is a text, not 5"),
    (lambda engine: engine.retry(5), "not by 5"),
    (lambda engine: engine.fork(5), "not by 5"),
    (lambda engine: engine.stack(5), "not by 5"),
    (lambda engine: engine.answer(5, True), "not by 5"),
    (lambda engine: engine.put_queue("mail"), r"a queue is made as durable.Queue\(name, ...\), not as 'mail'"),
    (lambda engine: engine.runs("failed"), r"runs are chosen by a durable.Filter\(...\), not by 'failed'"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "text"), WRONG)
def test_what_is_of_a_wrong_type_is_named_by_the_call_that_got_it(engine, call, text):
    """No error of the inside, nothing that fails later, nothing stored."""
    with pytest.raises(TypeError, match=text):
        call(engine)
    assert engine.runs() == []
    assert not Path("x.db").exists()


def test_an_empty_text_names_no_store(engine):
    """It is a setting that was left empty most often; the default store is not opened in its place."""
    with pytest.raises(StoreError, match="an empty text names no store: give the path"):
        durable.connect("")
    assert not Path(".stackful").exists()


@pytest.mark.parametrize("options", [{"threads": 0}, {"concurrency": 0}])
def test_a_worker_that_could_do_nothing_is_refused(engine, options):
    """It would take runs up and leave them lying, or none."""
    with pytest.raises(ValueError, match="is at least 1, not 0"):
        durable.connect("x.db", **options)


def test_an_engine_takes_handles_as_well_as_ids(engine):
    """Where a run is asked for."""
    handle = durable.start(shop.order, "tea")
    assert engine.send(handle, "go") is True
    assert engine.check_code(handle) == []
    with pytest.raises(StoreError, match="is pending: only a run of a function that has failed"):
        engine.retry(handle)


@durable.run
def steps_wrongly():
    """Calls the function itself, and gives a step what it returned."""
    with pytest.raises(TypeError, match=r"step\(f, x\), where step\(f\(x\)\) calls f itself"):
        durable.step(shop.effect("tea"))
    with pytest.raises(TypeError, match=r"step\(f, x\)"):
        durable.step(3, name="three")
    return durable.step(len, "tea")


def test_a_step_without_a_function_harms_nothing(tmp_path, monkeypatch):
    """The run's code is told, and goes on."""
    monkeypatch.chdir(tmp_path)
    with durable.connect("runs.db"):
        assert durable.start(steps_wrongly).result(30) == 3
