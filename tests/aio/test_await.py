"""`await_`: where it works, and that it does what `await` does there."""

import asyncio
import contextvars
import functools
import inspect
import sys
import traceback

import pytest

from stackful import aio, current, handle, prompt
from stackful.aio import await_

number = contextvars.ContextVar("number", default=0)


def pause(value=None):
    return await_(asyncio.sleep(0, value))


async def pauses_in_between():
    first = pause(1)
    await asyncio.sleep(0)
    return first, pause(2)


class Paused:
    """Waits wherever Python calls a method."""

    def __init__(self):
        self.made = pause("made")

    @property
    def size(self):
        return pause(3)

    def __getitem__(self, key):
        return pause(key)

    def __lt__(self, other):
        return pause(id(self) < id(other))

    def __iter__(self):
        yield pause(1)
        yield pause(2)

    def __del__(self):
        self.made = None


class Answer:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return self.value


def through_c():
    paused = Paused()
    return [
        paused.made,
        paused.size,
        paused["key"],
        list(paused),
        sorted([3, 1, 2], key=pause),
        list(map(pause, "ab")),
        functools.reduce(lambda a, b: pause(a + b), [1, 2, 3]),
        sum(pause(n) for n in range(4)),
        eval("pause(4)"),
    ]


THROUGH_C = ["made", 3, "key", [1, 2], [1, 2, 3], ["a", "b"], 6, 6, 4]


def test_ordinary_functions_await_at_any_depth(run):
    """From the function that is run down through a recursion."""

    def descend(depth):
        return pause("deep") if depth == 0 else descend(depth - 1)

    assert run(descend, 200) == "deep"


def test_c_code_may_stand_in_between(run):
    """Constructors, properties, key functions, generators: in an ordinary function, in a coroutine, and beneath what it awaits."""

    async def coroutine():
        mine = through_c()
        await asyncio.sleep(0)
        assert mine == through_c()
        return mine

    def main():
        return [through_c(), await_(coroutine())]

    assert run(main) == [THROUGH_C, THROUGH_C]
    assert run(coroutine) == THROUGH_C


def test_every_task_of_the_loop_is_a_portal(run):
    """Those that libraries make too: gather, task groups, wait_for."""

    async def main():
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pauses_in_between())
        return await asyncio.wait_for(asyncio.gather(pauses_in_between(), pauses_in_between()), 60), task.result()

    assert run(main) == ([(1, 2), (1, 2)], (1, 2))


def test_whatever_can_be_awaited_is(run):
    """Coroutines, futures, tasks, generator-based coroutines, and objects with __await__; their results are returned."""

    async def at_once():
        return "at once"

    def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result("done")
        return [
            await_(at_once()),
            await_(future),
            await_(aio.spawn(pause, "task")),
            await_(Answer(42)),
            await_(asyncio.sleep(0)),
        ]

    assert run(main) == ["at once", "done", "task", 42, None]


@pytest.mark.parametrize(
    "wrong", [3, None, "text", [], pause, (n for n in [1])], ids=lambda value: type(value).__name__
)
def test_what_cannot_be_awaited_is_refused(run, wrong):
    """As `await` refuses it, by name."""
    with pytest.raises(TypeError, match="takes what `await` takes"):
        run(await_, wrong)


def test_an_await_within_an_await_within_an_await_works(run):
    """Ordinary function, coroutine, ordinary function, coroutine, and so on."""

    async def asynchronous(depth):
        await asyncio.sleep(0)
        return synchronous(depth - 1)

    def synchronous(depth):
        return depth if depth <= 0 else await_(asynchronous(depth))

    assert run(synchronous, 20) == 0


def test_task_and_context_stay_the_same(run):
    """What an ordinary function sets in its context stands in the coroutine that called it, as after a call."""

    def set_number():
        before = number.get(), asyncio.current_task()
        pause()
        number.set(number.get() + 1)
        pause()
        return before

    async def main():
        number.set(5)
        assert set_number() == (5, asyncio.current_task())
        return number.get()

    assert run(main) == 6


def test_contexts_of_tasks_are_their_own(run):
    """Tasks that take turns within Context.run do not see each other's values."""

    def within(value):
        number.set(value)
        pause()
        return number.get()

    def main(value):
        number.set(-value)
        mine = contextvars.Context().run(within, value), number.get()
        pause()
        return mine

    async def both():
        return await asyncio.gather(aio.call(main, 1), aio.call(main, 2))

    assert run(both) == [(1, -1), (2, -2)]


def test_tasks_take_turns(run):
    """While one waits, another goes on; all on one thread, at once."""
    trace = []

    def worker(name):
        for step in range(3):
            trace.append((step, name))
            sorted([1], key=pause)

    def main():
        await_(asyncio.gather(*(aio.spawn(worker, name) for name in "abc")))

    run(main)
    assert trace == [(step, name) for step in range(3) for name in "abc"]


