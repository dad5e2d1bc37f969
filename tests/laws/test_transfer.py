"""The laws of coroutines: equations of transfer, and the situations of Lua's own tests (testes/coroutine.lua, named in the docstrings).

`resume`, `suspend` and `status` are Lua's; `travelled` replaces a suspended coroutine by its copy, as the way says.
"""

import copy
import gc
import itertools
import weakref

import pytest

import ways
from laws.operators import Log, effect, stepped, travelled
from stackful import (
    Coroutine,
    Fiber,
    FiberError,
    FiberExit,
    current,
    generator,
    handle,
    is_capturable,
    is_suspendable,
    suspend,
    transfer,
    yield_,
)
from stackful.coroutines import running, wrap

pytestmark = pytest.mark.five_ways


# Equations


def test_transfer_back_and_forth_is_nothing():
    """transfer(b) where b does nothing but transfer back with what it got is the value."""
    a = Coroutine(lambda: [transfer(b), transfer(b, "x"), transfer(b, "y")])
    b = Coroutine(echo, lambda: a)
    assert transfer(a) == [None, "x", "y"]
    b.close()


def echo(other):
    value = None
    while True:
        value = transfer(other(), value)


def test_resume_and_suspend_are_transfers_there_and_back():
    """Moura and Ierusalimschy: symmetric coroutines express asymmetric ones, by a variable for who resumed."""

    def generate(items):
        for item in items:
            transfer(consumer, item)
        transfer(consumer, "end")

    def consume():
        return [transfer(producer) for _ in range(4)]

    def asymmetric():
        fiber = Fiber(lambda: [suspend(item) for item in "abc"] and "end")
        return [fiber.resume() for _ in range(4)]

    producer, consumer = Coroutine(generate, "abc"), Coroutine(consume)
    assert transfer(consumer) == asymmetric() == ["a", "b", "c", "end"]
    producer.close()


def test_transfers_are_a_scheduler_of_resumes():
    """And the other way round: each transfer is a suspend to a dispatcher that resumes whoever is named."""

    def dispatched(first):
        target, value = first, None
        while True:
            answer = target.resume() if value is None else target.resume(value)
            if target.status == "dead":
                return answer
            target, value = answer

    def ping(send, name, other, n):
        got = []
        for i in range(n):
            got.append(send(other(), (name, i)))
        return got

    def by_dispatcher():
        send = lambda other, value: suspend((other, value if other.frames else None))  # noqa: E731
        a = Fiber(ping, send, "a", lambda: b, 3)
        b = Fiber(ping, send, "b", lambda: a, 5)
        return dispatched(a)

    def by_transfer():
        send = lambda other, value: transfer(other, value if other.frames else None)  # noqa: E731
        a = Coroutine(ping, send, "a", lambda: b, 3)
        b = Coroutine(ping, send, "b", lambda: a, 5)
        return transfer(a)

    assert by_transfer() == by_dispatcher() == [("b", 0), ("b", 1), ("b", 2)]


def test_a_travelled_coroutine_goes_on_as_the_original_would():
    """In the middle of loops, at any depth, with what it has in hand."""

    def deep(n, items):
        return [suspend((n, item)) for item in items] if n == 0 else [n, *deep(n - 1, items)]

    assert stepped(Coroutine(deep, 2, iter("xyz")), 1, 2, 3) == [(0, "x"), (0, "y"), (0, "z"), [2, 1, 1, 2, 3]]


def test_it_can_be_transferred_to_after_it_has_travelled():
    """With its successor."""
    a = Coroutine(lambda: ["a got", suspend("a waits")])
    b = Coroutine(lambda: suspend("b waits") + 1)
    b.successor = a
    assert [transfer(a), transfer(b)] == ["a waits", "b waits"]
    b = travelled(b)
    assert transfer(b, 1) == ["a got", 2]


def test_a_ring_of_coroutines_passes_a_token_round():
    """Each is the next one's only caller; none of them is on another's stack."""
    turns = Log()

    def member(i):
        token = None
        while True:
            turns.append(i)
            if len(turns) == 10:
                return token
            token = transfer(ring[(i + 1) % 3], ("token", i) if len(turns) > 3 else None)

    ring = [Coroutine(member, i) for i in range(3)]
    assert transfer(ring[0]) == ("token", 2)
    assert turns == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    for coroutine in ring:
        coroutine.close()


