"""The laws of generators: what `generator(f)` gives is what f hands to yield_, in order; each point between two values is a value itself.

`travelled` replaces a suspended generator by its copy, as the way says. (Manners are compared with Python's in tests/generators.)
"""

import itertools
import sys

import pytest

from laws.operators import Log, call_cc, control, travelled
from stackful import Fiber, copy_generator, generator, prompt, run, suspend, yield_

pytestmark = pytest.mark.five_ways


def values(one):
    """What a generator gives; it travels after each value."""
    found = []
    for value in iter(lambda: next(one, "end"), "end"):
        found.append(value)
        one = travelled(one)
    return found


def visit(tree):
    if isinstance(tree, tuple):
        for part in tree:
            visit(part)
    else:
        yield_(tree)


fringe = generator(visit)


# Equations


def test_a_function_that_yields_nothing_is_the_empty_generator():
    """list(generator(f)()) = []."""
    assert values(generator(lambda: "result")()) == []


def test_yields_in_a_row_are_the_values_in_a_row():
    """Also from nested calls: what f yields and then what g does."""

    def both():
        visit((1, (2, 3)))
        visit((4,))

    assert values(generator(both)()) == [1, 2, 3, 4]


def test_yielding_all_of_another_generator_is_calling_its_function():
    """Yield_ in a loop over generator(f)() = f() (yield from, said with calls)."""
    tree = (1, ((2, 3), (), 4))

    def by_loop():
        for value in fringe(tree):
            yield_(value)

    assert values(generator(by_loop)()) == values(fringe(tree)) == [1, 2, 3, 4]


def test_map_is_a_generator():
    """Generator over a loop with f = map f."""

    def mapped(f, items):
        for item in items:
            yield_(f(item))

    for n in range(5):
        assert values(generator(mapped)(lambda x: x * x, range(n))) == [*map(lambda x: x * x, range(n))]


def test_a_generator_can_be_gone_back_to():
    """Re-entry: from each point all that follows, any number of times, as often as there are points."""
    one = fringe((1, (2, (3, 4)), 5))
    points = [copy_of(one)]
    for _ in one:
        points.append(copy_of(one))
    for _ in range(2):
        assert [list(copy_of(point)) for point in points] == [[*range(i, 6)] for i in range(1, 6)] + [[]]


def copy_of(one):
    """A copy whatever the way, and on some ways another."""
    import copy

    return travelled(copy.copy(one))


def test_what_is_sent_to_a_generator_is_its_own():
    """Two that were one are sent different things."""

    def adder():
        total = 0
        while True:
            total += yield_(total)

    one = generator(adder)()
    assert [next(one), one.send(1)] == [0, 1]
    other = copy_of(one)
    assert [one.send(10), other.send(100), one.send(10), other.send(100)] == [11, 101, 21, 201]


def test_same_fringe():
    """Hewitt: two trees of different shape have the same leaves; the comparison stops at the first difference."""
    taken = Log()

    def same(one, other):
        for a, b in itertools.zip_longest(one, other, fillvalue="end"):
            taken.append(a)
            if a != b:
                return False
        return True

    assert same(fringe((1, (2, 3), 4)), fringe(((1, 2), (3, (4,)))))
    assert taken == [1, 2, 3, 4]
    taken.clear()
    assert not same(fringe((1, (7, 3), 4)), fringe(((1, 2), 3, 4)))
    assert taken == [1, 7]


def test_a_generator_is_a_fiber_whose_suspensions_are_its_values():
    """generator(f) = the fiber of f with suspend in the place of yield_."""

    def by_suspend(tree):
        if isinstance(tree, tuple):
            for part in tree:
                by_suspend(part)
        else:
            suspend(tree)

    tree = ((1, 2), (3, (4,)))
    fiber, found = Fiber(by_suspend, tree), []
    while (value := fiber.resume()) is not None:
        found.append(value)
        fiber = travelled(fiber)
    assert found == values(fringe(tree))


def test_a_generator_is_a_stream_of_continuations():
    """Danvy and Filinski's generator by shift: each value comes with the rest, and both give the same."""

    def walk(tree):
        if isinstance(tree, tuple):
            for part in tree:
                walk(part)
        else:
            control(lambda k: (tree, k))

    def by_control(tree):
        step = prompt(lambda: [walk(tree), None][1])
        while step is not None:
            yield step[0]
            step = prompt(step[1])

    tree = ((1, (), 2), (3, (4,)))
    assert list(by_control(tree)) == values(fringe(tree))


# Where generators and other operators meet


def test_the_consumer_can_be_captured_with_its_generator():
    """A loop over a generator is part of the frames: each call of the continuation has the rest of the values for itself."""

    def consume():
        found = []
        for value in fringe((1, 2, (3, 4))):
            found = [*found, value]
            if value == 2:
                found = [*found, control(lambda k: k)]
        return found

    k = prompt(consume)
    assert [k("a"), k("b")] == [[1, 2, "a", 3, 4], [1, 2, "b", 3, 4]]


def test_a_generators_body_can_have_prompts_and_continuations():
    """What is captured within it is within it."""

    def body():
        yield_(prompt(lambda: 1 + control(lambda k: k(k(1)))))
        yield_(run(lambda: 10 * call_cc(lambda k: k(2))))
        prompt(lambda: yield_("within a prompt"))

    assert values(generator(body)()) == [3, 20, "within a prompt"]


def test_a_generator_is_a_boundary_to_captures():
    """The prompt of whoever advances it is out of its reach: next() is a C call in between."""

    def body():
        yield_(control(lambda k: k))

    with pytest.raises(LookupError, match="outside of"):
        prompt(lambda: next(generator(body)()))


def test_yield_in_a_callback_of_c_is_one_like_any_other():
    """The generator waits within the C code."""

    def body():
        yield_(sorted([2, 1], key=lambda x: yield_(x) or x))

    assert list(generator(body)()) == [2, 1, [1, 2]]


# Python's own


def plain(n):
    total = 0
    for number in range(n):
        total += yield number, total


@pytest.mark.parametrize("at", range(4))
def test_a_copied_plain_generator_goes_on_by_itself(at):
    """copy_generator at every point: both give what follows."""
    one = plain(3)
    before = [next(one)] if at else []
    before += [one.send(10) for _ in range(at - 1)]
    other = copy_generator(one)

    def rest(one):
        sent = iter([None] if not before else [1] * 3)
        found = []
        try:
            while True:
                found.append(one.send(next(sent, 1)))
        except StopIteration:
            return found

    assert rest(one) == rest(other)
    assert len(before) == at


def test_generators_nest_to_the_recursion_limit_and_say_so():
    """A generator that advances itself anew without end is a RecursionError."""

    def endless():
        next(generator(endless)())

    with pytest.raises(RecursionError):
        next(generator(endless)())
    assert sys.getrecursionlimit() > 100
