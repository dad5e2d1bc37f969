"""Generators that yield from nested calls, and nest in each other."""

import copy

import pytest

from stackful import Fiber, FiberError, current, generator, suspend, yield_

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def visit(tree):
    if tree:
        left, value, right = tree
        visit(left)
        yield_(value)
        visit(right)


def tree_of(low, high):
    if low >= high:
        return None
    middle = (low + high) // 2
    return tree_of(low, middle), middle, tree_of(middle + 1, high)


def test_a_recursive_walk_yields_from_every_depth():
    """No yield from on the way."""
    assert list(generator(visit)(tree_of(0, 100))) == list(range(100))


def test_two_walks_take_turns():
    """Each has its own frames."""
    walk = generator(visit)
    assert list(zip(walk(tree_of(0, 9)), walk(tree_of(0, 9)), strict=True)) == [(i, i) for i in range(9)]


def test_a_generator_consumes_another():
    """The inner one's values are its consumer's, not those of the consumer's consumer."""

    @generator
    def squares(n):
        for value in generator(visit)(tree_of(0, n)):
            yield_(value * value)

    assert list(squares(5)) == [0, 1, 4, 9, 16]


def test_generators_nest_deeply():
    """A chain of fifty filters: the sieve of Eratosthenes."""

    @generator
    def numbers(n):
        for i in range(2, n):
            yield_(i)

    @generator
    def without(prime, candidates):
        for candidate in candidates:
            if candidate % prime:
                yield_(candidate)

    def primes(n):
        candidates, found = numbers(n), []
        while (prime := next(candidates, None)) is not None:
            found.append(prime)
            candidates = without(prime, candidates)
        return found

    assert primes(60) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59]


def test_a_yield_beneath_a_c_call_keeps_the_stack():
    """A yield_ beneath sorted(key=...) yields, and gets what is sent; meanwhile the generator cannot be copied."""

    @generator
    def body():
        return sorted([3, 1, 2], key=yield_)

    one = body()
    assert [next(one), one.send(-3)] == [3, 1]
    with pytest.raises(FiberError, match=r"behind a C call: sorted\(\)"):
        copy.copy(one)
    assert one.send(-1) == 2
    with pytest.raises(StopIteration) as stop:
        one.send(-2)
    assert stop.value.value == [3, 2, 1]


def test_yield_in_a_plain_fiber_is_refused():
    """A fiber in between that is no generator: the error names it, and both can go on."""

    def inner():
        try:
            yield_(1)
        except FiberError as error:
            return str(error)

    @generator
    def body():
        yield_(Fiber(inner).resume())

    assert next(body()).startswith("yield_() reaches no generator: the innermost fiber, <Fiber")


def test_a_generator_is_a_fiber():
    """suspend, current, frames and status know it."""

    @generator
    def body():
        yield_(current() is one)
        suspend("plain suspend")

    one = body()
    assert (next(one), next(one), one.status) == (True, "plain suspend", "suspended")
    assert [frame.code.co_name for frame in one.frames] == ["body"]
    assert one.resume() is None
    assert one.status == "dead"


def test_a_fiber_can_suspend_beneath_no_generators_loop():
    """A for loop over a generator is a C call for what runs inside of the generator, not for the loop's own body."""

    @generator
    def numbers():
        yield_(1)
        yield_(2)

    def consume():
        return [suspend(n) for n in numbers()]

    fiber = Fiber(consume)
    assert (fiber.resume(), fiber.resume("a"), fiber.resume("b")) == (1, 2, ["a", "b"])


def test_a_thousand_deep_chain_yields_a_million_times_in_place():
    """What lies beneath does not move: the innermost frame is the same each time."""

    def down(depth):
        if depth:
            return down(depth - 1)
        for i in range(2000):
            yield_(i)

    assert sum(generator(down)(500)) == sum(range(2000))
