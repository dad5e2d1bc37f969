"""A stackful generator has the manners of a plain one: every test runs both, and they do the same."""

import sys

import pytest

from stackful import FiberError, generator, yield_

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


class Pair:
    """A generator function said twice, with `yield` and with `yield_` in a nested call."""

    def __init__(self, plain, stackful):
        self.plain, self.stackful = plain, generator(stackful)


def handed_on(value):
    """`yield_` at a second depth."""
    return yield_(value)


def plain_counter(n):
    for i in range(n):
        yield i
    return "end"


def stackful_counter(n):
    for i in range(n):
        handed_on(i)
    return "end"


def plain_echo():
    got = None
    while True:
        try:
            got = yield got
        except ValueError as error:
            got = f"caught {error}"


def stackful_echo():
    got = None
    while True:
        try:
            got = handed_on(got)
        except ValueError as error:
            got = f"caught {error}"


def plain_stubborn():
    """It ends only when it is closed a second time."""
    try:
        yield 1
    except GeneratorExit:
        yield 2


def stackful_stubborn():
    """It ends only when it is closed a second time."""
    try:
        handed_on(1)
    except GeneratorExit:
        handed_on(2)


def plain_stopper(error):
    yield 1
    raise error


def stackful_stopper(error):
    handed_on(1)
    raise error


def plain_cleaner(log):
    try:
        yield 1
        yield 2
    finally:
        log.append("cleaned")


def stackful_cleaner(log):
    try:
        handed_on(1)
        handed_on(2)
    finally:
        log.append("cleaned")


def plain_returns(value):
    return value
    yield


def stackful_returns(value):
    return value


COUNTER = Pair(plain_counter, stackful_counter)
ECHO = Pair(plain_echo, stackful_echo)
STUBBORN = Pair(plain_stubborn, stackful_stubborn)
STOPPER = Pair(plain_stopper, stackful_stopper)
CLEANER = Pair(plain_cleaner, stackful_cleaner)
RETURNS = Pair(plain_returns, stackful_returns)


def told(function, *arguments):
    """What a call did, comparable."""
    try:
        return "returned", function(*arguments)
    except BaseException as error:
        cause = error.__cause__
        return "raised", type(error), error.args, type(cause), getattr(cause, "args", None)


def anew(error):
    """Raised again and again, the same exception would gather traceback entries."""
    return type(error)(*error.args)


def same(pair, story, *arguments):
    """Both variants tell the same story; it is returned."""
    plain, ours = story(pair.plain(*arguments)), story(pair.stackful(*arguments))
    assert plain == ours
    return ours


def test_iteration_gives_what_is_yielded():
    """A for loop, list() and unpacking see the same values."""
    assert same(COUNTER, list, 4) == [0, 1, 2, 3]
    assert same(COUNTER, lambda g: [x * 2 for x in g], 3) == [0, 2, 4]


def test_it_is_its_own_iterator():
    """iter() returns the generator."""
    one = COUNTER.stackful(1)
    assert iter(one) is one


def test_nothing_runs_before_the_first_next():
    """Calling a generator function runs none of its body."""
    log = []
    generator(log.append)(1)
    assert log == []


def test_the_returned_value_is_in_stop_iteration():
    """`return value` raises StopIteration(value), once; later it is bare."""
    story = same(COUNTER, lambda g: [told(next, g) for _ in range(4)], 1)
    assert story[1] == ("raised", StopIteration, ("end",), type(None), None)
    assert story[2] == ("raised", StopIteration, (), type(None), None)


@pytest.mark.parametrize("value", [None, 7, (1, 2), (), ValueError("v"), StopIteration(3)], ids=repr)
def test_any_value_can_be_returned(value):
    """Tuples and exceptions too: StopIteration.value is the very object."""

    def story(g):
        try:
            next(g)
        except StopIteration as stop:
            return stop.value

    assert same(RETURNS, story, value) is value


@pytest.mark.parametrize("value", [None, 7, (1, 2)], ids=repr)
def test_yield_from_takes_the_returned_value(value):
    """`yield from` a stackful generator in a plain one is its value."""

    def around():
        return (yield from RETURNS.stackful(value))

    with pytest.raises(StopIteration) as stop:
        next(around())
    assert stop.value.value == value


def test_send_is_what_the_yield_returns():
    """Values go in and come out; next() sends None."""
    story = same(ECHO, lambda g: [next(g), g.send(1), g.send("two"), next(g)])
    assert story == [None, 1, "two", None]


