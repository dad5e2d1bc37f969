"""What a thread state holds of a fiber that waits with its C stack: exceptions, contexts, generators, frames, observers."""

import asyncio
import contextvars
import cProfile
import functools
import inspect
import io
import pstats
import re
import sys
import traceback
import tracemalloc

import pytest

from stackful import BarrierError, Fiber, FiberError, current, picture, resume, suspend

var = contextvars.ContextVar("var", default="none")


def behind(act):
    """Call `act` from C code."""
    (result,) = map(lambda _: act(), [0])
    return result


def finish(fiber, *values):
    """What it suspends with, and comes to."""
    found = [fiber.resume()]
    for value in values:
        found.append(fiber.resume(value))
    assert fiber.status == "dead"
    return found


# ---- exceptions


def test_what_is_handled_in_a_kept_fiber_is_handled_there_only():
    """sys.exc_info() is each side's own, at every depth, and what is raised gets its own side's context."""

    def body():
        try:
            raise KeyError("fiber")
        except KeyError:
            behind(suspend)
            assert sys.exc_info()[0] is KeyError
            try:
                behind(lambda: raise_(ValueError("inner")))
            except ValueError as error:
                behind(suspend)
                assert sys.exc_info()[1] is error
                assert repr(error.__context__) == "KeyError('fiber')"
            assert sys.exc_info()[0] is KeyError
        return sys.exc_info()[0]

    def raise_(error):
        behind(suspend)
        raise error

    fiber = Fiber(body)
    while fiber.status != "dead":
        assert sys.exc_info()[0] is None
        try:
            raise OSError("resumer")
        except OSError as error:
            fiber.resume()
            assert sys.exc_info()[1] is error
            try:
                raise TypeError
            except TypeError as other:
                assert other.__context__ is error
    assert fiber.result is OSError


def test_a_thrown_exception_gets_the_context_of_where_it_is_raised():
    """Not the thrower's."""

    def body():
        try:
            raise KeyError("fiber")
        except KeyError:
            behind(suspend)

    fiber = Fiber(body)
    fiber.resume()
    with pytest.raises(ValueError) as caught:
        try:
            raise OSError("resumer")
        except OSError:
            fiber.throw(ValueError())
    assert repr(caught.value.__context__) == "KeyError('fiber')"


def test_an_exception_that_leaves_through_c_code_has_all_frames_in_its_traceback():
    """Those of the fiber and those of the resumer, as one stack."""

    def raises():
        behind(suspend)
        raise ValueError

    def body():
        behind(raises)

    fiber = Fiber(body)
    fiber.resume()
    with pytest.raises(ValueError) as caught:
        fiber.resume()
    names = [entry.name for entry in traceback.extract_tb(caught.value.__traceback__)]
    assert names[1:] == ["body", "behind", "<lambda>", "raises"]


# ---- contexts


def test_context_run_in_between_is_the_fibers_own():
    """What Context.run has entered goes with the fiber; the resumer has his own context, and may resume from any."""

    def inner():
        var.set("in run")
        behind(suspend)
        return var.get()

    def body():
        var.set("body")
        own = contextvars.copy_context()
        found = own.run(inner)
        return found, own[var], var.get()

    fiber = Fiber(body)

    def main():
        var.set("main")
        fiber.resume()
        assert var.get() == "body"  # D5: the fiber runs in its resumer's context
        var.set("main")
        other = contextvars.copy_context()
        other.run(var.set, "other")
        found = other.run(fiber.resume)
        return found, var.get(), other[var]

    assert contextvars.copy_context().run(main) == (("in run", "in run", "other"), "main", "other")


