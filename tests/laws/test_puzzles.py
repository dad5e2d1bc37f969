"""Published puzzles that cross operators (yin-yang and amb stand with call_cc)."""

import gc
import itertools
import weakref

import pytest

from laws.operators import Log, call_cc, control, effect, shift, travelled
from stackful import Coroutine, Fiber, generator, handle, perform, prompt, reset, run, suspend, transfer, yield_

pytestmark = pytest.mark.five_ways

TREE = ((1, (2, 3)), 4)
SAME = (1, ((2,), (3, 4)))
OTHER = (1, (3, 2), 4)


def walk(tree, give):
    """An ordinary recursion."""
    if isinstance(tree, tuple):
        for part in tree:
            walk(part, give)
    else:
        give(tree)


def by_fiber(tree):
    fiber = Fiber(walk, tree, suspend)
    while True:
        leaf = fiber.resume()
        if fiber.status == "dead":
            return
        yield leaf
        fiber = travelled(fiber)


def by_generator(tree):
    return generator(walk)(tree, yield_)


def by_coroutine(tree):
    def body():
        walk(tree, lambda leaf: transfer(consumer, leaf))
        transfer(consumer, "end")

    def consume():
        while (leaf := transfer(producer)) != "end":
            suspend(leaf)

    producer, consumer = Coroutine(body), Coroutine(consume)
    while (leaf := consumer.resume()) is not None:
        yield leaf
    producer.close()


def by_shift(tree):
    step = reset(lambda: [walk(tree, lambda leaf: shift(lambda k: (leaf, k))), None][1])
    while step is not None:
        yield step[0]
        step = step[1]()


def by_control(tree):
    step = prompt(lambda: [walk(tree, lambda leaf: control(lambda k: (leaf, k))), None][1])
    while step is not None:
        yield step[0]
        step = prompt(step[1])


def by_call_cc(tree):
    def begin(back):
        walk(tree, lambda leaf: jump_back(leaf, back))
        back_of[0](None)

    def jump_back(leaf, back):
        back_of[0] = call_cc(lambda k: back_of[0]((leaf, k)))

    back_of = Log([None])

    def enter(back, step):
        back_of[0] = back
        return begin(back) if step is None else step(back)

    step = run(lambda: call_cc(lambda back: enter(back, None)))
    while step is not None:
        yield step[0]
        step = run(lambda: call_cc(lambda back: enter(back, step[1])))  # noqa: B023


@effect
def leaf_found(leaf: object) -> None: ...


def by_effect(tree):
    step = handle(
        lambda: [walk(tree, lambda leaf: perform(leaf_found, leaf)), None][1],
        leaf_found.once(lambda k, leaf: (leaf, k)),
    )
    while step is not None:
        yield step[0]
        step = step[1].resume(None)


WALKS = [by_fiber, by_generator, by_coroutine, by_shift, by_control, by_call_cc, by_effect]


@pytest.mark.parametrize("one", WALKS)
@pytest.mark.parametrize("other", WALKS)
def test_same_fringe_by_any_two_operators(one, other):
    """Hewitt's puzzle: two recursions side by side, each made a stream in its own way."""

    def same(a, b):
        return all(x == y for x, y in itertools.zip_longest(one(a), other(b)))

    assert list(one(TREE)) == list(other(SAME)) == [1, 2, 3, 4]
    assert same(TREE, SAME)
    assert not same(TREE, OTHER)


# Re-entering loops that build a result: R7RS on map


def mapped_by_loop(f, items):
    result = []
    for item in items:
        result = [*result, f(item)]
    return result


def mapped_by_comprehension(f, items):
    return [f(item) for item in items]


def mapped_by_recursion(f, items):
    return [f(items[0]), *mapped_by_recursion(f, items[1:])] if items else []


def mapped_by_dict(f, items):
    return [*{i: f(item) for i, item in enumerate(items)}.values()]


def mapped_by_appending(f, items):
    result = Log()  # one list on the heap, which every way through writes to: not what map may do
    for item in items:
        result.append(f(item))
    return list(result)


MAPS = [mapped_by_loop, mapped_by_comprehension, mapped_by_recursion, mapped_by_dict]