def test_the_first_send_takes_no_value():
    """A generator that has not begun refuses a value, and is as it was."""
    story = same(ECHO, lambda g: [told(g.send, 1), told(g.send, None), told(g.send, 2)])
    assert story[0][1] is TypeError


def test_throw_raises_at_the_yield():
    """The body catches it and yields again."""
    story = same(ECHO, lambda g: [next(g), g.throw(ValueError("it")), told(g.throw, KeyError("k")), told(next, g)])
    assert story[1] == "caught it"


def test_throw_takes_classes():
    """A class is called; an uncaught exception ends the generator."""
    same(ECHO, lambda g: [next(g), g.throw(ValueError), told(g.throw, KeyError), told(next, g)])


@pytest.mark.parametrize(
    "arguments",
    [
        lambda: (ValueError, "text"),
        lambda: (ValueError, ("a", "b")),
        lambda: (ValueError, ValueError("own")),
        lambda: (ValueError, None, None),
    ],
    ids=["text", "tuple", "instance", "nothing"],
)
@pytest.mark.filterwarnings("ignore:the \\(type, exc, tb\\) signature:DeprecationWarning")
def test_throw_takes_the_old_three_arguments(arguments):
    """Type and value make the exception, as plain generators make it."""
    same(ECHO, lambda g: [next(g), told(g.throw, *arguments())])


@pytest.mark.parametrize("wrong", [1, int, "text", None], ids=repr)
def test_throw_refuses_what_is_no_exception(wrong):
    """TypeError, and the generator is as it was."""
    story = same(ECHO, lambda g: [next(g), told(g.throw, wrong)[1], g.send(5)])
    assert story == [None, TypeError, 5]


def test_throw_keeps_the_traceback_that_it_is_given():
    """The third argument becomes the start of the traceback."""
    try:
        raise ValueError
    except ValueError as error:
        mark = error.__traceback__
    g = COUNTER.stackful(2)
    next(g)
    with pytest.raises(ValueError) as caught:
        g.throw(ValueError, None, mark)
    frames = []
    link = caught.value.__traceback__
    while link is not None:
        frames.append(link.tb_lineno)
        link = link.tb_next
    assert mark.tb_lineno in frames


@pytest.mark.parametrize("error", [ValueError("early"), StopIteration(1), GeneratorExit()], ids=repr)
def test_throw_into_a_fresh_one_ends_it(error):
    """None of the body runs."""
    error = anew(error)
    if isinstance(error, StopIteration):
        # Native ones differ by version in whether PEP 479 applies before the first line: ours always applies it.
        assert told(COUNTER.stackful(2).throw, error)[1] is RuntimeError
    else:
        same(COUNTER, lambda g: [told(g.throw, error), told(next, g)], 2)


def test_throw_into_a_finished_one_raises_it():
    """There is nobody to catch it."""
    story = same(COUNTER, lambda g: [list(g), told(g.throw, ValueError("late")), told(next, g)], 2)
    assert story[1][1] is ValueError


def test_close_runs_finally():
    """GeneratorExit is raised at the yield; then the generator is finished."""
    for make in (CLEANER.plain, CLEANER.stackful):
        log = []
        g = make(log)
        assert (next(g), g.close(), log, g.close(), told(next, g)[1]) == (1, None, ["cleaned"], None, StopIteration)


def test_close_of_a_fresh_or_finished_one_does_nothing():
    """No code runs."""
    for make in (CLEANER.plain, CLEANER.stackful):
        log = []
        fresh = make(log)
        assert (fresh.close(), log, told(next, fresh)[1]) == (None, [], StopIteration)
    same(COUNTER, lambda g: [list(g), g.close()], 2)


def test_close_ignored_is_an_error():
    """A generator that yields instead of ending says so, and is still suspended."""
    story = same(STUBBORN, lambda g: [next(g), told(g.close), told(g.close)])
    assert story[1] == ("raised", RuntimeError, ("generator ignored GeneratorExit",), type(None), None)


def test_close_lets_other_errors_through():
    """What a finally block raises leaves through close."""

    def plain():
        try:
            yield
        finally:
            raise KeyError("from finally")

    def stackful():
        try:
            yield_()
        finally:
            raise KeyError("from finally")

    same(Pair(plain, stackful), lambda g: [next(g), told(g.close)])


