"""Kept stacks and the recursion limits, Python's and C's."""

import functools
import json
import sys

import pytest

from stackful import Fiber, suspend


@pytest.fixture(autouse=True)
def limit():
    """The recursion limit is as before after each test."""
    before = sys.getrecursionlimit()
    yield
    sys.setrecursionlimit(before)


def deep(n, act):
    """Call `act` beneath `n` frames."""
    return deep(n - 1, act) if n else act()


def room(n=0):
    """How many more frames there is room for."""
    try:
        return room(n + 1)
    except RecursionError:
        return n


def waits_in_sorted(n):
    """`n` frames, C code, and a suspension; then the frames that there is room for."""
    return deep(n, lambda: sorted([0], key=lambda _: suspend() or room()))


def test_frames_are_counted_as_they_are_wherever_the_fiber_goes_on():
    """What a kept fiber has on the stack counts on top of its resumer's frames; afterwards the resumer has what it had."""
    before = room()
    for begun, resumed in ((0, 0), (50, 10), (10, 50)):
        fiber = Fiber(waits_in_sorted, 20)
        deep(begun, fiber.resume)
        assert room() == before
        assert deep(resumed, fiber.resume) == [0]
        assert room() == before


def test_a_kept_fiber_has_the_room_that_its_resumer_leaves():
    """The deeper it is resumed from, the less it has."""

    def left(resumed):
        found = []
        fiber = Fiber(lambda: sorted([0], key=lambda _: suspend() or found.append(room()) or 0))
        fiber.resume()
        deep(resumed, fiber.resume)
        return found[0]

    # one frame more or less, as the calls at the end are specialised or not
    assert all(abs(left(10) - left(10 + n) - n) <= 1 for n in (10, 100, 200))


def test_where_there_is_no_room_for_its_frames_a_kept_fiber_is_not_resumed():
    """RecursionError, and it is as it was: it goes on from less deep, or with a higher limit."""
    base = sys.getrecursionlimit() - room()
    fiber = Fiber(waits_in_sorted, 300)
    fiber.resume()
    sys.setrecursionlimit(base + 200)
    for act in (fiber.resume, fiber.close, lambda: fiber.throw(KeyError)):
        with pytest.raises(RecursionError, match="no room for"):
            act()
        assert fiber.status == "suspended"
    sys.setrecursionlimit(base + 900)
    with pytest.raises(RecursionError, match="no room for"):
        deep(700, fiber.resume)
    assert fiber.resume() == [0]


def test_a_limit_changed_by_a_kept_fiber_is_the_new_limit():
    """It is no part of what is put away: both sides see the change."""
    before = sys.getrecursionlimit()

    def change(by):
        sys.setrecursionlimit(sys.getrecursionlimit() + by)
        suspend(sys.getrecursionlimit())
        return sys.getrecursionlimit()

    fiber = Fiber(lambda: max(map(change, [100])))
    here = room()
    assert fiber.resume() == before + 100 == sys.getrecursionlimit()
    assert room() == here + 100
    sys.setrecursionlimit(before + 50)
    assert fiber.resume() == before + 50
    assert room() == here + 50


class Endless:
    """Its methods call themselves by way of C."""

    def __getattr__(self, name):
        return getattr(self, name + "x")

    def __repr__(self):
        return repr([Endless()])

    def __eq__(self, other):
        return [Endless()] == [other]

    __hash__ = None

    def __call__(self):
        return functools.partial(self)()

    def __iter__(self):
        yield from Endless()


def nested(n):
    value = []
    for _ in range(n):
        value = [value]
    return value


OVERFLOWS = {
    "repr of a nested list": lambda: repr(nested(200_000)),
    "json": lambda: json.dumps(nested(200_000)),
    "json backwards": lambda: json.loads("[" * 200_000),
    "comparison of nested lists": lambda: nested(200_000) == nested(200_000),
    "__getattr__": lambda: Endless().a,
    "__repr__": lambda: repr(Endless()),
    "__eq__": lambda: Endless() == 1,
    "__call__": lambda: Endless()(),
    "yield from": lambda: list(Endless()),
}


@pytest.mark.no_leakcheck("a long traceback each time")
@pytest.mark.parametrize("name", OVERFLOWS)
def test_c_code_that_calls_itself_without_end_is_stopped_on_a_kept_stack(name):
    """RecursionError, in the fiber, after a suspension as before one; and the resumer has as much room as before."""
    caught = []

    def key(_):
        for _ in range(2):
            with pytest.raises(RecursionError):
                OVERFLOWS[name]()
            caught.append(suspend())
        return 0

    fiber = Fiber(lambda: sorted([0], key=key))
    before = room()
    while fiber.status != "dead":
        fiber.resume()
    assert (len(caught), fiber.result, room()) == (2, [0], before)


def test_deeply_nested_values_die_on_a_kept_stack():
    """Destructors that nest without end are put off there as elsewhere, on each stack by itself."""

    def key(_):
        value = nested(200_000)
        suspend()
        del value
        return suspend() or 0

    fibers = [Fiber(lambda: sorted([0], key=key)) for _ in range(3)]
    for _ in range(3):
        for fiber in fibers:
            fiber.resume()
    assert [fiber.result for fiber in fibers] == [[0]] * 3


def test_fibers_that_wait_in_c_code_of_each_other():
    """A kept stack within a kept stack, and so on, to the limit and back."""

    def nest(n):
        if n == 0:
            return suspend("innermost") or 0
        inner = Fiber(nest, n - 1)

        def key(_):
            value = inner.resume()
            while inner.status != "dead":
                value = inner.resume(suspend(value))
            return value

        (value,) = map(key, [0])
        return value + 1

    fiber = Fiber(nest, 40)
    assert fiber.resume() == "innermost"
    assert fiber.resume() == 40
    endless = Fiber(nest, 10_000_000)
    with pytest.raises(RecursionError):
        endless.resume()
    assert endless.status == "dead"
