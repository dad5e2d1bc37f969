"""What `await_` is given is no awaitable, or a wrong one, or ends in odd ways; its steps nest, and are dropped in long chains."""

import asyncio
import gc
import warnings
from types import coroutine

from stackful import _core, aio

warnings.simplefilter("ignore")  # coroutines that nobody awaits


class Awaitable:
    def __init__(self, result):
        self.result = result

    def __await__(self):
        if isinstance(self.result, type):
            raise self.result
        return self.result


class Endless:
    def __iter__(self):
        return self

    def __next__(self):
        return 1


class Stubborn(Endless):
    def throw(self, error):
        return 5


class Wrong(Endless):
    def throw(self, error):
        raise StopIteration(99)

    def close(self):
        raise LookupError("close")


@coroutine
def once():
    try:
        return (yield)
    except ValueError:
        return "caught"


async def waits():
    await once()


async def stops():
    try:
        await once()
    finally:
        raise StopIteration


async def steps():
    yield 1


def plain():
    yield 1


MAKERS = {
    "None": lambda: None,
    "a number": lambda: Awaitable(3),
    "an error": lambda: Awaitable(LookupError),
    "a coroutine": lambda: Awaitable(waits()),
    "a list": lambda: Awaitable([1]),
    "a list's iterator": lambda: Awaitable(iter([1, 2])),
    "steps": lambda: Awaitable(_core.Steps(iter([1]))),
    "without throw": lambda: Awaitable(Endless()),
    "never ends": lambda: Awaitable(Stubborn()),
    "throw ends": lambda: Awaitable(Wrong()),
    "a generator": plain,
    "of types.coroutine": once,
    "waits": waits,
    "StopIteration": stops,
    "async generator": steps,
    "its step": lambda: anext(steps()),
}
THROWN = [None, ValueError("thrown"), GeneratorExit, asyncio.CancelledError, StopIteration(3)]


def outcome(make, thrown):
    portal = aio.call(lambda: aio.await_(make()))
    try:
        portal.send(None)
        if thrown is not None:
            portal.throw(thrown)
        portal.send(None)
        portal.close()
    except StopIteration as end:
        return repr(end.value)
    except BaseException as error:  # noqa: BLE001 - any
        return type(error).__name__
    return "goes on"


found = {name: [outcome(make, thrown) for thrown in THROWN] for name, make in MAKERS.items()}
assert found["None"] == ["TypeError"] * 5
assert found["a number"] == ["TypeError"] * 5
assert found["a coroutine"] == ["TypeError"] * 5
assert found["steps"] == ["TypeError"] * 5
assert found["a generator"] == ["TypeError"] * 5
assert found["of types.coroutine"][:4] == ["None", "'caught'", "GeneratorExit", "CancelledError"], found

assert found["without throw"][1:4] == ["ValueError", "GeneratorExit", "CancelledError"], found
assert found["its step"] == ["1"] * 5

for odd in (None, 3, [], _core.Steps(iter([1]))):
    try:
        _core.Steps(odd)
    except TypeError:
        pass
    else:
        raise AssertionError(odd)


def hold(inner):
    yield inner


chain = None
for _ in range(200_000):
    iterator = hold(chain)
    next(iterator)
    chain = _core.Steps(iterator)
iterator = chain = None


class Next(Endless):
    def __next__(self):
        return next(self.inner)


deep = _core.Steps(iter([1]))
for _ in range(200_000):
    iterator = Next()
    iterator.inner = deep
    deep = _core.Steps(iterator)
try:
    next(deep)
except RecursionError:
    pass
else:
    raise AssertionError
iterator = deep = None

own = Next()
own.inner = _core.Steps(own)
del own
gc.collect()


def contain_steps():
    yield 1
    return (box.pop(),)


def count_steps():
    gc.collect()
    return sum(type(thing) is _core.Steps for thing in gc.get_objects())


before = count_steps()
box = [_core.Steps(contain_steps())]
list(box[-1])  # their result is a tuple, in which they are
assert count_steps() == before
