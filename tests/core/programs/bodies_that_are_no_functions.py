"""The fiber's function may be anything that can be called; only plain functions can suspend."""

import functools

from stackful import BarrierError, Fiber, suspend


class Class:
    def __init__(self, x=0):
        self.x = x

    def method(self, x=0):
        return suspend(x)

    def __call__(self, x=0):
        return suspend(x)

    @classmethod
    def class_method(cls, x=0):
        return suspend(x)


def generator(x=0):
    yield suspend(x)


async def coroutine(x=0):
    return suspend(x)


async def asynchronous(x=0):
    yield suspend(x)


bodies = [
    print,
    len,
    Class,
    Class(),
    Class().method,
    Class.class_method,
    Class.method,
    functools.partial(Class().method, 1),
]
bodies += [
    generator,
    coroutine,
    asynchronous,
    functools.partial(suspend),
    suspend,
    type,
    int,
    [].append,
    "x".join,
    functools.reduce,
]
for body in bodies:
    for act in (lambda f: f.resume(), lambda f: f.throw(KeyError), lambda f: f.close(), lambda f: f.frames, repr):
        fiber = Fiber(body)
        for _ in range(3):
            try:
                result = act(fiber)
                getattr(result, "close", id)() if not isinstance(result, Fiber) else None
            except (BarrierError, RuntimeError, TypeError, KeyError, AttributeError):
                pass
