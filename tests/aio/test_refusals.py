"""Where `await_` cannot work it says so, and says the way out."""

import asyncio

import pytest

from stackful import Fiber, FiberError, aio, generator, handle, resume, suspend, yield_
from stackful.aio import await_


def pause(value=None):
    return await_(asyncio.sleep(0, value))


def test_without_a_portal_the_error_says_how_to_get_one():
    """Outside of any loop; the coroutine that was given is closed, so nothing warns of it."""
    with pytest.raises(FiberError, match=r"outside of any portal: run the program with aio\.run\(function\)"):
        pause()
    assert not aio.can_await()


def test_a_task_of_a_plain_loop_is_no_portal():
    """A coroutine that calls a function itself; the loop's callbacks; threads."""

    async def main():
        with pytest.raises(FiberError, match=r"await aio\.call\(function, \.\.\.\)"):
            pause()
        with pytest.raises(FiberError, match="run_coroutine_threadsafe"):
            await asyncio.to_thread(pause)
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: future.set_result(aio.can_await()))
        assert not await future

    asyncio.run(main())


def test_a_portal_elsewhere_is_none_here():
    """While one portal waits, the code that runs meanwhile is not in it."""

    async def main():
        task = asyncio.create_task(aio.call(pause))
        await asyncio.sleep(0)
        with pytest.raises(FiberError, match="outside of any portal"):
            pause()
        await task

    asyncio.run(main())


@pytest.mark.parametrize(
    "advance",
    [
        lambda: Fiber(pause).resume(),
        lambda: next(generator(pause)()),
        lambda: list(generator(lambda: yield_(pause()))()),
        lambda: next(generator(lambda: sorted([1], key=lambda _: handle(pause)))()),
        lambda: Fiber(lambda: resume(Fiber(pause))).resume(),
    ],
    ids=["fiber", "generator", "list of a generator", "a handler in a generator", "guest of a fiber"],
)
def test_a_fiber_of_the_programs_own_stands_in_the_way(run, advance):
    """Its `resume` would get the future: the error names the fiber. Where it was resumed, awaiting goes on to work."""

    def main():
        with pytest.raises(FiberError, match=r"which is no portal.*stackful\.resume"):
            advance()
        return pause("works")

    assert run(main) == "works"


def test_fibers_resumed_by_the_function_are_reached_through(run):
    """A guest awaits, and is suspended by itself too."""

    def guest():
        first = pause(1)
        second = suspend(first)
        return pause(second)

    def main():
        fiber = Fiber(guest)
        return resume(fiber), resume(fiber, 2), resume(Fiber(lambda: resume(Fiber(pause, 3))))

    assert run(main) == (1, 2, 3)


def test_run_within_a_loop_says_what_to_do_instead(run):
    """There is one loop a thread."""

    def main():
        with pytest.raises(FiberError, match="call the function, in a portal"):
            aio.run(pause)
        return "refused"

    assert run(main) == "refused"


def test_spawn_needs_a_loop_that_runs():
    """As asyncio.create_task does."""
    with pytest.raises(RuntimeError, match="no running event loop"):
        aio.spawn(pause)


def test_what_is_no_coroutine_is_refused_by_the_task_factory():
    """As asyncio.Task refuses it."""

    async def main():
        with pytest.raises(TypeError, match="a coroutine was expected"):
            aio.task_factory(asyncio.get_running_loop(), 3)

    asyncio.run(main())


def test_errors_of_the_function_leave_through_run(run):
    """SystemExit and KeyboardInterrupt too."""

    def fails(kind):
        pause()
        raise kind("this")

    for kind in (LookupError, SystemExit, KeyboardInterrupt):
        with pytest.raises(kind, match="this"):
            run(fails, kind)


def test_a_coroutine_is_no_function():
    """As asyncio.run takes one: the error names the way out, and nothing warns that it was never awaited."""

    async def main():
        return 1

    for start in (aio.run, lambda coroutine: asyncio.run(aio.call(coroutine)), lambda it: aio.run(aio.spawn, it)):
        with pytest.raises(
            TypeError, match=r"takes a function, and calls it; <coroutine object .*main at .* called already"
        ):
            start(main())
    for start in (aio.run, lambda it: asyncio.run(aio.call(it)), lambda it: aio.run(aio.spawn, it)):
        with pytest.raises(TypeError, match=r"aio\..*\(\) takes a function and its arguments, not 3"):
            start(3)


def test_the_main_task_has_the_name_of_its_function():
    """In what asyncio says of it."""

    def named():
        return asyncio.current_task().get_coro().__qualname__

    assert aio.run(named).endswith("<locals>.named")
