"""Runs that are ``async def`` functions, and runs seen from asyncio."""

import asyncio
import sys
from pathlib import Path

import pytest

from stackful import durable
from stackful.durable import Handle, Status, aio

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop

from durable.engines import PATIENCE, engine, folder, until  # noqa: F401 - two of them fixtures
from durable.test_functions import failure


def test_an_async_run_does_all_that_others_do(engine):  # noqa: F811
    """Steps, coroutine steps, children, transactions, sleeps, signals, `finally`."""
    handle = durable.start(shop.async_everything, "one")
    durable.send(handle, "approval", "yes")
    assert handle.result(PATIENCE) == ("one", "yes", ["child of one"], "child of one")
    assert sorted(shop.effects()) == ["child one", "one begins", "one ends"]
    assert engine.store.run(handle.id).attributes == {"stage": "asleep"}


def test_an_async_run_goes_on_in_another_process(folder):  # noqa: F811
    """The coroutine that waits within a coroutine is stored and woken elsewhere; its frames can be looked at."""
    with durable.connect(folder / "runs.db") as engine:  # noqa: F811
        handle = durable.start(shop.async_waiter)
        until(lambda: handle.status is Status.WAITING)
        frames = {frame.function: frame for frame in engine.stack(handle.id)}
        assert frames["_inner"].locals == {"local": "inner"}
        assert "aio.wait_signal" in frames["_inner"].source
    with durable.connect(folder / "runs.db"):
        durable.send(handle.id, "go", 7)
        assert Handle(handle.id).result(PATIENCE) == ("inner", 7)


def test_an_async_step_is_retried(engine):  # noqa: F811
    """As in other runs."""
    assert durable.start(shop.async_retrying, 2, 2).result(PATIENCE) == 2
    assert isinstance(failure(durable.start(shop.async_retrying, 9, 1)).__cause__, ConnectionError)


def test_what_an_event_loop_gives_is_for_steps(engine):  # noqa: F811
    """Awaiting it in the run itself is refused with the way out; and a step of the other face says what stands in the way."""
    assert "await it within a step" in failure(durable.start(shop.async_wrong)).text
    assert "send" in str(failure(durable.start(shop.async_sync_step)))
    assert shop.effects() == []


def test_asyncio_programs_start_and_wait(engine):  # noqa: F811
    """Under an event loop nothing blocks: many results are awaited at once."""

    async def main():
        handles = [await aio.start(shop.sleeper, 0.2) for _ in range(5)]
        results = await asyncio.gather(*[aio.result(handle) for handle in handles])
        waiting = await aio.start(shop.waiter, "go")
        await aio.send(waiting, "go", 1)
        with pytest.raises(asyncio.TimeoutError):
            await aio.result(await aio.start(shop.waiter, "never"), timeout=0.05)
        cancelled = await aio.start(shop.waiter, "never")
        await aio.cancel(cancelled)
        with pytest.raises(durable.RunFailedError):
            await aio.result(cancelled)
        await aio.sleep(0)
        assert await aio.step(shop.fetch, 3) == 3
        return results, await aio.gather(waiting)

    assert asyncio.run(main()) == (["slept"] * 5, [1])