def re_entered(mapping):
    """The result of a map, and of going back into the middle of it twice."""
    kept, results = Log(), Log()

    def f(x):
        return call_cc(lambda k: [kept.append(k), x][1]) if x == 2 else x

    def main():
        results.append(mapping(f, (1, 2, 3)))
        if len(results) < 3:
            kept[0](20 * len(results))
        return list(results)

    return run(main)


@pytest.mark.parametrize("mapping", MAPS)
def test_going_back_into_a_map_changes_no_earlier_result(mapping):
    """R7RS: "if multiple returns occur from map, the values returned by earlier returns are not mutated"."""
    assert re_entered(mapping) == [[1, 2, 3], [1, 20, 3], [1, 40, 3]]


def test_a_map_by_appending_is_caught_by_the_same_test():
    """A list that is appended to is shared by all ways through, in Python as in Scheme."""
    assert re_entered(mapped_by_appending) == [[1, 2, 3], [1, 2, 3, 20, 3], [1, 2, 3, 20, 3, 40, 3]]


def test_letrec_by_call_cc():
    """R7RS: going back into an initialisation: a variable that is assigned later is as it was at the capture."""

    def main():
        kept = Log()
        x = 0
        y = call_cc(lambda k: [kept.append(k), 1][1])
        before, x = x, 10
        return (before, x, y) if y == 2 else kept[0](2)

    assert run(main) == (0, 10, 2)


def test_the_mondo_bizarro_puzzle():
    """It writes 11213 (`k` must be a variable that no inner function uses: those are on the heap, and shared by all ways through, which would not end)."""
    out = Log()

    def mondo_bizarro():
        k = call_cc(lambda c: c)
        out.append(1)
        give_to(k)
        out.append(2)
        give_to(k)
        out.append(3)

    def give_to(k):
        call_cc(lambda c: k(c))

    run(mondo_bizarro)
    assert out == [1, 1, 2, 1, 3]


def test_call_cc_of_call_cc():
    """((call/cc call/cc) (lambda (x) x)) and (call/cc (lambda (k) (k k))): each is what its continuation is given."""

    def identity(value):
        return value

    assert run(lambda: call_cc(call_cc)(identity)) is identity
    found = run(lambda: call_cc(lambda k: k(k)))
    assert run(lambda: found("through")) == "through"


# The memory test of Kiselyov's "An argument against call/cc"


class Item:
    """Something that can be seen to be gone."""

    alive = 0

    def __init__(self):
        Item.alive += 1

    def __del__(self):
        Item.alive -= 1


def peak(stream):
    """How many items are alive at most while a long stream is consumed one by one."""
    gc.collect()
    most, start = 0, Item.alive
    for i, _ in enumerate(stream):
        if i % 50 == 10:
            gc.collect()
            most = max(most, Item.alive - start)
    return most


def produce(n, give):
    for _ in range(n):
        give(Item())


def items_by_fiber(n):
    fiber = Fiber(produce, n, suspend)
    while (item := fiber.resume()) is not None:
        yield item


def items_by_shift(n):
    step = reset(lambda: [produce(n, lambda item: shift(lambda k: (item, k))), None][1])
    while step is not None:
        yield step[0]
        step = step[1]()


def items_by_call_cc(n):
    back_of = Log([None])

    def jump_back(item):
        back_of[0] = call_cc(lambda k: back_of[0]((item, k)))

    def enter(back, step):
        back_of[0] = back
        if step is not None:
            step(back)
        produce(n, jump_back)
        back_of[0](None)

    step = run(lambda: call_cc(lambda back: enter(back, None)))
    while step is not None:
        item, k = step
        del step
        yield item
        del item
        step = run(lambda: call_cc(lambda back: enter(back, k)))  # noqa: B023


@pytest.mark.parametrize("items", [items_by_fiber, items_by_shift, items_by_call_cc])
def test_a_stream_holds_no_more_than_what_is_in_hand(items):
    """However long: what the consumer has passed is gone, for a continuation ends at its prompt."""
    few, many = peak(items(20)), peak(items(200))
    assert many <= few < 8


def test_a_dropped_stream_is_freed_in_the_middle():
    """Nothing keeps the producer's frames when nobody can ask for the next item."""
    item = Item()
    gone = weakref.ref(item)

    def body(held):
        shift(lambda k: k)
        return held

    k = reset(lambda item=item: body(item))
    del item
    assert k
    del k
    gc.collect()
    assert gone() is None
