"""The equations of choice, by observation: both sides have the same solutions in the same order (depth-first: the list monad's laws).

Sources: McCarthy, "A Basis for a Mathematical Theory of Computation" (1963); Wadler, "How to Replace Failure by a List of Successes" (1985).
"""

import copy
import pickle

import pytest

from stackful import choose, fail, solutions
from stackful.search import breadth_first, depth_first, explore

pytestmark = pytest.mark.three_ways


def all_of(program):
    return list(solutions(program))


def test_choosing_from_one_is_no_choice():
    """choose([x]) = x."""
    assert all_of(lambda: choose([5]) + 1) == all_of(lambda: 5 + 1)


def test_failure_is_the_empty_choice():
    """choose([]) = fail(), before, between and after other choices."""
    for one, other in (
        (lambda: choose([]), fail),
        (lambda: (choose([1, 2]), choose([])), lambda: (choose([1, 2]), fail())),
    ):
        assert all_of(one) == all_of(other) == []


def test_what_follows_distributes_over_a_choice():
    """E[choose(xs)] = E[x] for x in xs."""

    def context(value):
        return value, choose("ab"), value

    assert all_of(lambda: context(choose([1, 2]))) == all_of(lambda: context(1)) + all_of(lambda: context(2))


def test_choices_nest_as_lists_are_joined():
    """Choose over choices is the choice over all of them, in order."""

    def nested():
        return choose([1, 2]) if choose([True, False]) else choose([3, 4])

    assert all_of(nested) == all_of(lambda: choose([1, 2, 3, 4]))


def test_failing_options_are_as_if_they_were_not_there():
    """choose(xs) with a condition is choose of those that meet it."""

    def even():
        number = choose(range(10))
        return number if number % 2 == 0 else fail()

    assert all_of(even) == all_of(lambda: choose(range(0, 10, 2)))


@pytest.mark.parametrize(
    "change",
    [lambda b: b, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))],
    ids=["as it is", "deepcopy", "pickle"],
)
def test_each_branch_is_the_rest_of_the_program(change):
    """Taken by hand, in any order, copied or pickled: the same as taken by a strategy."""

    def program_in_steps():
        first = choose("ab")
        second = choose("cd")
        return first + second

    root = change(explore(program_in_steps))
    by_hand = [change(root.take(x)).take(y).value for x in "ba" for y in "dc"]
    assert sorted(by_hand) == sorted(all_of(program_in_steps)) == ["ac", "ad", "bc", "bd"]


def test_strategies_differ_in_order_only():
    """Every solution of a finite tree is found once by each."""

    def program():
        length = choose([1, 2, 3])
        word = ""
        while len(word) < length:
            word += choose("ab")
        return word

    depth, breadth = (list(solutions(program, strategy=strategy)) for strategy in (depth_first, breadth_first))
    assert sorted(depth) == sorted(breadth)
    assert [len(word) for word in breadth] == sorted(len(word) for word in depth)
