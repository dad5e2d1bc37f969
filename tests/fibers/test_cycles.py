"""The collector sees everything that a fiber refers to."""

import copy
import gc
import weakref

import pytest

from stackful import Fiber, current, suspend


class Thing:
    pass


def keeps(thing):
    suspend()
    return thing


def is_collected(make):
    """Whether what `make(thing)` builds around a thing is garbage that the collector finds."""
    thing = Thing()
    reference = weakref.ref(thing)
    make(thing)
    del thing
    gc.collect()
    return reference() is None


def through_arguments(thing):
    thing.fiber = Fiber(keeps, thing)


def through_locals(thing):
    thing.fiber = Fiber(keeps, thing)
    thing.fiber.resume()


def through_a_copy(thing):
    fiber = Fiber(keeps, thing)
    fiber.resume()
    thing.fiber = copy.copy(fiber)


def through_the_result(thing):
    through_locals(thing)
    thing.fiber.resume()


def through_the_stack(thing):
    thing.fiber = Fiber(lambda: [thing, suspend()])
    thing.fiber.resume()


def through_a_running_loop(thing):
    def loop():
        for x in iter([1, thing]):
            suspend(x)

    thing.fiber = Fiber(loop)
    thing.fiber.resume()


def through_the_handled_exception(thing):
    def body():
        try:
            raise KeyError(thing)
        except KeyError:
            suspend()

    thing.fiber = Fiber(body)
    thing.fiber.resume()


def through_the_fiber_itself(thing):
    def body(thing):
        me = current()
        suspend()
        return me

    Fiber(body, thing).resume()


def through_a_deep_stack(thing):
    def deep(n, thing):
        return suspend() if n == 0 else deep(n - 1, thing)

    thing.fiber = Fiber(deep, 50, thing)
    thing.fiber.resume()


def through_a_context(thing):
    import contextvars

    context = contextvars.copy_context()
    context.run(contextvars.ContextVar("v").set, thing)
    thing.fiber = Fiber(keeps, 1)
    thing.fiber.context = context


def through_a_subclass(thing):
    class Special(Fiber):
        pass

    thing.fiber = Special(keeps, thing)
    thing.fiber.me = thing.fiber


MAKERS = [function for name, function in list(globals().items()) if name.startswith("through_")]


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_cycle_is_collected(make):
    """A cycle through this part of a fiber is found."""
    assert is_collected(make)


def test_two_fibers_that_hold_each_other_are_collected():
    """Both are closed, each once."""
    log = []

    def body():
        other = suspend()
        try:
            suspend()
        finally:
            log.append(other.status)

    one, two = Fiber(body), Fiber(body)
    for fiber, other in ((one, two), (two, one)):
        fiber.resume()
        fiber.resume(other)
    del fiber, other, one, two
    gc.collect()
    assert sorted(log) in (["dead", "suspended"], ["dead", "normal"], ["normal", "suspended"])


def test_what_is_still_used_is_not_collected():
    """The collector leaves a suspended fiber's values alone."""
    fiber = Fiber(lambda: [Thing(), suspend()][0])
    fiber.resume()
    gc.collect()
    assert isinstance(fiber.resume(), Thing)