def test_errors_are_raised_where_they_are_awaited(run):
    """And their traceback shows both sides, the caller's and the coroutine's."""

    async def failing():
        await asyncio.sleep(0)
        raise LookupError("gone")

    def asks():
        return await_(failing())

    def main():
        try:
            sorted([1], key=lambda _: asks())
        except LookupError as error:
            pause()
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    names = [name for name in run(main) if name in {"main", "<lambda>", "asks", "failing"}]
    assert names == ["main", "<lambda>", "asks", "failing"]


def test_frames_lead_from_the_coroutine_through_the_function(run):
    """What inspect.stack() sees beneath an await_ is what has called it."""

    async def innermost():
        await asyncio.sleep(0)
        return [frame.function for frame in inspect.stack()]

    def middle():
        return await_(innermost())

    async def outermost():
        await asyncio.sleep(0)
        return middle()

    seen = [name for name in run(outermost) if name in {"innermost", "middle", "outermost"}]
    assert seen == ["innermost", "middle", "outermost"]


def test_cancellation_arrives_at_the_await(run):
    """As CancelledError, in the function and in what it awaits, once; the task is then cancelled."""
    trace = []

    async def forever():
        try:
            await asyncio.sleep(3600)
        finally:
            trace.append("coroutine")

    def waits():
        try:
            max([1], key=lambda _: await_(forever()))
        except asyncio.CancelledError:
            trace.append("function")
            pause()
            raise

    def main():
        task = aio.spawn(waits)
        pause()
        task.cancel("enough")
        await_(asyncio.wait([task]))
        return task.cancelled()

    assert run(main)
    assert trace == ["coroutine", "function"]


def test_a_cancellation_may_be_refused(run):
    """A function that catches CancelledError goes on awaiting."""

    def waits():
        try:
            await_(asyncio.sleep(3600))
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
        return pause("went on")

    def main():
        task = aio.spawn(waits)
        pause()
        task.cancel()
        return await_(task)

    assert run(main) == "went on"


def test_an_awaitable_may_go_on_after_what_was_thrown(run):
    """It waits for something else then, any number of times."""

    async def stubborn():
        for _ in range(3):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
        return "ended"

    def main():
        task = aio.spawn(lambda: await_(stubborn()))
        for _ in range(3):
            pause(), pause(), pause()
            task.cancel()
        return await_(task)

    assert run(main) == "ended"


def test_timeouts_reach_ordinary_functions(run):
    """asyncio.timeout around a call, and wait_for of one."""

    def sleeps():
        return list(map(lambda _: await_(asyncio.sleep(3600)), "x"))

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                sleeps()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(aio.call(sleeps), 0.01)
        async with asyncio.timeout(60):
            return pause("in time")

    assert run(main) == "in time"


def test_what_is_shielded_goes_on(run):
    """A function in a shielded task ends, though who waits for it is cancelled."""

    def main():
        task = aio.spawn(lambda: [pause(), pause("ended")][1])
        outer = aio.spawn(lambda: await_(asyncio.shield(task)))
        pause()
        outer.cancel()
        return await_(asyncio.gather(outer, task, return_exceptions=True))

    cancelled, result = run(main)
    assert (type(cancelled), result) == (asyncio.CancelledError, "ended")


def test_a_task_that_fails_cancels_its_group(run):
    """Functions of a task group see CancelledError at their await_."""
    trace = []

    def waits():
        try:
            await_(asyncio.sleep(3600))
        except asyncio.CancelledError:
            trace.append("cancelled")
            raise

    def fails():
        pause()
        raise LookupError("gone")

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(aio.call(waits))
            group.create_task(aio.call(fails))

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert (trace, caught.group_contains(LookupError)) == (["cancelled"], True)


def test_tasks_cancelled_before_they_begin_are_no_mistake(run):
    """No coroutine is said never to have been awaited."""

    def main():
        tasks = [
            asyncio.get_running_loop().create_task(pauses_in_between()),
            aio.spawn(pauses_in_between),
            aio.spawn(pause),
        ]
        for task in tasks:
            task.cancel()
        return await_(asyncio.gather(*tasks, return_exceptions=True))

    assert [type(result) for result in run(main)] == 3 * [asyncio.CancelledError]


def test_tasks_that_nobody_waits_for_are_closed(run):
    """At the end of the loop they are cancelled, and their `finally` blocks run."""
    trace = []

    def waits():
        try:
            sorted([1], key=lambda _: await_(asyncio.sleep(3600)))
        finally:
            pause()
            trace.append("closed")

    def main():
        trace.append(aio.spawn(waits))
        pause()

    run(main)
    assert trace[1:] == ["closed"]


