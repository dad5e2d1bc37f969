"""choose, fail and cut, and the strategies that make programs guess right."""

import copy
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from stackful import Fiber, FiberError, choose, cut, effect, fail, handle, perform, resume, solutions, suspend
from stackful.search import Branch, best_first, breadth_first, depth_first, explore, parallel, require

pytestmark = pytest.mark.three_ways

STRATEGIES = [depth_first, breadth_first, best_first]


def pair(limit):
    a = choose(range(limit))
    b = choose(range(limit))
    require(a + b == limit)
    return a, b


def queens(size):
    rows = ()
    for column in range(size):
        row = choose(range(size))
        for earlier, taken in enumerate(rows):
            require(row != taken and abs(row - taken) != column - earlier)
        rows += (row,)
    return rows


def test_every_solution_is_found_in_order():
    """Depth-first: the first option to its end, then the next."""
    assert list(solutions(pair, 4)) == [(1, 3), (2, 2), (3, 1)]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: s.__name__)
@pytest.mark.parametrize(("size", "count"), [(4, 2), (5, 10), (6, 4)])
def test_all_strategies_find_the_same(strategy, size, count):
    """N queens: the order differs, the set does not."""
    found = list(solutions(queens, size, strategy=strategy))
    assert len(found) == count
    assert sorted(found) == sorted(solutions(queens, size))


def test_solutions_are_found_when_they_are_asked_for():
    """What comes behind the first is not computed."""
    seen = []

    def program():
        number = choose(range(10))
        seen.append(number)
        return number

    assert next(solutions(program)) == 0
    assert seen == [0]


def test_a_program_without_choices_is_its_own_solution():
    """Or has none."""
    for strategy in STRATEGIES:
        assert list(solutions(lambda: 7, strategy=strategy)) == [7]
        assert list(solutions(fail, strategy=strategy)) == []


def test_nothing_to_choose_from_is_failure():
    """(amb) of SICP."""
    assert list(solutions(lambda: choose([]))) == []


def test_one_option_is_no_fork():
    """It is taken."""
    assert list(solutions(lambda: choose("a") + choose("b"))) == ["ab"]


def test_choices_are_made_at_any_depth():
    """In a recursive program; options may come from anywhere."""

    def word(length):
        return "" if length == 0 else choose("ab") + word(length - 1)

    assert list(solutions(word, 3)) == ["".join(letters) for letters in itertools.product("ab", repeat=3)]


def test_local_variables_and_loops_are_each_branchs_own():
    """Lists are shared, as everything on the heap is."""
    shared = []

    def program():
        total = 0
        for digit in (1, 2, 3):
            total = 10 * total + digit * choose([1, 2])
        shared.append(total)
        return total

    assert list(solutions(program)) == [123, 126, 143, 146, 223, 226, 243, 246]
    assert len(shared) == 8


def test_finally_runs_at_the_end_of_each_branch():
    """Failing or not; options that are given up have nothing to clean up."""
    log = []

    def program():
        try:
            require(choose([1, 2, 3]) != 2)
        finally:
            log.append("end")

    assert list(solutions(program)) == [None, None]
    assert log == ["end"] * 3


def test_fail_works_beneath_c_calls():
    """Choose does not: it says so, and the program can go on."""

    def failing():
        return sorted([choose([1, 2])], key=lambda x: fail() if x == 1 else x)

    def choosing():
        try:
            return sorted("a", key=choose)
        except Exception as error:
            return type(error).__name__

    assert list(solutions(failing)) == [[2]]
    assert list(solutions(choosing)) == ["BarrierError"]


def test_choices_reach_through_fibers_that_are_resumed_within_the_search():
    """Each branch has a fiber of its own, with what it suspended with; by the method it is none of the search."""

    def inner():
        suspend(choose([1, 2]))
        a = choose([10, 20])
        require(a != 10)
        cut()
        return a

    def program():
        fiber = Fiber(inner)
        return resume(fiber), resume(fiber), fiber.status

    assert list(solutions(program)) == [(1, 20, "dead")]
    with pytest.raises(FiberError, match="runs here, and is none"):
        next(solutions(lambda: Fiber(choose, [1]).resume()))


@pytest.mark.parametrize(("name", "call"), [("choose", lambda: choose([1])), ("fail", fail), ("cut", cut)])
def test_outside_of_a_search_they_are_errors(name, call):
    """Also in a fiber that is no search."""
    for run in (call, lambda: Fiber(lambda: call()).resume()):
        with pytest.raises(FiberError, match=rf"{name}\(\) outside of any search"):
            run()


def test_errors_of_a_program_leave_the_search():
    """Only failure is failure."""

    def program():
        return 1 // choose([1, 0])

    found = solutions(program)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)


def test_a_plain_suspend_means_nothing_in_a_search():
    """FiberError."""
    with pytest.raises(FiberError, match="in a program that is searched"):
        list(solutions(lambda: suspend(1)))


