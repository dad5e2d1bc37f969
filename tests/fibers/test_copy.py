"""copy.copy gives a second continuation: frames copied, heap shared, running iterators forked."""

import copy
import itertools
import sys
import weakref

import pytest

from stackful import Fiber, FiberError, suspend


def started(body, *arguments):
    fiber = Fiber(body, *arguments)
    fiber.resume()
    return fiber


def loop(iterable):
    seen = []
    for x in iterable:
        seen = [*seen, suspend(x)]
    return seen


def rest(fiber):
    while fiber.status != "dead":
        value = fiber.resume("v")
        if fiber.status != "dead":
            yield value


def nested(n):
    if n:
        return [n, *nested(n - 1)]
    return [suspend("bottom")]


class Sequence:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return range(4)[index]


ITERABLES = {
    "list": lambda: [1, 2, 3, 4],
    "tuple": lambda: (1, 2, 3, 4),
    "range": lambda: range(4),
    "long range": lambda: range(2**70, 2**70 + 4),
    "str": lambda: "abcd",
    "str not ascii": lambda: "äöüß",
    "bytes": lambda: b"abcd",
    "bytearray": lambda: bytearray(b"abcd"),
    "dict": lambda: dict.fromkeys("abcd"),
    "values": lambda: dict(a=1, b=2, c=3, d=4).values(),
    "items": lambda: dict(a=1, b=2, c=3, d=4).items(),
    "set": lambda: {1, 2, 3, 4},
    "frozenset": lambda: frozenset("abcd"),
    "reversed list": lambda: reversed([1, 2, 3, 4]),
    "reversed dict": lambda: reversed(dict.fromkeys("abcd")),
    "reversed sequence": lambda: reversed(Sequence()),
    "sequence": Sequence,
    "enumerate": lambda: enumerate("abcd"),
    "zip": lambda: zip("abcd", [1, 2, 3, 4]),
    "zip of maps": lambda: zip(map(str, range(4)), enumerate("abcd")),
    "map": lambda: map(abs, [1, 2, 3, 4]),
    "filter": lambda: filter(None, [0, 1, 2, 3, 4]),
    "generator": lambda: (x * x for x in [1, 2, 3, 4]),
    "nested generators": lambda: (y for y in (x for x in enumerate("abcd"))),
}


@pytest.mark.parametrize("name", list(ITERABLES))
def test_a_loop_goes_on_independently_in_both(name):
    """Original and copy each see all that is left of the loop."""
    expected = list(ITERABLES[name]())[1:]
    fiber = started(loop, ITERABLES[name]())
    twin = copy.copy(fiber)
    assert list(rest(twin)) == expected
    assert list(rest(fiber)) == expected


@pytest.mark.parametrize("start", [sys.maxsize - 1, sys.maxsize, sys.maxsize + 1, 2**70])
@pytest.mark.parametrize("step", [1, 3, -1])
def test_a_loop_over_large_numbers_is_copied(start, step):
    """Where CPython's own `count.__reduce__` fails: at the largest number of a machine word."""
    fiber = started(loop, itertools.count(start, step))
    twin = copy.copy(fiber)
    assert [twin.resume("x"), fiber.resume("x"), twin.resume("x")] == [start + step, start + step, start + 2 * step]


def test_any_number_of_copies():
    """Copies of copies go on alike."""
    fibers = [started(nested, 3)]
    for _ in range(5):
        fibers.append(copy.copy(fibers[-1]))
    assert [fiber.resume("x") for fiber in fibers] == [[3, 2, 1, "x"]] * 6


def test_the_original_goes_on_first_or_last():
    """The order in which original and copy run does not matter."""
    fiber = started(nested, 2)
    twin = copy.copy(fiber)
    assert [fiber.resume("a"), twin.resume("b")] == [[2, 1, "a"], [2, 1, "b"]]


def test_the_heap_is_shared():
    """What locals refer to is one and the same in both."""

    def body(shared):
        suspend()
        shared.append(1)

    shared = []
    fiber = started(body, shared)
    copy.copy(fiber).resume()
    fiber.resume()
    assert shared == [1, 1]


def test_cells_are_shared():
    """Variables of closures are heap, hence shared (as in Scheme)."""

    def body():
        count = 0

        def step():
            nonlocal count
            count += 1
            return count

        suspend()
        return step()

    fiber = started(body)
    twin = copy.copy(fiber)
    assert [fiber.resume(), twin.resume()] == [1, 2]


