"""copy_generator, and pickles, of CPython's own generators, coroutines and asynchronous generators."""

import copy
import gc
import types
import warnings

import pytest

from stackful import Fiber, FiberError, copy_generator, snapshot, suspend

pytestmark = pytest.mark.three_ways


def by_snapshot(value):
    return snapshot.loads(snapshot.dumps(value))


COPIES = {"copy_generator": copy_generator, "snapshot": by_snapshot}


@types.coroutine
def tick(value):
    return (yield value)


class Awaitable:
    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


def count(n):
    for number in range(n):
        yield number
    return "end"


def delegate(n):
    yield "first"
    result = yield from count(n)
    yield result


async def leaf(n):
    total = 0
    for number in range(n):
        total += await tick(number)
    return total


async def task(n):
    await Awaitable("begin")
    first = await leaf(n)
    second = await leaf(n)
    return first, second


async def numbers(n):
    for number in range(n):
        got = yield number
        if got:
            yield got


def finish(generator, send=None):
    """The rest of what a generator or coroutine yields, and its result."""
    seen = []
    try:
        while True:
            seen.append(generator.send(send if seen or started(generator) else None))
    except StopIteration as stop:
        return seen, stop.value


def started(generator):
    frame = getattr(generator, "gi_frame", None) or getattr(generator, "cr_frame", None)
    return frame is not None and frame.f_lasti >= 0 and not is_fresh(generator)


def is_fresh(generator):
    import inspect

    if inspect.iscoroutine(generator):
        return inspect.getcoroutinestate(generator) == inspect.CORO_CREATED
    return inspect.getgeneratorstate(generator) == inspect.GEN_CREATED


def advance(async_generator, value=None):
    """The next value of an asynchronous generator that awaits nothing."""
    try:
        async_generator.asend(value).send(None)
    except StopIteration as stop:
        return stop.value
    except StopAsyncIteration:
        return "ended"
    raise AssertionError("it awaited")


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("make", [count, delegate, task], ids=lambda f: f.__name__)
def test_both_go_on_where_the_original_stands(make, at, how):
    """Fresh, suspended anywhere, in the middle of a delegation, and finished."""
    expected = finish(make(3), 10)
    one = make(3)
    seen = []
    for step in range(at):
        try:
            seen.append(one.send(10 if step else None))
        except StopIteration:
            break
    other = COPIES[how](one)
    assert type(other) is type(one)
    if at > len(seen):
        outcomes = [told_finished(g) for g in (one, other)]
        assert outcomes[0] == outcomes[1]
        return
    for generator in (other, one):
        rest, result = finish(generator, 10)
        assert (seen + rest, result) == expected


def told_finished(generator):
    try:
        return generator.send(None)
    except (StopIteration, RuntimeError) as error:
        return type(error), error.args


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("at", range(5))
def test_an_asynchronous_generator_goes_on_twice(at, how):
    """Each copy gives the rest of the values."""
    one = numbers(3)
    seen = [advance(one) for _ in range(at)]
    other = COPIES[how](one)
    rest = [0, 1, 2, "ended", "ended"][at:]
    assert [advance(other) for _ in rest] == rest
    assert [advance(one) for _ in rest] == rest
    assert seen == [0, 1, 2, "ended"][:at]


def test_what_is_sent_to_one_is_not_sent_to_the_other():
    """Copies are independent continuations."""
    one = numbers(3)
    advance(one)
    other = copy_generator(one)
    assert (advance(one, "mine"), advance(other)) == ("mine", 1)


def test_awaiting_a_coroutine_from_plain_code_is_copied_with_it():
    """What `__await__` of a coroutine gives is forked too."""

    class Through:
        def __init__(self, coroutine):
            self.coroutine = coroutine

        def __await__(self):
            return self.coroutine.__await__()

    async def main():
        return await Through(leaf(3))

    one = main()
    one.send(None)
    others = [copy_generator(one), by_snapshot(one) if picklable(one) else copy_generator(one)]
    assert finish(one, 2) == ([1, 2], 6)
    assert [finish(other, 3) for other in others] == [([1, 2], 9), ([1, 2], 9)]


def picklable(value):
    try:
        snapshot.dumps(value)
    except snapshot.SnapshotError:
        return False
    return True


def test_waiting_for_an_asynchronous_generator_cannot_be_copied():
    """Half-way through its next value, neither the consumer nor the generator can be doubled; both go on."""

    async def slow():
        yield await tick("waiting")

    async def consume():
        return [value async for value in produced]

    produced = slow()
    one = consume()
    assert one.send(None) == "waiting"
    with pytest.raises(TypeError, match="waits for the next value of an asynchronous generator"):
        copy_generator(one)
    with pytest.raises(FiberError, match="in the middle of an await"):
        copy_generator(produced)
    with pytest.raises(StopIteration) as stop:
        one.send("value")
    assert stop.value.value == ["value"]


def test_a_running_one_cannot_be_copied():
    """FiberError; it goes on."""

    def body():
        with pytest.raises(FiberError, match="is running"):
            copy_generator(one)
        yield "unharmed"

    one = body()
    assert next(one) == "unharmed"


@pytest.mark.parametrize("wrong", [1, iter([]), count, [].__iter__], ids=repr)
def test_only_generators_are_copied(wrong):
    """TypeError names what was given."""
    with pytest.raises(TypeError, match="expected a generator, coroutine or asynchronous generator"):
        copy_generator(wrong)


def test_an_exception_being_handled_is_copied():
    """A bare raise after the copy raises the same exception in both."""

    def body():
        try:
            raise ValueError("v")
        except ValueError:
            yield
            raise

    one = body()
    next(one)
    other = copy_generator(one)
    for generator in (one, other):
        with pytest.raises(ValueError, match="v"):
            next(generator)


def test_an_unawaited_copy_warns_as_any_coroutine():
    """A fresh copy that nobody awaits is reported by Python."""
    one = leaf(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        copy_generator(one)
        gc.collect()
    one.close()
    assert [str(w.message) for w in caught] == ["coroutine 'leaf' was never awaited"]


def test_a_coroutine_in_a_fibers_local_is_shared_by_its_copies():
    """Only what stands on an evaluation stack is forked."""

    def body():
        mine = leaf(2)
        mine.send(None)
        suspend()
        return finish(mine, 1)

    fiber = Fiber(body)
    fiber.resume()
    other = copy.copy(fiber)
    assert fiber.resume() == ([1], 2)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        other.resume()


def test_the_event_loops_hooks_see_a_copy():
    """sys.set_asyncgen_hooks: the copy is new to the loop."""
    import sys

    seen = []
    one = numbers(2)
    advance(one)
    old = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=seen.append)
    try:
        other = copy_generator(one)
        advance(other)
        assert seen == [other]
    finally:
        sys.set_asyncgen_hooks(*old)