def test_closing_one_that_has_a_successor():
    """Its end is nobody's turn: who would have gone on stays where it is, and can be gone on with."""
    log = Log()

    def body():
        try:
            suspend("ready")
        finally:
            log.append("closed")

    a, b = Coroutine(lambda: ["a got", suspend("a waits")]), Coroutine(body)
    b.successor = a
    assert [transfer(a), transfer(b)] == ["a waits", "ready"]
    b.close()
    assert (b.status, a.status, log) == ("dead", "suspended", ["closed"])
    assert a.resume("later") == ["a got", "later"]


def test_an_error_on_its_way_through_successors():
    """Each may turn it into a result, which goes to the next."""

    def catch(name):
        try:
            suspend(name)
        except KeyError as error:
            return f"{name} caught {error}"

    first, second, third = (
        Coroutine(lambda: {}[suspend("first")]),
        Coroutine(catch, "second"),
        Coroutine(lambda: ["third", suspend("third")]),
    )
    first.successor, second.successor = second, third
    assert [transfer(coroutine) for coroutine in (first, second, third)] == ["first", "second", "third"]
    assert transfer(first, "key") == ["third", "second caught 'key'"]


# Lua: basics


def test_the_main_program_is_no_coroutine():
    """Lua: `coroutine.yield` outside is an error; running is nil here, as there is nothing to resume."""
    assert (running(), current(), is_suspendable()) == (None, None, False)
    with pytest.raises(FiberError, match="outside of any fiber"):
        suspend()


def test_trivial_errors():
    """Lua: resume and status of what is no coroutine."""
    for wrong in (0, None, "coroutine"):
        with pytest.raises(TypeError):
            transfer(wrong)
        with pytest.raises(TypeError):
            Coroutine(wrong)


def test_status_through_a_whole_life():
    """Lua: suspended, running, suspended, dead; the values go in and out."""
    seen = Log()

    def body(first, *rest):
        seen.append((running() is own(), running().status))
        for item in rest:
            seen.append(suspend(item))
        return first

    own = lambda: coroutine  # noqa: E731
    coroutine = Coroutine(body, "result", 1, "a")
    assert coroutine.status == "suspended"
    assert coroutine.resume() == 1
    assert coroutine.status == "suspended"
    assert [coroutine.resume("x"), coroutine.resume("xuxu")] == ["a", "result"]
    assert coroutine.status == "dead"
    with pytest.raises(FiberError, match="dead"):
        coroutine.resume("xuxu")
    assert (coroutine.status, seen) == ("dead", [(True, "running"), "x", "xuxu"])


def test_yields_in_tail_position():
    """Lua: `return coroutine.yield(i)`."""

    def give(i):
        return suspend(i)

    def body():
        for i in range(10):
            assert give(i) == i + 100
        return "a"

    assert stepped(Coroutine(body), *range(100, 110)) == [*range(10), "a"]


def test_recursive_without_end():
    """Lua: factorials from a recursion that never returns."""

    def factorials(n, i):
        suspend(n)
        factorials(n * i, i + 1)

    assert stepped(Coroutine(factorials, 1, 1), *range(9)) == [1, 1, 2, 6, 24, 120, 720, 5040, 40320, 362880]


def test_sieve():
    """Lua: a chain of filters, each a wrapped coroutine."""

    def numbers(n):
        return wrap(lambda: [suspend(i) for i in range(2, n + 1)] and None)

    def without(prime, source):
        def body():
            while (n := source()) is not None:
                if n % prime:
                    suspend(n)

        return wrap(body)

    source, primes = numbers(80), []
    while (prime := source()) is not None:
        primes.append(prime)
        source = without(prime, source)
    assert (len(primes), primes[-1]) == (22, 79)


def test_permutations_by_a_recursion_that_suspends():
    """Lua: "co-routines x for loop": 5^4 tuples from a recursive walk."""

    def every(chosen, n, k):
        if k == 0:
            suspend(chosen)
            return
        for i in range(n):
            every((*chosen, i), n, k - 1)

    coroutine = Coroutine(every, (), 3, 3)
    found = []
    while (item := coroutine.resume()) is not None:
        found.append(item)
        coroutine = travelled(coroutine)
    assert found == list(itertools.product(range(3), repeat=3))


# Lua: closing


def test_closing_the_dead_and_the_fresh():
    """Lua: nothing happens, and it can be done twice."""
    for coroutine in (Coroutine(int), Coroutine(int)):
        coroutine.close()
        coroutine.close()
        assert coroutine.status == "dead"
    dead = Coroutine(int)
    dead.resume()
    dead.close()


