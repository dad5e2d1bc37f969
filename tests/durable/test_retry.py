"""What a failed run goes on from when it is tried again: before the step that failed, whatever `except` and `finally` have done since."""

import logging
import random
import sys
import threading
from pathlib import Path

import pytest

from durable.engines import PATIENCE, engine, folder, until  # noqa: F401 - two of them fixtures
from stackful import durable
from stackful.durable import Status, aio

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop


def do(text):
    """A step."""
    return durable.step(shop.effect, text)


def fragile(text):
    """What works when somebody has mended it."""
    if not Path("mended").exists():
        raise ConnectionError("it is broken")
    return shop.effect(text)


def mend():
    Path("mended").touch()


@durable.run
def cleans(again=0):
    """Cleans up in steps, whatever happens."""
    do("before")
    try:
        for _ in range(again + 1):
            durable.step(fragile, "work")
    finally:
        do("clean 1")
        durable.sleep(0.01)
        do("clean 2")
    return "done"


@durable.run
async def cleans_async():
    """The same in a coroutine."""
    await aio.step(shop.effect, "before")
    try:
        await aio.step(fragile, "work")
    finally:
        await aio.step(shop.effect, "clean 1")
        await aio.sleep(0.01)
        await aio.step(shop.effect, "clean 2")
    return "done"


@durable.run
def cleans_at_once():
    """Nothing has been stored before."""
    try:
        durable.step(fragile, "work")
    finally:
        do("clean")
    return "done"


@durable.run
def translates():
    """Tells of one failure by another."""
    do("before")
    try:
        durable.step(fragile, "work")
    except ConnectionError as error:
        do("noted")
        raise RuntimeError("no connection") from error
    return "done"


@durable.run
def translates_badly():
    """Tells of one failure by another, which cannot be stored."""
    do("before")
    try:
        durable.step(fragile, "work")
    except ConnectionError as error:
        do("noted")
        held = threading.Lock()
        held.acquire()
        raise RuntimeError(held) from error
    return "done"


def deep(level):
    """Each call cleans up after the ones within."""
    if not level:
        return durable.step(fragile, "work")
    try:
        return deep(level - 1)
    finally:
        do(f"clean {level}")


@durable.run
def cleans_deeply():
    """Handlers around handlers."""
    do("before")
    deep(3)
    return "done"


@durable.run
def computes():
    """Fails in its own code."""
    number = do("before")
    try:
        if not Path("mended").exists():
            number = number / 0
    finally:
        do("clean")
    return "done"


@durable.run
def groups():
    """Handles a part of several failures."""
    do("before")
    try:
        try:
            durable.step(fragile, "work")
        except ConnectionError as error:
            raise ExceptionGroup("several", [error, KeyError("one")]) from None
    except* KeyError:
        do("noted")
    return "done"


@durable.run
def falls_back():
    """Does something else where one thing failed, and fails at that."""
    do("before")
    try:
        durable.step(len)
    except TypeError:
        do("else")
        durable.step(fragile, "work")
    return "done"


@durable.run
def goes_on():
    """Has put up with one failure when another comes."""
    failed = None
    try:
        durable.step(len)
    except TypeError as error:
        do("noted")
        failed = error
    do("after")
    if not Path("mended").exists():
        raise failed
    return "done"


@durable.run
def inner():
    """Handles one exception within the handling of another."""
    do("before")
    try:
        durable.step(fragile, "work")
    finally:
        try:
            durable.step(len)
        except TypeError:
            do("not so bad")
        do("clean")
    return "done"


def failed(engine, handle):
    """Wait for its failure, mend what is broken, and have it tried again; what it was."""
    with pytest.raises(durable.RunFailedError) as caught:
        handle.result(PATIENCE)
    mend()
    engine.retry(handle)
    return str(caught.value)


ONCE = ["before", "clean 1", "clean 2", "work", "clean 1", "clean 2"]


@pytest.mark.parametrize(
    ("function", "done"),
    [
        (cleans, ONCE),
        (cleans_async, ONCE),
        (cleans_at_once, ["clean", "work", "clean"]),
        (translates, ["before", "noted", "work"]),
        (translates_badly, ["before", "noted", "work"]),
        (cleans_deeply, ["before", "clean 1", "clean 2", "clean 3", "work", "clean 1", "clean 2", "clean 3"]),
        (computes, ["before", "clean", "clean"]),
        (groups, ["before", "noted", "work"]),
        (inner, ["before", "not so bad", "clean", "work", "not so bad", "clean"]),
    ],
)
def test_the_step_that_failed_is_tried_again_although_others_were_taken_since(engine, function, done):
    """Those before it are not repeated; what was done about the failure stands, and is done again when the code comes to it."""
    handle = durable.start(function)
    failed(engine, handle)
    assert handle.result(PATIENCE) == "done"
    assert shop.effects() == done