def test_half_built_displays_are_forked():
    """A list, set or dict under construction is each continuation's own."""

    def body():
        return [suspend(x) for x in "ab"], {k: suspend(k) for k in "ab"}, {suspend(x) for x in "ab"}

    fiber = started(body)
    while fiber.status != "dead":
        twin = copy.copy(fiber)
        list(rest(twin))
        fiber.resume("f")
    assert fiber.result == (["f", "f"], {"a": "f", "b": "f"}, {"f"})
    assert twin.result == (["f", "f"], {"a": "f", "b": "f"}, {"f", "v"})


def test_a_local_that_names_a_forked_iterator_names_the_fork():
    """The same iterator as a local and in a loop stays the same in the copy."""

    def body():
        iterator = iter([1, 2, 3, 4])
        for x in iterator:
            suspend(x)
            return next(iterator)

    fiber = started(body)
    twin = copy.copy(fiber)
    assert [fiber.resume(), twin.resume()] == [2, 2]


@pytest.mark.parametrize("name", ["str_ascii_iterator", "itertools.chain", "coroutine_wrapper"])
def test_an_iterator_of_a_class_is_shared_whatever_its_name(name):
    """A class written in Python is no iterator of CPython's: not even where it has the name of one."""

    class Letters:
        __slots__ = ("__weakref__", "letters")

        def __init__(self):
            self.letters = iter("abc")

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.letters)

    def body(letters):
        for letter in letters:
            suspend(letter)

    members = {key: value for key, value in vars(Letters).items() if key not in Letters.__slots__}
    letters = type(name, (), members)()
    alive = weakref.ref(letters)
    fiber = Fiber(body, letters)
    assert fiber.resume() == "a"
    twin = copy.copy(fiber)
    assert twin.resume() == "b"
    assert fiber.resume() == "c"
    del twin
    assert alive() is letters


def test_a_fresh_fiber_can_be_copied():
    """Both begin with the same arguments."""
    fiber = Fiber(divmod, 7, 2)
    assert [copy.copy(fiber).resume(), fiber.resume()] == [(3, 1), (3, 1)]


def test_a_dead_fiber_can_be_copied():
    """The copy has the same result."""
    fiber = Fiber(int)
    fiber.resume()
    assert copy.copy(fiber).result == 0


def test_a_copy_is_of_the_same_type():
    """Subclasses are kept."""

    class Special(Fiber):
        pass

    assert type(copy.copy(Special(int))) is Special


def test_dropping_a_copy_runs_no_finally():
    """Only the original runs its finally blocks when merely dropped (D4)."""
    log = []

    def body():
        try:
            suspend()
        finally:
            log.append("finally")

    fiber = started(body)
    copy.copy(fiber)
    assert log == []
    copy.copy(fiber).close()
    assert log == ["finally"]


def test_a_failing_copy_leaves_the_original_as_it_was():
    """When an iterator cannot be forked the error comes out of copy, and the fiber goes on."""

    class Failing:
        fails = False

        def __iter__(self):
            if self.fails:
                raise KeyError("iter")
            return self

        def __next__(self):
            return 1

    shared = Failing()
    fiber = started(loop, zip("abc", shared, strict=False))
    shared.fails = True
    with pytest.raises(KeyError, match="iter"):
        copy.copy(fiber)
    assert fiber.status == "suspended"
    assert fiber.resume() == ("b", 1)


@pytest.mark.parametrize("act", ["resume", "close"])
def test_code_run_by_the_copy_cannot_use_the_fiber(act):
    """While a fiber is copied, resume and close are refused, and do no harm."""
    answers = []

    class Nosy:
        asks = False

        def __iter__(self):
            if Nosy.asks:
                Nosy.asks = False
                try:
                    getattr(fiber, act)()
                except FiberError as error:
                    answers.append(type(error))
            return self

        def __next__(self):
            return 1

    fiber = started(loop, zip("abc", Nosy(), strict=False))
    Nosy.asks = True
    twin = copy.copy(fiber)
    assert answers == [FiberError]
    assert (fiber.resume(), twin.resume()) == (("b", 1), ("b", 1))


def test_generator_whose_function_has_other_code_is_refused():
    """A generator cannot be forked when its function's __code__ was replaced; the fiber goes on."""

    def generator():
        yield from (1, 2, 3)

    def other():
        yield 0

    fiber = started(loop, generator())
    generator.__code__ = other.__code__
    with pytest.raises(TypeError, match="another __code__"):
        copy.copy(fiber)
    assert fiber.resume() == 2
