"""Runs one program of programs_aio.py in a process of its own: greenback and SQLAlchemy load greenlet, and fibers have no C stacks then.

`aio_process.py (Stackful|await|portal|greenback|SQLAlchemy) (asyncio|uvloop) NAME` (elsewhere.py is the other end, serving.py the protocol).
"""

import asyncio
import sys

from measure import expect
from programs_aio import BLOCK, awaiting, natively
from serving import serve


def coroutine_function(way: str, name: str):
    """What is run again and again, of a number of operations."""
    if way in {"await", "portal"}:
        return natively(name)
    if way == "Stackful":
        from stackful import aio

        await_, call = aio.await_, aio.call
    elif way == "greenback":
        import greenback

        await_, call = greenback.await_, greenback.with_portal_run_sync
    else:
        from sqlalchemy.util import await_only, greenlet_spawn

        await_, call = await_only, greenlet_spawn
    function = awaiting(await_, name)
    return lambda number: call(function, number)


def main() -> None:
    way, loop, name = sys.argv[1:]
    function = coroutine_function(way, name)
    factory = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        if way == "portal":
            from stackful import aio

            runner.get_loop().set_task_factory(aio.task_factory)
        expect(runner.run(function(1)), BLOCK)
        serve(lambda: runner.run(function(1)))


if __name__ == "__main__":
    main()