@pytest.mark.parametrize(
    ("function", "done"), [(falls_back, ["before", "else", "work"]), (goes_on, ["noted", "after"])]
)
def test_what_was_handled_and_is_not_the_failure_is_not_gone_back_behind(engine, function, done):
    """Steps of a handler that went on by itself are recorded as any."""
    handle = durable.start(function)
    failed(engine, handle)
    assert handle.result(PATIENCE) == "done"
    assert shop.effects() == done


def test_a_run_can_fail_and_be_tried_again_many_times(engine):
    """Each time from before the step that failed; the numbers of its states go up."""
    handle = durable.start(cleans)
    numbers = []
    for _ in range(3):
        assert handle.wait(PATIENCE) is Status.FAILED
        run = handle.run
        numbers.append(run.seq)
        assert (run.steps, run.step) == (1, "effect")
        assert engine.stack(handle)[0].source == 'do("before")'
        engine.retry(handle)
    assert numbers == sorted(set(numbers))
    assert handle.wait(PATIENCE) is Status.FAILED
    mend()
    engine.retry(handle)
    assert handle.result(PATIENCE) == "done"
    assert shop.effects().count("before") == shop.effects().count("work") == 1


def test_it_is_known_in_another_process_where_the_failure_began(folder):
    """Which goes on within the handler, and comes to the end that is a failure."""
    with durable.connect(folder / "runs.db") as engine:
        handle = durable.start(sleeps_in_between)
        until(lambda: handle.status is Status.WAITING)
        assert shop.effects() == ["before", "clean 1"]
    with durable.connect(folder / "runs.db") as engine:
        durable.send(handle, "go")
        failed(engine, handle)
        durable.send(handle, "go")
        assert handle.result(PATIENCE) == "done"
    assert shop.effects() == ["before", "clean 1", "work", "clean 1"]


@durable.run
def sleeps_in_between():
    """Waits within its handler."""
    do("before")
    try:
        durable.step(fragile, "work")
    finally:
        do("clean 1")
        durable.wait_signal("go")
    return "done"


def text(number):
    """A large value, of which nothing is to be left out."""
    return random.Random(number).randbytes(2000).hex()


@durable.run
def remembers():
    """Has much to remember, and loses all of it in its handler."""
    talk = [text(number) for number in range(30)]
    for number in range(3):
        talk.append(durable.step(text, 100 + number))
    try:
        durable.step(fragile, "work")
    except ConnectionError:
        for number in range(3):
            talk[:] = [durable.step(text, 200 + number) * 20]
        raise
    return talk == [*map(text, range(30)), *map(text, range(100, 103))]


@durable.run(history=True)
def remembers_all():
    """The same, with its states kept."""
    return remembers()


def _blobs(engine):
    return engine.store._db.execute("SELECT count(*) FROM blobs").fetchone()[0]


@pytest.mark.parametrize("function", [remembers, remembers_all])
def test_the_large_values_of_the_state_before_are_kept(folder, function, caplog):
    """Also in another process, and as long as they may be needed; in the end nothing of a run without history is left."""
    caplog.set_level(logging.CRITICAL)
    with durable.connect(folder / "runs.db") as engine:
        handle = durable.start(function)
        assert handle.wait(PATIENCE) is Status.FAILED
        (talk,) = [frame.locals["talk"] for frame in engine.stack(handle) if "talk" in frame.locals]
        assert len(talk) == 32
        assert _blobs(engine) > 0
    with durable.connect(folder / "runs.db") as engine:
        failed(engine, handle)
        assert handle.result(PATIENCE) is True
        assert (_blobs(engine) == 0) is (function is remembers)
        for checkpoint in engine.store.checkpoints(handle.id):
            assert engine.stack(handle, checkpoint.seq)


def test_what_a_handler_costs_ends_with_it(engine):
    """The states of a run that has put up with a failure are as small as ever."""
    handle = durable.start(puts_up)
    assert handle.result(PATIENCE) == "done"
    sizes = dict(enumerate(sizes_seen, 1))
    assert sizes[2] > sizes[1] + 500
    assert sizes[4] < sizes[1] + 300


sizes_seen = []


def note_size():
    engine = durable.connections.current_engine()
    sizes_seen.append(engine.runs()[0].size)


@durable.run
def puts_up():
    """Looks at how large its states are."""
    sizes_seen.clear()
    do("before")
    durable.step(note_size)
    try:
        durable.step(len)
    except TypeError:
        do("noted")
        durable.step(note_size)
    do("after")
    durable.step(note_size)
    durable.step(note_size)
    return "done"
