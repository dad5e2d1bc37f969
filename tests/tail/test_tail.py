"""tail_call: the frame is gone before the next function begins."""

import functools
import gc
import sys
import weakref

import pytest

from stackful import Fiber, suspend, tail_call, trampolined

pytestmark = pytest.mark.three_ways


@trampolined
def even(n):
    return True if n == 0 else tail_call(odd, n - 1)


@trampolined
def odd(n):
    return False if n == 0 else tail_call(even, n - 1)


def depth():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def test_mutual_calls_use_no_stack():
    """Far more of them than any stack holds."""
    assert even(20_001) is False


def test_the_stack_is_as_deep_at_the_end():
    """Every call of the loop sees the same depth."""

    @trampolined
    def loop(n, seen):
        seen.add(depth())
        return seen if n == 0 else tail_call(loop, n - 1, seen)

    assert len(loop(100, set())) == 1


def test_arguments_travel():
    """By position and by name, as many as there are."""

    @trampolined
    def first(*args, **kwargs):
        return tail_call(second, *args, **kwargs)

    @trampolined
    def second(*args, **kwargs):
        return args, kwargs

    for args in ((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)):
        assert first(*args) == (args, {})
        assert first(*args, key=5) == (args, {"key": 5})


def test_plain_functions_can_be_called_so():
    """C functions and classes too; what they return is the result."""

    @trampolined
    def begin(function, *args):
        return tail_call(function, *args)

    assert begin(sorted, [2, 1]) == [1, 2]
    assert begin(int, "7") == 7
    assert begin(lambda: "plain") == "plain"


def test_methods_can_be_trampolined():
    """Bound ones go on with their object."""

    class Counter:
        def __init__(self):
            self.count = 0

        @trampolined
        def up(self, n):
            self.count += 1
            return self.count if n == 0 else tail_call(self.up, n - 1)

    assert Counter().up(5000) == 5001


def test_continuation_passing_style_needs_no_stack():
    """A factorial whose continuation grows on the heap."""

    @trampolined
    def product(n, k):
        return tail_call(k, 1) if n == 0 else tail_call(product, n - 1, lambda r: tail_call(k, r * n % 1009))

    expected = 1
    for n in range(1, 3001):
        expected = expected * n % 1009
    assert product(3000, lambda r: r) == expected


def test_a_state_machine_is_a_set_of_functions():
    """Goto with arguments: even numbers of a and of b."""

    @trampolined
    def state(text, a=False, b=False):
        if not text:
            return not (a or b)
        return tail_call(state, text[1:], a ^ (text[0] == "a"), b ^ (text[0] == "b"))

    assert [state(text) for text in ("", "ab", "abba", "aabb", "aba")] == [True, False, True, True, False]


def test_arguments_of_calls_that_are_over_are_released():
    """Nothing is kept of the frames before."""

    class Held:
        pass

    watched = []

    @trampolined
    def begin():
        held = Held()
        watched[:] = [weakref.ref(held)]
        return tail_call(middle, held)

    @trampolined
    def middle(held):
        del held
        return tail_call(end)

    @trampolined
    def end():
        gc.collect()
        return watched[0]()

    assert begin() is None


def test_errors_leave_the_trampoline():
    """The function at hand raised it."""

    @trampolined
    def bad(n):
        return 1 // n if n == 0 else tail_call(bad, n - 1)

    with pytest.raises(ZeroDivisionError) as caught:
        bad(10)
    assert caught.traceback[-1].name == "bad"
    assert sum(entry.name == "bad" for entry in caught.traceback) == 1


@pytest.mark.parametrize(
    "use",
    [
        bool,
        list,
        len,
        hash,
        lambda t: t + 1,
        lambda t: 1 + t,
        lambda t: t(),
        lambda t: t.real,
        lambda t: t == 1,
        lambda t: t < 1,
    ],
    ids=range(10),
)
def test_using_a_tail_call_is_an_error(use):
    """It says what to write."""

    @trampolined
    def body():
        use(tail_call(even, 1))

    with pytest.raises(
        TypeError, match=r"<tail call of even> was not returned to a trampoline: write `return tail_call"
    ):
        body()


def test_a_suspension_crosses_the_trampoline():
    """It is plain Python."""

    @trampolined
    def loop(n):
        suspend(n)
        return "end" if n == 0 else tail_call(loop, n - 1)

    fiber = Fiber(lambda: loop(2))
    assert [fiber.resume() for _ in range(4)] == [2, 1, 0, "end"]


def test_the_decorated_function_is_still_itself():
    """Name and docstring."""
    assert even.__name__ == "even"
    assert even.__wrapped__(0) is True


def test_a_decorator_around_a_trampoline_is_called():
    """It is a function of its own, though functools.wraps gives it the trampoline's attributes."""
    seen = []

    def logged(function):
        @functools.wraps(function)
        def wrapper(n):
            seen.append(n)
            return function(n)

        return wrapper

    @logged
    @trampolined
    def count(n):
        return "done" if n == 0 else tail_call(count, n - 1)

    class Counter:
        @logged
        @trampolined
        def count(self):
            return tail_call(count, 1)

    assert count(2) == "done"
    assert seen == [2, 1, 0]
    counter = Counter()
    assert trampolined(lambda: tail_call(counter.count))() == "done"
    assert seen == [2, 1, 0, counter, 1, 0]


def test_what_is_no_function_is_refused_where_it_is_named():
    """Not later in the trampoline, where nobody knows any more who has returned it."""
    with pytest.raises(TypeError, match=r"tail_call\(function, ...\) takes a function, not 42"):
        tail_call(42)
    with pytest.raises(TypeError, match="trampolined takes a function, not 42"):
        trampolined(42)
