"""Copies, deep copies and pickles of stackful generators."""

import copy
import gc
import pickle

import pytest

from stackful import Fiber, Generator, generator, snapshot, suspend, yield_

pytestmark = pytest.mark.three_ways


def walk(items, log):
    try:
        for item in items:
            visit(item)
    finally:
        log.append("end")
    return "result"


def visit(item):
    if isinstance(item, list):
        for part in item:
            visit(part)
    else:
        yield_(item)


make = generator(walk)
NESTED = [1, [2, [3]], 4]

COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda g: pickle.loads(pickle.dumps(g)),
    "snapshot": lambda g: snapshot.loads(snapshot.dumps(g)),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("at", range(6))
def test_a_copy_goes_on_where_the_original_stands(how, at):
    """Before the first value, between any two, and after the last."""
    one = make(NESTED, [])
    seen = [value for _, value in zip(range(at), one)]
    if at > len(seen):
        list(one)
    other = COPIES[how](one)
    assert type(other) is Generator
    assert seen + list(other) == [1, 2, 3, 4]
    assert seen + list(one) == [1, 2, 3, 4]


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_keeps_the_protocol(how):
    """StopIteration with the value; names; repr."""
    one = make(NESTED, [])
    next(one)
    other = COPIES[how](one)
    assert other.__name__ == "walk"
    with pytest.raises(StopIteration) as stop:
        while True:
            next(other)
    assert stop.value.value == "result"


def test_a_running_loop_is_forked():
    """The iterators on the evaluation stack are the copy's own; the list is shared."""
    items = [1, 2, 3]
    one = make(items, [])
    next(one)
    other = copy.copy(one)
    items.append(4)
    assert (list(one), list(other)) == ([2, 3, 4], [2, 3, 4])


def test_a_dropped_copy_runs_no_finally():
    """Only the original is closed when it is dropped; close() closes either."""
    log = []
    one = make(NESTED, log)
    next(one)
    other = copy.copy(one)
    del other
    gc.collect()
    assert log == []
    third = copy.copy(one)
    third.close()
    assert log == ["end"]
    del one
    assert log == ["end", "end"]


def test_a_stackful_generator_under_a_loop_is_forked_with_its_fiber():
    """As a plain generator is (D3): each copy of the consumer has its own rest of the values."""

    def consume():
        total = 0
        for value in make([1, 2, 3], []):
            total += value * suspend(value)
        return total

    fiber = Fiber(consume)
    fiber.resume()
    other = copy.copy(fiber)

    def finish(fiber, factor):
        while fiber.status == "suspended":
            result = fiber.resume(factor)
        return result

    assert (finish(fiber, 1), finish(other, 10)) == (6, 60)


def test_a_generator_in_a_cycle_is_collected_and_closed():
    """The collector finds it, and its finally runs."""
    log = []

    def body(box):
        try:
            yield_(box)
        finally:
            log.append("closed")

    box = []
    box.append(generator(body)(box))
    next(box[0])
    del box
    gc.collect()
    assert log == ["closed"]