def test_close_returns_what_the_body_returns():
    """As plain generators do from Python 3.13 on."""

    def plain():
        try:
            yield
        except GeneratorExit:
            return "result"

    @generator
    def stackful():
        try:
            yield_()
        except GeneratorExit:
            return "result"

    one = stackful()
    next(one)
    assert one.close() == "result"
    if sys.version_info >= (3, 13):
        other = plain()
        next(other)
        assert other.close() == "result"


@pytest.mark.parametrize("error", [StopIteration("s"), StopIteration()], ids=repr)
def test_stop_iteration_raised_inside_becomes_runtime_error(error):
    """PEP 479: it would end the consumer's loop in silence; it is the cause of the error."""
    story = same(STOPPER, lambda g: [next(g), told(next, g)], anew(error))
    assert story[1] == ("raised", RuntimeError, ("generator raised StopIteration",), StopIteration, error.args)


@pytest.mark.parametrize("error", [ValueError("v"), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_other_errors_leave_as_they_are(error):
    """The very exception reaches the consumer, and the generator is finished."""
    same(STOPPER, lambda g: [next(g), told(next, g), told(next, g)], anew(error))


@pytest.mark.parametrize("how", ["next", "send", "throw", "close"])
def test_a_running_generator_refuses_to_be_advanced(how):
    """ValueError: generator already executing."""
    box = []
    calls = {
        "next": lambda: next(box[0]),
        "send": lambda: box[0].send(None),
        "throw": lambda: box[0].throw(KeyError()),
        "close": lambda: box[0].close(),
    }

    def plain():
        yield told(calls[how])

    def stackful():
        yield_(told(calls[how]))

    def story(g):
        box[:] = [g]
        return next(g)

    assert same(Pair(plain, stackful), story)[1:3] == (ValueError, ("generator already executing",))


def test_gi_running_tells_whether_it_runs():
    """True inside, False outside."""

    @generator
    def body():
        yield_(one.gi_running)

    one = body()
    assert (one.gi_running, next(one), one.gi_running) == (False, True, False)


def test_dropped_it_is_closed():
    """The last reference gone, finally runs at once."""
    log = []
    one = CLEANER.stackful(log)
    next(one)
    del one
    assert log == ["cleaned"]


def test_an_error_while_it_is_dropped_is_unraisable():
    """As of plain generators: sys.unraisablehook hears of it."""
    heard = []
    old, sys.unraisablehook = sys.unraisablehook, lambda args: heard.append(args.exc_type)
    try:
        one = STUBBORN.stackful()
        next(one)
        del one
    finally:
        sys.unraisablehook = old
    assert heard == [RuntimeError]


def test_yield_outside_of_a_generator_is_an_error():
    """The message says what to do."""
    with pytest.raises(FiberError, match=r"yield_\(\) outside of any generator: .*@generator"):
        yield_(1)


def test_inspect_and_abc_know_it():
    """It is a collections.abc.Generator by structure."""
    from collections.abc import Generator as Abstract

    assert isinstance(COUNTER.stackful(1), Abstract)


def test_names_and_docstrings_are_those_of_the_function():
    """functools.wraps for the function, __name__ and __qualname__ for the generator."""
    assert COUNTER.stackful.__name__ == "stackful_counter"
    one = COUNTER.stackful(1)
    assert (one.__name__, one.__qualname__) == ("stackful_counter", "stackful_counter")


def test_repr_says_what_it_is_and_does():
    """Name, status, number of frames."""
    one = COUNTER.stackful(1)
    assert repr(one).startswith("<Generator stackful_counter not begun at ")
    next(one)
    assert repr(one).startswith("<Generator stackful_counter suspended, 2 frames, at ")
    list(one)
    assert repr(one).startswith("<Generator stackful_counter dead at ")


def test_methods_can_be_generators():
    """The decorator keeps a method a method."""

    class Tree:
        def __init__(self, *values):
            self.values = values

        @generator
        def __iter__(self):
            for value in self.values:
                handed_on(value)

    assert list(Tree(1, 2, 3)) == [1, 2, 3]


def test_a_function_with_a_yield_of_its_own_is_refused():
    """The first mistake of whoever knows Python's generators; coroutines and asynchronous generators too."""

    def plain():
        yield 1

    async def coroutine():
        pass

    async def both():
        yield 1

    for function in (plain, coroutine, both):
        with pytest.raises(TypeError, match=r"has a yield or an await of its own: write yield_\(value\)"):
            generator(function)


def test_the_decorator_takes_a_function():
    """Anything else is refused at once, not when it is called."""
    with pytest.raises(TypeError, match="generator takes a function, not 3"):
        generator(3)
