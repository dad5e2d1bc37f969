"""Every test of this folder that asks for `run` runs on asyncio's own loop and on uvloop, in asyncio's debug mode and without."""

import asyncio
import gc
from functools import partial

import pytest

from stackful import aio

try:
    import uvloop
except ImportError:
    uvloop = None

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop and uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def loop_factory(request):
    factory = LOOPS[request.param]
    if factory is None:
        pytest.skip("uvloop is not installed: NOT RUN on it")
    return factory


@pytest.fixture(params=[True, False], ids=["debug", "fast"])
def run(request, loop_factory, caplog):
    """`aio.run`; nothing may be logged, and no task or coroutine be left behind."""
    yield partial(aio.run, debug=request.param, loop_factory=loop_factory)
    gc.collect()
    slow = [record for record in caplog.records if "Executing" in record.getMessage()]
    assert [record.getMessage() for record in caplog.records if record not in slow] == []


@pytest.fixture
def run_plain(loop_factory):
    """A coroutine in a loop that knows nothing of portals, in debug mode."""

    def run(coroutine):
        with asyncio.Runner(debug=True, loop_factory=loop_factory) as runner:
            return runner.run(coroutine)

    return run
