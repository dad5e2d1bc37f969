"""Programs that hold fibers of their own while they are suspended, and values with a life outside of the frame."""

import contextvars
import copy

from stackful import Fiber, suspend

from .registry import program


def counted(limit):
    total = 0
    for number in range(limit):
        total += suspend(number) or 0
    return total


def failing(limit):
    try:
        suspend(limit)
        raise KeyError(limit)
    except KeyError:
        suspend("handling")
        raise


@program(shares_heap=True)
def a_fiber_held_in_a_local(point):
    inner = Fiber(counted, point(3))
    seen = (inner.resume(), point(inner.status), inner.resume(10))
    point("held")
    return *seen, inner.resume(20), inner.resume(point(30)), inner.status, inner.result


@program
def a_fresh_fiber_and_a_dead_one(point):
    fresh, dead = Fiber(counted, 2), Fiber(counted, 0)
    dead.resume()
    point("held")
    return dead.status, dead.result, fresh.status


@program(shares_heap=True)
def a_fiber_that_fails_later(point):
    inner = Fiber(failing, 7)
    first = inner.resume()
    point("held")
    second = inner.resume()
    point("in the handler")
    try:
        inner.resume()
    except KeyError as error:
        return first, second, point(error.args)


@program(shares_heap=True)
def two_names_of_one_fiber(point):
    inner = alias = Fiber(counted, 3)
    inner.resume()
    point("aliased")
    return alias.resume(1), inner.resume(point(2)), alias is inner, alias.resume(3)


@program(shares_heap=True)
def a_fiber_and_its_copy(point):
    inner = Fiber(counted, 3)
    inner.resume()
    other = copy.copy(inner)
    point("both held")
    first = (inner.resume(1), inner.resume(1), inner.resume(1))
    point("one finished")
    return first, (other.resume(5), other.resume(5), other.resume(5))


@program(shares_heap=True)
def fibers_three_deep(point):
    inner = Fiber(middle, 4)
    seen = (inner.resume(),)
    point("held")
    while inner.status == "suspended":
        seen += (point(inner.resume(1)),)
    return seen


def middle(limit):
    innermost = Fiber(counted, limit)
    value = innermost.resume()
    while innermost.status == "suspended":
        value = innermost.resume(suspend(value))
    return "total", value


@program(shares_heap=True)
def a_fiber_that_passes_on_what_another_suspends_with(point):
    sources = [Fiber(counted, 2), Fiber(counted, 3)]
    seen = ()
    while sources:
        source = sources.pop(0)
        value = source.resume()
        if source.status == "suspended":
            seen += (point(value),)
            sources.append(source)
    return seen


@program(shares_heap=True)
def a_fiber_in_a_cycle(point):
    held = []
    inner = Fiber(counted_in, held)
    held.append(inner)
    inner.resume()
    point("cyclic")
    return inner.resume(), held[0] is inner


def counted_in(held):
    suspend(len(held))
    return held[0].status


LEVEL = contextvars.ContextVar("level", default=0)


@program(unsaveable=True)
def context_variables_belong_to_the_resumer(point):
    before = LEVEL.get()
    token = LEVEL.set(point(5))
    inside = LEVEL.get()
    LEVEL.reset(token)
    point("reset")
    return before, inside, LEVEL.get()