def test_asynchronous_generators_and_contexts_work_through_functions(run):
    """`async for` and `async with` in coroutines, over generators that call ordinary functions."""

    async def numbers():
        for n in range(3):
            yield pause(n)

    async def main():
        got = [n async for n in numbers() if pause(True)]
        return got

    assert run(main) == [0, 1, 2]


def test_handlers_and_prompts_may_stand_in_between(run):
    """In an ordinary function, and in one that a coroutine calls."""

    def main():
        return handle(lambda: pause(1)), prompt(lambda: pause(2)), sorted([1], key=lambda _: prompt(lambda: pause(3)))

    async def coroutine():
        await asyncio.sleep(0)
        return main()

    assert run(main) == run(coroutine) == (1, 2, [1])


def test_the_callers_side_has_no_fiber_to_show(run):
    """Beneath `run`, `current()` is the portal; outside there is none, as before."""
    assert run(current) is not None
    assert current() is None


def test_results_that_are_coroutines_are_awaited(run):
    """A lambda or a partial of a coroutine function is one."""

    async def answer(value):
        await asyncio.sleep(0)
        return pause(value)

    assert run(lambda: answer(1)) == 1
    assert run(functools.partial(answer, 2)) == 2


def test_keyword_arguments_are_passed(run_plain):
    """`call` passes them on."""
    assert run_plain(aio.call(dict, a=1)) == {"a": 1}


def test_a_loop_of_others_gets_portals_by_call(run_plain):
    """`await call(...)`: in the same task, whose other code has none."""

    async def main():
        assert not aio.can_await()
        results = await aio.call(through_c), await aio.call(pauses_in_between), await aio.call(asyncio.current_task)
        return *results, asyncio.current_task()

    first, second, third, task = run_plain(main())
    assert (first, second, third) == (THROUGH_C, (1, 2), task)


def test_a_portal_within_a_portal_works(run):
    """A coroutine beneath a portal may `call` again."""

    async def main(depth):
        pause()
        return depth if depth == 0 else await aio.call(beneath, depth)

    def beneath(depth):
        return await_(main(depth - 1))

    assert run(main, 5) == 0


def test_a_task_factory_makes_portals_in_a_loop_of_others(run_plain):
    """Of each task that is made afterwards."""

    async def main():
        asyncio.get_running_loop().set_task_factory(aio.task_factory)
        return await asyncio.gather(pauses_in_between(), asyncio.create_task(pauses_in_between(), name="mine"))

    assert run_plain(main()) == [(1, 2), (1, 2)]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks_begin_at_once(run_plain):
    """Up to their first wait; those that do not wait are done."""
    trace = []

    def worker(name):
        trace.append(name)
        return pause(name)

    async def at_once():
        return "at once"

    async def main():
        asyncio.get_running_loop().set_task_factory(aio.eager_task_factory)
        task, other = aio.spawn(worker, "begun"), asyncio.create_task(at_once())
        return trace == ["begun"], other.done(), await task, await other

    assert run_plain(main()) == (True, True, "begun", "at once")


def test_spawned_tasks_are_ordinary_tasks(run):
    """With the name and context that they are given; both kinds of functions."""

    def main():
        context = contextvars.copy_context()
        context.run(number.set, 7)
        task = aio.spawn(
            lambda: (pause(), number.get(), asyncio.current_task().get_name()), name="mine", context=context
        )
        assert type(task) is asyncio.Task
        return await_(task), await_(aio.spawn(pauses_in_between))

    assert run(main) == ((None, 7, "mine"), (1, 2))


def test_a_task_shows_the_name_of_what_it_runs(run):
    """In its repr, for whoever debugs a loop."""

    def main():
        return repr(aio.spawn(pause)), repr(asyncio.get_running_loop().create_task(pauses_in_between(), name="x"))

    function, coroutine = run(main)
    assert "pause" in function
    assert "pauses_in_between" in coroutine


@pytest.mark.parametrize(
    "behind", [lambda f: f(), lambda f: sorted([0], key=lambda _: f())], ids=["softly", "behind C code"]
)
def test_a_coroutine_that_is_being_awaited_is_refused(run, behind):
    """As by `await`; whoever awaits it gets its result."""

    async def sleeps():
        return [await asyncio.sleep(0, n) for n in range(3)]

    async def awaits(coroutine):
        return await coroutine

    def refused(coroutine):
        with pytest.raises(RuntimeError, match="coroutine is being awaited already"):
            await_(coroutine)

    def main():
        shared = sleeps()
        task = asyncio.get_running_loop().create_task(awaits(shared))
        pause()
        behind(lambda: refused(shared))
        return await_(task)

    assert run(main) == [0, 1, 2]


def test_many_tasks_wait_behind_c_code(run):
    """A thousand at once, each with its own C stack."""

    def main():
        tasks = [aio.spawn(lambda n=n: sorted([n], key=pause)) for n in range(1000)]
        return sum(n for [n] in await_(asyncio.gather(*tasks)))

    assert run(main) == 499_500
