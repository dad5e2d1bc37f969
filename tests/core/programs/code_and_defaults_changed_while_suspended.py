"""Everything that can be changed of a function is changed while its frames wait; generators' functions get other code."""

import copy

from stackful import Fiber, suspend


def body(a, b=2, *, c=3):
    for i in range(3):
        a += suspend((a, b, c, i))
    return a


def other(x):
    y = [x] * 50
    return len(y)


def generator(a):
    for i in range(5):
        yield a + i


def loops(iterator):
    for x in iterator:
        suspend(x)


def other_generator(p, q, r=1):
    z = [p] * 50
    yield z


fiber = Fiber(body, 1)
fiber.resume()
twin = copy.copy(fiber)
body.__code__, body.__defaults__, body.__kwdefaults__ = other.__code__, None, None
body.__dict__.update(x=1)
assert [twin.resume(1), twin.resume(1), twin.resume(1)] == [(2, 2, 3, 1), (3, 2, 3, 2), 4]
copy.copy(fiber).close()
fiber.resume(1)
for code in (other_generator.__code__, other.__code__):
    running = generator(1)
    fiber = Fiber(loops, running)
    fiber.resume()
    kept, generator.__code__ = generator.__code__, code
    try:
        copy.copy(fiber)
    except TypeError:
        pass
    assert fiber.resume() == 2
    generator.__code__ = kept
