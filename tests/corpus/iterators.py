"""Iterators, generators and coroutines as plain data: they are suspended themselves while the fiber is."""

import sys

from .registry import program


def accumulate(start):
    total = start
    while True:
        try:
            received = yield total
        except KeyError as error:
            total += error.args[0]
        else:
            total += received or 0


def bounded(limit):
    try:
        for number in range(limit):
            yield number
        return "ended"
    finally:
        limit = None


@program(shares_heap=True)
def a_generator_held_in_a_local(point):
    numbers = bounded(point(4))
    first = next(numbers)
    point("held")
    return first, next(numbers), point(next(numbers)), list(numbers)


@program(shares_heap=True)
def a_generator_that_was_not_started(point):
    numbers = bounded(3)
    point("fresh")
    return point(list(numbers))


@program(shares_heap=True)
def a_generator_that_receives(point):
    total = accumulate(point(1))
    next(total)
    total.send(point(10))
    point("between")
    total.throw(KeyError(point(100)))
    result = total.send(point(1000))
    total.close()
    return result, point(next(total, "closed"))


@program(shares_heap=True)
def a_finished_generator(point):
    numbers = bounded(1)
    seen = list(numbers)
    point("finished")
    return seen, next(numbers, point("none left"))


@program(shares_heap=True)
def a_generator_in_a_container(point):
    held = {"numbers": [bounded(3), bounded(5)]}
    for numbers in held["numbers"]:
        next(numbers)
    point("held")
    return [list(numbers) for numbers in point(held)["numbers"]]


@program(shares_heap=True)
def two_names_of_one_generator(point):
    numbers = alias = bounded(5)
    next(numbers)
    point("aliased")
    return next(alias), next(numbers), alias is numbers, point(next(alias))


@program(shares_heap=True)
def a_generator_suspended_in_with_and_try(point):
    def careful():
        try:
            yield 1
            try:
                raise KeyError("inside")
            except KeyError as error:
                yield error.args
                yield repr(error)
        finally:
            sys.exc_info()

    steps = careful()
    return next(steps), point(1), next(steps), point(2), next(steps), point(3), next(steps, point(4))


@program(shares_heap=True)
def a_generator_with_a_loop_of_its_own(point):
    def pairs(limit):
        for left in range(limit):
            for right in "ab":
                yield left, right

    source = pairs(point(2))
    seen = (next(source), next(source), next(source))
    point("inside two loops")
    return seen, list(source)


@program(shares_heap=True)
def a_generator_that_delegates(point):
    def outer():
        result = yield from bounded(2)
        yield result

    values = outer()
    first = next(values)
    point("delegating")
    return first, list(values)


@program(shares_heap=True)
def a_pipeline_of_generators(point):
    numbers = (number for number in range(10))
    odd = (number for number in numbers if number % 2)
    squares = (number * number for number in odd)
    first = next(squares)
    point("in the middle")
    return first, next(squares), point(list(squares))


@program(shares_heap=True)
def builtin_iterators_held_in_locals(point):
    lists, texts, ranges = iter([1, 2, 3]), iter("xyz"), iter(range(3))
    tables, sets = iter({"a": 1, "b": 2}.items()), iter({5})
    zipped, mapped = zip(iter([1, 2, 3]), "abc"), map(str, (1, 2, 3))
    filtered, numbered, backwards = filter(None, (0, 1, 2)), enumerate("pq", 5), reversed([1, 2, 3])
    held = (lists, texts, ranges, tables, sets, zipped, mapped, filtered, numbered, backwards)
    firsts = [next(iterator) for iterator in held]
    point("held")
    return firsts, [list(iterator) for iterator in held], point("end")


@program(shares_heap=True)
def an_iterator_that_is_exhausted(point):
    numbers = iter([1])
    next(numbers)
    point("one left")
    first = next(numbers, "none")
    point("exhausted")
    return first, next(numbers, "none")


@program(shares_heap=True)
def two_iterators_over_one_list(point):
    items = [1, 2]
    left, right = iter(items), iter(items)
    next(left)
    point("apart")
    items.append(3)
    return list(left), point(list(right))


def driven(coroutine):
    """Run a coroutine that only ever awaits `Ready` objects."""
    sent = None
    while True:
        try:
            sent = coroutine.send(sent)
        except StopIteration as stop:
            return stop.value


class Ready:
    """Awaitable: yields once and gives back what it was sent."""

    def __init__(self, value):
        self.value = value

    def __await__(self):
        return (yield self.value)


class AsyncRange:
    def __init__(self, stop):
        self.numbers = iter(range(stop))

    def __aiter__(self):
        return self

    async def __anext__(self):
        for number in self.numbers:
            return await Ready(number)
        raise StopAsyncIteration


class AsyncManager:
    async def __aenter__(self):
        return await Ready("entered")

    async def __aexit__(self, *error):
        return await Ready(True)


async def everything_async(limit):
    seen = []
    async for number in AsyncRange(limit):
        seen.append(number)
    async with AsyncManager() as text:
        seen.append(text)
        raise KeyError(limit)
    seen += [number async for number in AsyncRange(limit) if number]
    return seen, {number: await Ready(number) for number in (1, 2)}


@program
def coroutines_run_between_suspensions(point):
    first = driven(everything_async(point(2)))
    return first, point(driven(everything_async(3)))


@program(shares_heap=True, unsaveable=True)
def a_coroutine_held_in_a_local(point):
    async def work():
        return await Ready(1) + await Ready(2)

    coroutine = work()
    first = coroutine.send(None)
    point("awaiting")
    second = coroutine.send(10)
    try:
        coroutine.send(point(20))
    except StopIteration as stop:
        return first, second, stop.value


@program(shares_heap=True, unsaveable=True)
def an_async_generator_held_in_a_local(point):
    async def numbers():
        yield 1
        yield 2

    source = numbers()
    try:
        source.__anext__().send(None)
    except StopIteration as stop:
        first = stop.value
    point("held")
    try:
        source.__anext__().send(None)
    except StopIteration as stop:
        return first, point(stop.value)