def test_handlers_in_a_program_are_forked_with_it():
    """Choosing beneath handle; and the state of handlers is each branch's own."""

    @effect
    def add(n: int) -> int: ...

    def program():
        perform(add, choose([1, 2]))
        perform(add, choose([10, 20]))

    def counted():
        return handle(program, add.update(lambda s, n: (None, s + n)), state=0, returns=lambda _, s: s)

    assert list(solutions(counted)) == [11, 21, 12, 22]


# cut


def test_cut_gives_up_what_was_not_taken():
    """The choices made so far are final; later ones are not."""

    def program():
        a = choose([1, 2, 3])
        require(a > 1)
        cut()
        return a, choose("xy")

    assert list(solutions(program)) == [(2, "x"), (2, "y")]


def test_cut_and_fail_is_failure_of_the_whole():
    """Prolog's !, fail."""

    def program():
        if choose([True, False]):
            cut()
            fail()
        return "never"

    for strategy in STRATEGIES:
        assert list(solutions(program, strategy=strategy)) == []


def test_a_search_within_the_program_is_the_scope_of_its_cuts():
    """next(solutions(part)) is Prolog's once."""

    def part():
        number = choose([1, 2, 3])
        cut()
        return number

    def program():
        return choose("ab"), next(solutions(part)), choose("cd")

    assert list(solutions(program)) == [(x, 1, y) for x in "ab" for y in "cd"]


# Strategies


def test_breadth_first_finds_what_lies_beside_a_path_without_end():
    """Depth-first would not."""

    def program():
        if choose([True, False]):
            while True:
                require(choose([True, False]))
        return "found"

    assert next(solutions(program, strategy=breadth_first)) == "found"


def test_best_first_finds_the_cheapest_first():
    """Dijkstra over a graph that a program walks."""
    roads = {
        "a": {"b": 7, "c": 9, "f": 14},
        "b": {"c": 10, "d": 15},
        "c": {"d": 11, "f": 2},
        "d": {"e": 6},
        "f": {"e": 9},
    }

    def route():
        place, way = "a", "a"
        while place != "e":
            place = choose(roads[place], cost=roads[place].get)
            way += place
        return way

    found = list(best_first(explore(route)))
    assert (found[0].value, found[0].cost) == ("acfe", 20)
    assert [branch.cost for branch in found] == sorted(branch.cost for branch in found)
    assert {branch.value for branch in found} == set(solutions(route))


# Branches


def test_a_branch_can_be_taken_again_and_again():
    """Taking an option leaves it as it is."""
    root = explore(pair, 3)
    assert root.options == (0, 1, 2)
    assert [root.take(1).take(2).value for _ in range(3)] == [(1, 2)] * 3
    assert root.take(0).take(0).is_failed
    with pytest.raises(ValueError, match="9 is not among the options"):
        root.take(9)


@pytest.mark.parametrize("how", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["deepcopy", "pickle"])
def test_a_branch_travels(how):
    """Deep-copied or pickled it leads to the same solutions."""
    branch = explore(queens, 5).take(1)
    twin = how(branch)
    assert isinstance(twin, Branch)
    assert (
        [b.value for b in depth_first(twin)]
        == [b.value for b in depth_first(branch)]
        == [(1, 3, 0, 2, 4), (1, 4, 2, 0, 3)]
    )


def test_a_branch_tells_what_it_is():
    """Waiting, solved or failed."""
    root = explore(pair, 2)
    assert [repr(root), repr(root.take(0).take(1)), repr(root.take(1).take(1))] == [
        "<Branch of 2 options>", "<Branch failed>", "<Branch solved: (1, 1)>"
    ]  # fmt: skip


# parallel


def first_half_cuts(limit):
    number = choose(range(limit))
    letter = choose("abcdefgh")
    if number == limit // 2:
        cut()
    return number, letter


@pytest.mark.parametrize("workers", [1, 3])
def test_parallel_finds_what_depth_first_finds_in_its_order(workers):
    """The branches are pickled, whoever finishes them."""
    with ThreadPoolExecutor(workers) as pool:
        assert list(parallel(queens, 6, executor=pool, workers=workers)) == list(solutions(queens, 6))
        assert list(parallel(pair, 3, executor=pool)) == [(1, 2), (2, 1)]
        assert list(parallel(fail, executor=pool)) == []
        assert list(parallel(lambda: 1, executor=pool)) == [1]


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_parallel_cuts_as_depth_first_does(workers):
    """What lies to the right of a cut is given up, in which process ever it was."""
    with ThreadPoolExecutor(2) as pool:
        assert list(parallel(first_half_cuts, 6, executor=pool, workers=workers)) == list(solutions(first_half_cuts, 6))


def one_raises(limit):
    number = choose(range(limit))
    letter = choose("ab")
    if (number, letter) == (limit // 2, "b"):
        raise ValueError(number)
    return number, letter


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_parallel_raises_where_depth_first_does(workers):
    """The solutions before an exception are given first, then it is raised, in which process ever it was."""

    def before(found):
        seen = []
        with pytest.raises(ValueError, match="3"):
            for value in found:
                seen.append(value)  # noqa: PERF402 - what was found before the exception is kept
        return seen

    with ThreadPoolExecutor(2) as pool:
        assert before(parallel(one_raises, 6, executor=pool, workers=workers)) == before(solutions(one_raises, 6)) != []