def test_contexts_within_contexts_come_back_in_order():
    """Each Context.run ends where it began, whatever other fibers have entered meanwhile."""

    def enter(n):
        if n == 0:
            return behind(lambda: suspend(var.get()))
        context = contextvars.copy_context()
        context.run(var.set, n)
        found = context.run(enter, n - 1)
        assert var.get() == (n + 1 if n < 3 else "none")
        return found

    def main():
        fibers = [Fiber(enter, 3) for _ in range(3)]
        assert [fiber.resume() for fiber in fibers] == [1, 1, 1]
        assert var.get() == "none"
        assert [fiber.resume(i) for i, fiber in enumerate(fibers)] == [0, 1, 2]
        return var.get()

    assert contextvars.copy_context().run(main) == "none"


def test_an_entered_context_cannot_be_entered_twice():
    """As long as the fiber waits in it, it is entered."""
    context = contextvars.copy_context()
    fiber = Fiber(context.run, suspend, 1)
    assert fiber.resume() == 1
    with pytest.raises(RuntimeError, match="already entered"):
        context.run(int)
    assert fiber.resume(2) == 2
    assert context.run(int) == 0


def test_a_fiber_with_a_context_of_its_own_keeps_it():
    """Entered when it is resumed, left when it waits, behind C code as elsewhere."""
    context = contextvars.copy_context()
    context.run(var.set, "own")
    fiber = Fiber(
        lambda: behind(lambda: [var.get(), suspend(), contextvars.copy_context().run(lambda: suspend() or var.get())])
    )
    try:
        fiber.context = context
    except AttributeError:
        pytest.skip("a fiber's context is given otherwise")
    for _ in range(2):
        fiber.resume()
        assert var.get() == "none"
        context.run(int)
    assert fiber.resume() == ["own", None, "own"]


@pytest.mark.no_leakcheck("each asyncio.run() of 3.11 keeps some blocks, without fibers too")
def test_tasks_of_asyncio_resume_a_kept_fiber_in_turn():
    """A fiber that one task has begun is gone on with by another: variables are those of the task, or of its own Context.run."""

    def body():
        found = [behind(lambda: (suspend(), var.get())[1]) for _ in range(3)]
        found.append(contextvars.copy_context().run(lambda: behind(lambda: (suspend(), var.get())[1])))
        return found

    async def step(fiber, name):
        var.set(name)
        await asyncio.sleep(0)
        return fiber.resume()

    async def main():
        fiber = Fiber(body)
        for name in "abcde":
            result = await asyncio.create_task(step(fiber, name))
        return result

    assert asyncio.run(main()) == ["b", "c", "d", "d"]


# ---- generators, coroutines


def test_generators_in_between_are_running_until_the_fiber_goes_on():
    """They cannot be advanced or closed meanwhile, and afterwards they can."""

    def numbers():
        try:
            yield suspend(1)
            yield suspend(2)
        finally:
            log.append("closed")

    def body():
        return next(held), behind(lambda: next(held))

    log = []
    held = numbers()
    fiber = Fiber(body)
    assert fiber.resume() == 1
    for act in (lambda: next(held), held.close, lambda: held.throw(KeyError)):
        with pytest.raises(ValueError, match="already executing"):
            act()
    assert held.gi_running
    assert fiber.resume("one") == 2
    assert fiber.resume("two") == ("one", "two")
    held.close()
    assert log == ["closed"]


def test_exceptions_handled_in_generators_come_back():
    """A generator's handled exception lies between the fiber's and what it calls."""

    def numbers():
        try:
            raise KeyError
        except KeyError:
            behind(suspend)
            yield sys.exc_info()[0]
            behind(suspend)
            yield sys.exc_info()[0]

    def body():
        try:
            raise ValueError
        except ValueError:
            return [*numbers(), sys.exc_info()[0]]

    assert finish(Fiber(body), None, None)[-1] == [KeyError, KeyError, ValueError]


@pytest.mark.no_leakcheck("each asyncio.run() of 3.11 keeps some blocks, without fibers too")
def test_coroutines_and_asynchronous_generators_in_between():
    """An event loop may run in a fiber, and its tasks suspend that."""

    async def agenerator():
        for i in range(3):
            yield suspend(i)

    async def main():
        found = [item async for item in agenerator()]
        await asyncio.sleep(0)
        return found, suspend("main")

    fiber = Fiber(asyncio.run, main())
    assert finish(fiber, "a", "b", "c", "d") == [0, 1, 2, "main", (["a", "b", "c"], "d")]