def test_the_running_and_the_normal_cannot_be_closed():
    """Lua: "cannot close a running coroutine", "cannot close a normal coroutine"."""

    def body():
        with pytest.raises(FiberError, match="running"):
            running().close()
        return Fiber(inner).resume()

    def inner():
        with pytest.raises(FiberError, match=r"close.*(resumed|normal)"):
            outer.close()
        return "unharmed"

    outer = Coroutine(body)
    assert outer.resume() == "unharmed"


def test_closing_after_an_error():
    """Lua: the coroutine is dead; closing it says nothing new."""
    coroutine = Coroutine(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        coroutine.resume()
    coroutine.close()
    assert coroutine.status == "dead"


def test_errors_while_closing_come_out_of_close():
    """Lua: each to-be-closed variable sees the error of the one before; the last one leaves."""
    seen = Log()

    def body():
        try:
            try:
                suspend()
            except FiberExit:
                seen.append("closing")
                raise KeyError(111) from None
        except KeyError as error:
            seen.append(error.args[0])
            raise KeyError(200) from None

    coroutine = Coroutine(body)
    coroutine.resume()
    with pytest.raises(KeyError, match="200"):
        coroutine.close()
    assert (coroutine.status, seen) == ("dead", ["closing", 111])


def test_errors_in_finally_blocks_of_a_coroutine_go_through_all_of_them():
    """Lua's `__close` metamethods that fail one after the other: all run, the last error is the one that counts."""
    track = Log()

    def fails(name, thunk):
        try:
            return thunk()
        except Exception as error:
            track.append(error.args[0])
            raise KeyError(name) from None

    def body():
        return fails("x", lambda: fails("y", lambda: fails("z", lambda: [suspend(1), {}["first"]])))

    coroutine = Coroutine(body)
    assert coroutine.resume() == 1
    coroutine = travelled(coroutine)
    with pytest.raises(KeyError, match="x"):
        coroutine.resume()
    assert track == ["first", "z", "y"]


# Lua: what cannot be crossed


def test_yielding_across_a_c_call_keeps_the_stack():
    """Lua refuses table.sort with a function that yields; here sorted waits for it, and cannot be copied meanwhile."""

    def body():
        found = sorted([1, 2, 3], key=suspend)
        return [*found, suspend(20)]

    one = Coroutine(body)
    assert [one.resume(), one.resume(-1), one.resume(-2)] == [1, 2, 3]
    with pytest.raises(FiberError, match="sorted"):
        copy.copy(one)
    assert one.resume(-3) == 20
    assert travelled(one).resume(30) == [3, 2, 1, 30]


def test_a_c_call_in_between_is_known_beforehand():
    """Lua: isyieldable is false in string.gsub's function; here it is what can be captured that is known."""

    def body():
        inside = []
        max([1], key=lambda x: inside.append((is_capturable(), is_suspendable())) or x)
        return is_capturable(), is_suspendable(), inside

    assert Coroutine(body).resume() == (True, True, [(False, True)])


class Number:
    """Lua's values with metamethods that yield."""

    def __init__(self, value):
        self.value = value

    def __add__(self, other):
        return suspend("add") + self.value + other

    def __getitem__(self, index):
        return suspend("index") + self.value

    def __lt__(self, other):
        return suspend("less") < 0

    def __iter__(self):
        suspend("iter")
        return iter([self.value])


def test_metamethods_yield():
    """Lua's operators may yield; so do `__add__` and its kin, although C code calls them."""

    def body():
        return Number(1) + 2, Number(3)[0], Number(1) < Number(2), [*Number(5)], suspend("plain")

    one = Coroutine(body)
    found = [one.resume(), one.resume(10), one.resume(20), one.resume(-1), one.resume(None)]
    assert found == ["add", "index", "less", "iter", "plain"]
    assert travelled(one).resume("end") == (13, 23, True, [5], "end")


def test_yields_across_try_blocks():
    """Lua: yields across pcall; each error is caught in the coroutine."""

    def body():
        total = 0
        while True:
            try:
                value = suspend(total)
                total += value
            except TypeError:
                return "not a number", total

    assert stepped(Coroutine(body), 1, 2, None) == [0, 1, 3, ("not a number", 3)]


def test_an_error_leaves_and_names_its_frames():
    """Lua: "errors in coroutines": the traceback has the frames, before and after a suspension."""

    def inner():
        suspend(3)
        raise KeyError("foo")

    def outer():
        inner()

    coroutine = Coroutine(outer)
    assert coroutine.resume() == 3
    coroutine = travelled(coroutine)
    with pytest.raises(KeyError) as caught:
        coroutine.resume()
    assert [entry.name for entry in caught.traceback][-2:] == ["outer", "inner"]
    with pytest.raises(FiberError, match="dead"):
        coroutine.resume()


# Lua: old bugs


def test_a_coroutine_cannot_resume_itself():
    """Lua: "attempt to resume itself", before and after a suspension."""

    def body():
        for value in (10, 23):
            with pytest.raises(FiberError, match="running"):
                running().resume()
            suspend(value)
        return "end"

    assert stepped(Coroutine(body), None, None) == [10, 23, "end"]


def test_a_normal_coroutine_cannot_be_resumed():
    """Lua: "attempt to resume 'normal' coroutine"."""

    def inner():
        assert outer.status == "normal"
        with pytest.raises(FiberError, match="cannot resume"):
            outer.resume()
        suspend(3)

    outer = Coroutine(lambda: Coroutine(inner).resume())
    assert (outer.resume(), outer.status) == (3, "dead")


def test_an_error_from_resuming_oneself_runs_finally():
    """Lua: the wrapped function calls itself, fails, and its to-be-closed variable is closed."""
    log = Log()

    def body():
        try:
            return step()
        finally:
            log.append("closed")

    step = wrap(body)
    with pytest.raises(FiberError, match="running"):
        step()
    assert log == ["closed"]


def test_endless_nesting_of_coroutines_is_an_error():
    """Lua: "infinite recursion of coroutines"."""

    def endless():
        return wrap(endless)()

    gc.collect()  # nothing that others left is closed where there is no room for it
    with pytest.raises(RecursionError):
        endless()


def test_closures_outlive_their_coroutine():
    """Lua: "access to locals of collected coroutines"."""

    def body():
        a = 10

        def step():
            nonlocal a
            a += 10
            return a

        while True:
            a += 1
            suspend(step)

    coroutine = Coroutine(body)
    step = coroutine.resume()
    assert (step(), coroutine.resume()(), coroutine.resume()) == (21, 32, step)
    gone = weakref.ref(coroutine)
    del coroutine
    gc.collect()
    assert gone() is None
    assert [step(), step()] == [43, 53]


def test_closures_outlive_an_error_of_their_coroutine():
    """Lua: "access to locals of erroneous coroutines"."""
    kept = Log()

    def body():
        a = 10

        def step():
            nonlocal a
            a += 1
            return a

        kept.append(step)
        raise KeyError("x")

    coroutine = Coroutine(body)
    with pytest.raises(KeyError):
        coroutine.resume()
    with pytest.raises(FiberError):
        coroutine.resume(1)
    assert [kept[0](), kept[0]()] == [11, 12]


def test_wrap_raises_what_the_function_raises():
    """Lua: wrap propagates errors, and a dead one says so."""
    step = wrap(lambda: [suspend(1), 1 / 0])
    assert step() == 1
    with pytest.raises(ZeroDivisionError):
        step()
    with pytest.raises(FiberError, match="cannot resume dead"):
        step()


def test_a_generator_is_a_coroutine_with_manners():
    """The same body by wrap and by generator: the values are the same."""

    def by_suspend(n):
        for i in range(n):
            suspend(i)

    def by_yield(n):
        for i in range(n):
            yield_(i)

    step = wrap(by_suspend)
    assert [step(3), step(), step()] == list(generator(by_yield)(3)) == [0, 1, 2]


def test_a_pending_coroutine_may_be_left():
    """Lua: "leaving a pending coroutine open": it is closed when it is dropped, its copies are not."""
    log = Log()

    def body():
        try:
            suspend()
        finally:
            log.append("closed")

    coroutine = Coroutine(body)
    coroutine.resume()
    coroutine = travelled(coroutine)
    del coroutine
    gc.collect()
    assert log == ([] if ways.current in ways.ROADS else ["closed"])


@effect
def ask() -> int: ...


def test_transfer_beneath_a_handler_is_as_without_it():
    """The handled program waits for the exchange to come back, as a prompt's does."""
    assert handle(lambda: [transfer(Coroutine(lambda: 5))], ask.fun(lambda: 1)) == [5]
