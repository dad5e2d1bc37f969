"""A copy needs a fresh generator, from a function whose code is now one that ends the generator which is being copied."""

import copy
import types
import warnings

from stackful import Fiber, suspend

warnings.simplefilter("ignore", DeprecationWarning)  # since 3.13 for such an assignment


def count():
    local = [object()]
    yield local
    yield local
    yield local


def substitute():
    from __main__ import generator, twin

    list(generator)
    return twin()


twin = types.FunctionType(count.__code__, globals())
generator = count()


def body():
    for value in generator:
        suspend(len(value))


fiber = Fiber(body)
assert fiber.resume() == 1
count.__code__ = substitute.__code__
try:
    copy.copy(fiber)
except TypeError as error:
    assert "has another __code__" in str(error), error
else:
    raise AssertionError
assert fiber.resume() == 1