# ---- frames


def names_of(frame):
    found = []
    while frame is not None and len(found) < 100:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found


def test_frames_of_a_kept_fiber_end_at_its_own_while_it_waits():
    """f_back leads to the resumer while it runs, and to nobody while it waits."""

    def look():
        frame = sys._getframe()
        seen.append(names_of(frame))
        suspend(frame)
        seen.append(names_of(frame))
        return [info.function for info in inspect.stack()]

    def body():
        return behind(look)

    def first():
        return fiber.resume()

    def second():
        return fiber.resume()

    seen = []
    fiber = Fiber(body)
    frame = first()
    assert names_of(frame) == ["look", "<lambda>", "behind", "body"]
    assert [f.code.co_name for f in fiber.frames] == ["body", "behind", "<lambda>", "look"]
    stack = second()
    assert seen[0][:5] == ["look", "<lambda>", "behind", "body", "first"]
    assert seen[1][:5] == ["look", "<lambda>", "behind", "body", "second"]
    assert stack[:5] == seen[1][:5]


def test_what_a_kept_frame_is_asked_for():
    """Its locals can be read and its line; it cannot be cleared."""

    def look():
        local = 5
        frame = suspend(sys._getframe())
        return local, frame

    fiber = Fiber(lambda: behind(look))
    frame = fiber.resume()
    assert frame.f_locals["local"] == 5
    assert frame.f_lineno == look.__code__.co_firstlineno + 2
    for each in (frame, frame.f_back):
        with pytest.raises(RuntimeError, match="cannot clear"):
            each.clear()
    assert "look" in picture(fiber)
    assert fiber.resume() == (5, None)
    frame.clear()


def test_current_frames_of_the_thread_are_the_resumers():
    """sys._current_frames() does not show what waits."""
    fiber = Fiber(lambda: behind(suspend))
    fiber.resume()
    names = [name for frame in sys._current_frames().values() for name in names_of(frame)]
    assert "behind" not in names
    fiber.resume()


# ---- observers


def events_of(install, program):
    """The events of the functions of these programs."""
    seen = []

    def hear(frame, event, argument):
        if frame.f_code.co_name in ("outer", "middle", "key") and event in ("call", "line", "return", "exception"):
            seen.append((event, frame.f_code.co_name, frame.f_lineno))
        return hear

    before = sys.gettrace() if install is sys.settrace else sys.getprofile()
    install(hear)
    try:
        program()
    finally:
        install(before)
    return seen


def observed(stop):
    def outer():
        found = middle()
        return found

    def middle():
        return sorted([2, 1], key=key)

    def key(x):
        stop()
        return x

    return outer


@pytest.mark.parametrize("install", [sys.settrace, sys.setprofile])
def test_events_are_those_of_a_program_that_is_not_suspended(install):
    """Calls, lines and returns are heard once each."""

    def stepped():
        fiber = Fiber(observed(suspend))
        while fiber.status != "dead":
            fiber.resume()

    assert events_of(install, stepped) == events_of(install, observed(lambda: None))


def test_a_profiler_that_comes_while_a_fiber_waits_hears_the_rest():
    """And one that goes hears no more."""
    fiber = Fiber(observed(suspend))
    fiber.resume()
    heard = events_of(sys.setprofile, fiber.resume)
    assert [event[:2] for event in heard] == [("return", "key"), ("call", "key")]
    fiber.resume()
    assert fiber.result == [1, 2]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="sys.monitoring is new in 3.12")
def test_monitoring_that_comes_while_a_fiber_waits_hears_the_rest():
    """Lines and returns of frames that waited, in C code's frames and beyond."""
    monitoring, seen = sys.monitoring, []
    outer = observed(suspend)
    fiber = Fiber(outer)
    fiber.resume()
    events = monitoring.events
    monitoring.use_tool_id(4, "hard")
    try:
        for event, name in ((events.LINE, "line"), (events.PY_RETURN, "return")):
            monitoring.register_callback(4, event, lambda code, *_, name=name: seen.append((name, code.co_name)))
        monitoring.set_events(4, events.LINE | events.PY_RETURN)
        fiber.resume()
        fiber.resume()
    finally:
        monitoring.set_events(4, 0)
        monitoring.free_tool_id(4)
    mine = [event for event in seen if event[1] in ("outer", "middle", "key")]
    returns = [name for event, name in mine if event == "return"]
    assert returns == ["key", "key", "middle", "outer"]
    assert ("line", "outer") in mine
    assert ("line", "key") in mine


@pytest.mark.no_leakcheck("pstats fills a cache of CPython")
def test_a_profile_counts_each_call_once():
    """CProfile, and it ends where it began."""

    def run():
        fiber = Fiber(observed(suspend))
        while fiber.status != "dead":
            fiber.resume()

    profile = cProfile.Profile()
    profile.runcall(run)
    stats = pstats.Stats(profile, stream=io.StringIO()).stats
    counts = {name: row[0] for (file, _, name), row in stats.items() if file == __file__}
    assert (counts["outer"], counts["middle"], counts["key"]) == (1, 1, 2)


@pytest.mark.no_leakcheck("tracemalloc allocates")
def test_tracemalloc_sees_one_stack():
    """Traces of what a kept fiber allocates go on to its resumer."""

    def allocate():
        suspend()
        return [object() for _ in range(3)]

    def resumer():
        return fiber.resume()

    tracemalloc.start(30)
    try:
        fiber = Fiber(lambda: behind(allocate))
        fiber.resume()
        made = resumer()
        trace = "\n".join(tracemalloc.get_object_traceback(made[0]).format())
    finally:
        tracemalloc.stop()
    assert "return fiber.resume()" in trace
    assert "range(3)" in trace


# ---- other fibers


def test_fibers_resumed_by_a_kept_one():
    """Their frames and stacks are apart: the inner one can be resumed by others while the outer one waits."""
    inner = Fiber(lambda: [behind(suspend), behind(suspend)])
    inner.resume()

    def body():
        behind(suspend)
        return inner.resume("outer")

    outer = Fiber(body)
    outer.resume()
    assert inner.resume("main") is None
    assert outer.resume() == ["main", "outer"]


def test_a_guest_is_not_suspended_across_c_code():
    """Its frames are on its host's stack, of which no part can be kept: BarrierError, and both go on."""

    def inside():
        with pytest.raises(BarrierError, match="unpacking"):
            behind(lambda: suspend("guest"))
        return suspend("plainly"), current()

    def body():
        first = resume(guest)
        behind(lambda: suspend(first))
        return resume(guest, 5)

    guest = Fiber(inside)
    host = Fiber(body)
    assert finish(host, None) == ["plainly", (5, guest)]


def test_what_waits_in_c_code_is_resumed_by_its_method():
    """By resume(), the function, too: it puts no frames on top of others then."""
    fiber = Fiber(lambda: [behind(lambda: suspend("first")), suspend("second")])

    def body():
        return [fiber.resume(), resume(fiber, 1), resume(fiber, 2)]

    assert Fiber(body).resume() == ["first", "second", [1, 2]]


def test_regular_expressions_and_partials_wait():
    """C code of the standard library that holds state of its own goes on with it."""
    fiber = Fiber(lambda: re.sub(r"\w", lambda match: suspend(match.group()), "ab-c"))
    assert finish(fiber, "x", "y", "z") == ["a", "b", "c", "xy-z"]
    fiber = Fiber(functools.partial(functools.reduce, lambda a, b: a + suspend(b), [1, 2, 3], 0))
    assert finish(fiber, 10, 20, 30) == [1, 2, 3, 60]
    with pytest.raises(FiberError, match="dead"):
        fiber.resume()
