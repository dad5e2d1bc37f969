"""The situations of OCaml 5's own tests of effects (testsuite/tests/effects, named in each docstring)."""

import copy
import gc
import threading
from collections import deque

import pytest

from laws.operators import Log, effect
from stackful import AlreadyResumedError, BarrierError, Handler, Operation, UnhandledError, handle, perform, snapshot

pytestmark = pytest.mark.five_ways


class XError(Exception):
    pass


@effect
def e(x: int = 0) -> int: ...


@effect
def f() -> int: ...


def test_1_an_exception_is_no_effect():
    """test1: a handler for effects lets exceptions through."""
    with pytest.raises(XError):
        handle(lambda: (_ for _ in ()).throw(XError()), e.once(lambda k, x=0: 10))


def test_2_resume_with_a_value():
    """test2: 42 goes in, the rest sees it."""
    log = Log()

    def body():
        log.append(perform(e, 0))
        return "result"

    def clause(k, x):
        log.append(x)
        value = k.resume(x + 42)
        log.append("back")
        return value

    assert handle(body, e.once(clause)) == "result"
    assert log == [0, 42, "back"]


def test_3_an_exception_after_the_effect_leaves_through_the_handler():
    """test3: the clause that resumed is on the way out."""

    def body():
        perform(e)
        raise XError

    def clause(k):
        try:
            return k.resume(11)
        except XError:
            return 10

    assert handle(body, e.once(clause)) == 10


def test_4_discontinue_is_seen_by_the_performer_only():
    """test4: an exception handler around the inner handler, an effect inside."""

    @effect
    def foo(n: int) -> int: ...

    def clause(k, n):
        return k.resume(n + 1)

    def inner():
        try:
            return perform(foo, 3) + 100
        except XError:
            return 0

    assert handle(lambda: handle(inner, e.fun(lambda x=0: x)), foo.once(clause)) == 104
    assert handle(lambda: handle(inner, e.fun(lambda x=0: x)), foo.once(lambda k, n: k.discontinue(XError()))) == 0


def test_5_and_reperform_an_unhandled_effect_goes_outward():
    """test5, reperform: handlers in between that do not know it do not matter, however many."""

    def nest(n):
        if n == 0:
            return perform(e, 1)
        return 1 + handle(lambda: nest(n - 1), f.once(lambda k: k.resume(0)))

    assert handle(lambda: nest(20), e.once(lambda k, x: k.resume(x + 41))) == 62


def test_reperform_by_hand():
    """reperform: a clause that performs its own operation again adds its part to the answer."""

    def nest(n):
        if n == 0:
            return perform(e, 1)
        return handle(lambda: nest(n - 1), e.once(lambda k, x: k.resume(perform(e, x + 1) + 100)))

    assert handle(lambda: nest(5), e.once(lambda k, x: k.resume(x))) == 506


def test_6_unhandled_can_be_caught_where_it_was_performed():
    """test6, unhandled: the performer goes on."""

    def body():
        try:
            return perform(e)
        except UnhandledError:
            return perform(f)

    assert handle(body, f.once(lambda k: k.resume(7))) == 7


def test_10_a_handler_that_returns_a_function():
    """test10: peek and poke with the state passed as argument."""

    @effect
    def peek() -> int: ...

    @effect
    def poke() -> None: ...

    def body(n):
        perform(poke)
        return perform(peek) + (body(n - 1) if n else 0)

    def run(thunk, start):
        stateful = handle(
            thunk,
            peek.once(lambda k: lambda i: k.resume(i)(i)),
            poke.once(lambda k: lambda i: k.resume(None)(i + 1)),
            returns=lambda value: lambda i: value,
        )
        return stateful(start)

    assert run(lambda: body(20), 100) == sum(range(101, 122))


def test_11_nested_handlers_of_one_operation():
    """test11: the clause of the inner one performs for the outer one."""
    inner = e.once(lambda k, x=0: k.resume(perform(f) + 1))
    assert handle(lambda: handle(lambda: perform(e), inner), f.once(lambda k: k.resume(41))) == 42


def test_evenodd():
    """evenodd: mutual recursion, each call under a handler of its own."""

    def even(n):
        return True if n == 0 else handle(lambda: odd(n - 1), e.once(lambda k: None))

    def odd(n):
        return False if n == 0 else handle(lambda: even(n - 1), f.once(lambda k: None))

    assert (even(40), odd(40)) == (True, False)


def test_manylive(way):
    """manylive: ten thousand continuations at once, resumed afterwards."""
    count = 10_000 if way == "cold" else 300
    waiting = []

    def body(i):
        return perform(e, i) + i

    for i in range(count):
        handle(lambda: body(i), e.once(lambda k, x: waiting.append(k)))
    assert sum(k.resume(1) for k in waiting) == count + count * (count - 1) // 2


def test_used_cont():
    """used_cont: resumed twice, Continuation_already_resumed."""

    def clause(k, x=0):
        k.resume(1)
        return k.resume(2)

    with pytest.raises(AlreadyResumedError):
        handle(lambda: perform(e), e.once(clause))


def test_partial():
    """partial: a continuation kept by a handler that returned is resumed by the next."""
    kept = []
    assert handle(lambda: perform(e) * 2, e.once(lambda k: kept.append(k) or "kept")) == "kept"
    assert handle(lambda: kept[0].resume(21), f.once(lambda k: k.resume(1))) == 42


def test_a_resumption_sees_the_handlers_of_its_resumer():
    """As partial: what it performs and does not handle itself goes to those in force where it is resumed."""
    kept = []

    def body():
        first = perform(e)
        return first, perform(f)

    handle(lambda: handle(body, e.once(lambda k, x=0: kept.append(k))), f.fun(lambda: "old"))
    assert handle(lambda: kept[0].resume(1), f.once(lambda k: k.resume("new"))) == (1, "new")
    with pytest.raises(AlreadyResumedError):
        kept[0].resume(1)


def test_sched():
    """sched: round robin, with fork and yield as effects."""

    @effect
    def fork(thunk: object) -> None: ...

    @effect
    def pause() -> None: ...

    log, queue = [], deque()

    def task(name, children):
        log.append(f"{name} starts")
        for child in children:
            perform(fork, child)
            log.append(f"{name} forked")
        perform(pause)
        log.append(f"{name} ends")

    def run_next():
        return queue.popleft()() if queue else None

    def spawn(thunk):
        def on_fork(k, child):
            queue.append(k.resume)
            return spawn(child)

        def on_pause(k):
            queue.append(k.resume)
            return run_next()

        return handle(thunk, fork.once(on_fork), pause.once(on_pause), returns=lambda value: run_next())

    spawn(lambda: task("a", [lambda: task("b", []), lambda: task("c", [])]))
    assert log == [
        "a starts", "b starts", "a forked", "c starts", "b ends", "a forked", "c ends", "a ends"
    ]  # fmt: skip
    assert not queue


def test_shallow_state():
    """shallow_state: each resumption is given the handler for the next operation, with the new state."""

    @effect
    def get() -> int: ...

    @effect
    def put(value: int) -> None: ...

    def under(s):
        return Handler(
            get.once(lambda k: k.tail_resume_with(under(s), s)),
            put.once(lambda k, new: k.tail_resume_with(under(new), None)),
            returns=lambda value: (value, s),
            shallow=True,
        )

    def body():
        for _ in range(500):
            perform(put, perform(get) + 1)
        return "done"

    assert handle(body, under(1)) == ("done", 501)


def test_a_shallow_handler_answers_once():
    """The resumption runs without it: the second operation is for the outer handler."""

    def body():
        return [perform(e), perform(e)]

    outer = e.once(lambda k: k.resume("outer"))
    assert handle(lambda: handle(body, e.once(lambda k: k.resume("inner")), shallow=True), outer) == ["inner", "outer"]
    assert handle(lambda: handle(body, e.ctl(lambda k: [k.resume("a"), k.resume("b")]), shallow=True), outer) == [
        ["a", "outer"],
        ["b", "outer"],
    ]


def test_a_shallow_handlers_return_clause_is_its_own():
    """It is not applied when a resumption ends without the handler."""
    shallow = Handler(e.once(lambda k: k.resume(1)), returns=lambda value: ("returned", value), shallow=True)
    assert handle(lambda: perform(e), shallow) == 1
    assert handle(lambda: 2, shallow) == ("returned", 2)


def test_only_shallow_resumptions_take_a_handler():
    """A deep one has its own already."""

    def clause(k):
        with pytest.raises(TypeError, match="has its handler already"):
            k.resume_with(Handler())
        return k.resume(1)

    assert handle(lambda: perform(e), e.once(clause)) == 1


def test_overflow_many_arguments_and_deep_calls():
    """overflow: an effect a few hundred calls deep, with many values in hand on the way back."""

    def deep(a, b, c, d, n):
        if n == 0:
            return perform(e, a + b + c + d)
        return deep(d, a, b, c, n - 1) + a - d

    assert handle(lambda: deep(1, 2, 3, 4, 400), e.once(lambda k, x: k.resume(x))) == 10


def test_ten_thousand_tail_resumptions_in_constant_stack(way):
    """tail_resume gives the driver's frame back before the program goes on."""
    n = 10_000 if way == "cold" else 1000

    def body():
        total = 0
        for i in range(n):
            total += perform(e, i)
        return total

    assert handle(body, e.once(lambda k, x: k.tail_resume(x))) == n * (n - 1) // 2
    assert handle(body, e.ctl(lambda k, x: k.tail_resume(x))) == n * (n - 1) // 2


def test_7_and_9_a_copy_of_a_continuation_is_resumed_as_well():
    """test7, test9, clone_test: "Hello" and "Hello, again!", through an inner handler of something else too."""
    for body in (lambda: "Hello" + perform(e), lambda: handle(lambda: "Hello" + perform(e), f.once(lambda k: "never"))):
        assert handle(body, e.once(lambda k: [copy.copy(k).resume(""), k.resume(", again!")])) == [
            "Hello", "Hello, again!"
        ]  # fmt: skip


def test_8_a_request_that_is_intercepted_and_handed_on():
    """test8: the inner clause asks the outer one; a multi-shot answer there resumes the inner continuation twice."""
    intercepting = e.ctl(lambda k: k.resume("<" + perform(e) + ">"))
    both = e.ctl(lambda k: [k.resume("one"), k.resume("two")])
    assert handle(lambda: handle(lambda: "Hello " + perform(e), intercepting), both) == ["Hello <one>", "Hello <two>"]


def test_cmphash_a_continuation_is_equal_to_itself_only():
    """cmphash: comparing continuations is by identity, and they can be keys."""

    def clause(k):
        other = copy.copy(k)
        return k == k, k == other, len({k, other, k})  # noqa: PLR0124

    assert handle(lambda: perform(e), e.once(clause)) == (True, False, 2)


def test_discontinue_with_what_performs():
    """discontinue_with_effect: the error is handled by performing, which the same handler answers."""

    def body():
        try:
            return perform(e)
        except XError:
            return perform(f) + 2

    assert handle(body, e.once(lambda k: k.discontinue(XError())), f.once(lambda k: k.resume(1))) == 3


def test_backtrace_of_an_error_that_was_discontinued():
    """backtrace: it has the frames in which it is raised anew, and those of the handled program."""

    def task(n):
        perform(e)
        return task(n - 1)

    with pytest.raises(XError) as caught:
        handle(lambda: task(3), e.once(lambda k: k.discontinue(XError())))
    assert "task" in [entry.name for entry in caught.traceback]


def test_issue479_an_iteration_becomes_a_generator():
    """issue479: each step is a function that goes on; it may be called within another handler, or none."""

    @effect
    def hold(value: int) -> None: ...

    def steps(items):
        def iterate():
            for item in items:
                perform(hold, item)
            return lambda: None

        return handle(iterate, hold.once(lambda k, value: lambda: (value, k.resume(None))))

    step, found = steps([1, 2, 3]), []
    while (pair := step()) is not None:
        found.append(pair[0])
        step = pair[1]
    assert found == [1, 2, 3]


def test_lazy_a_computation_that_stops_half_way_is_forced_once():
    """test_lazy: its loop goes on where it stopped, here or in another thread."""

    def count(n):
        total = 0
        for i in range(n):
            total += 1
            if i == n // 2:
                perform(e)
        return total

    def elsewhere(k):
        found = []
        thread = threading.Thread(target=lambda: found.append(k.resume(None)))
        thread.start()
        thread.join()
        return found[0]

    assert handle(lambda: count(100), e.once(lambda k: k.resume(None))) == 100
    assert handle(lambda: count(200), e.once(elsewhere)) == 200


@pytest.mark.parametrize("answer", ["forgotten", "kept", "in a cycle"])
def test_finalise_cont_continuations_that_are_never_resumed(answer):
    """finalise_cont1 to 4: a dropped one is unwound, the program sees it, and the next one is as good as the first."""
    log, kept = Log(), []

    def body():
        try:
            return perform(e)
        finally:
            log.append("unwound")

    def clause(k):
        if answer == "kept":
            kept.append(k)
        elif answer == "in a cycle":
            cycle = [k]
            cycle.append(cycle)
        return 43

    for _ in range(2):
        assert handle(body, Operation.once(e, clause)) == 43  # what has travelled is not unwound
    assert answer != "kept" or log == []
    kept.clear()
    gc.collect()
    assert log == ["unwound", "unwound"]


def test_cont_gc_test_continuations_of_many_sizes_survive_collections():
    """cont_gc_test: stacks of every depth, collected while they are suspended."""

    def deep(n):
        return perform(e) if n == 0 else [deep(n - 1)][0] + 1

    waiting = [handle(lambda n=n: deep(n), e.once(lambda k: k)) for n in range(0, 60, 3)]
    gc.collect()
    assert [k.resume(0) for k in waiting] == [*range(0, 60, 3)]


def test_shallow_state_io():
    """shallow_state_io: a handler that changes its own kind on the way: print until told to be silent, then count."""

    @effect
    def say(text: str) -> None: ...

    @effect
    def hush() -> None: ...

    said = Log()

    def talking():
        return Handler(
            say.once(lambda k, text: [said.append(text), k.resume_with(talking(), None)][1]),
            hush.once(lambda k: k.resume_with(silent(0), None)),
            returns=lambda value: value,
            shallow=True,
        )

    def silent(count):
        return Handler(
            say.once(lambda k, text: k.resume_with(silent(count + 1), None)),
            returns=lambda value: (value, count),
            shallow=True,
        )

    def body():
        perform(say, "a")
        perform(say, "b")
        perform(hush)
        perform(say, "c")
        perform(say, "d")
        return "end"

    assert handle(body, talking()) == ("end", 2)
    assert said == ["a", "b"]


def test_unhandled_effects_leave_as_errors_do():
    """unhandled_effects: without a handler the error names the operation, and finally blocks have run."""
    log = Log()

    def body():
        try:
            perform(f)
        finally:
            log.append("unwound")

    with pytest.raises(UnhandledError, match=r"<operation f\(\)"):
        handle(body, e.once(lambda k: None))
    assert log == ["unwound"]


def test_marshal_a_continuation_that_was_written_out():
    """marshal: OCaml refuses; here the bytes are a continuation of their own, each time that they are read."""
    kept = handle(lambda: ["result", perform(e)], e.ctl(lambda k: snapshot.dumps(k)))
    for value in (1, 2):
        assert snapshot.loads(kept).resume(value) == ["result", value]


def test_unhandled_unlinked_what_a_kept_continuation_performs_where_nobody_handles():
    """unhandled_unlinked: the handlers it was captured in are gone; the error is raised in it, where it can be caught."""

    def body():
        perform(e)
        try:
            return perform(f)
        except UnhandledError as error:
            return str(error).partition("; ")[2]

    k = handle(lambda: handle(body, e.once(lambda k: k)), f.fun(lambda: 1))
    assert k.resume(None).startswith("in force, innermost first: <handler of e")


def test_callback_an_effect_beneath_a_call_of_c():
    """callback: OCaml's effects do not cross C; here clauses in place do, and a clause that captures is refused where it was asked for."""

    def body():
        return sorted([3, 1, 2], key=lambda x: perform(e, x))

    assert handle(body, e.fun(lambda x: -x)) == [3, 2, 1]
    with pytest.raises(BarrierError, match="sorted"):
        handle(body, e.once(lambda k, x: k.resume(x)))


def test_finaliser_an_effect_in_a_finaliser():
    """A destructor is called by C wherever the last reference goes: clauses in place answer it, others are refused there."""
    log = Log()

    class Thing:
        def __del__(self):
            try:
                log.append(perform(e, 5))
            except BarrierError:
                log.append("refused")

    def body():
        thing = Thing()
        del thing
        return "end"

    assert handle(body, e.fun(lambda x: x + 1)) == "end"
    assert handle(body, e.once(lambda k, x: k.resume(x))) == "end"
    assert log == [6, "refused"]


def test_a_continuation_is_discontinued_once():
    """used_cont, by its other end: continue after discontinue, and discontinue after continue."""

    def clause(k):
        with pytest.raises(XError):
            k.discontinue(XError())
        for again in (lambda: k.resume(1), lambda: k.discontinue(XError())):
            with pytest.raises(AlreadyResumedError):
                again()
        return "refused"

    assert handle(lambda: perform(e), e.once(clause)) == "refused"


def test_what_a_return_clause_does_is_outside_of_its_handler():
    """OCaml's retc: what it performs goes to the next handler out, and what it raises is not the program's."""
    inner = Handler(e.once(lambda k, x=0: k.resume("inner")), returns=lambda value: [value, perform(e)])
    assert handle(lambda: handle(lambda: perform(e), inner), e.once(lambda k, x=0: k.resume("outer"))) == [
        "inner", "outer"
    ]  # fmt: skip

    def body():
        try:
            return perform(e)
        except XError:
            return "caught in the program"

    def fails(value):
        raise XError

    with pytest.raises(XError):
        handle(body, Handler(e.once(lambda k: k.resume(1)), returns=fails))


def test_an_effect_in_an_exception_handler():
    """OCaml's exnc: the clause for exceptions is an except around handle; it may perform for the handlers outside."""

    def inner():
        try:
            return handle(lambda: 1 / perform(e), e.fun(lambda x=0: 0))
        except ZeroDivisionError as error:
            return [perform(e), repr(error)]

    assert handle(inner, e.ctl(lambda k, x=0: [k.resume("one"), k.resume("two")])) == [
        ["one", "ZeroDivisionError('division by zero')"],
        ["two", "ZeroDivisionError('division by zero')"],
    ]


def test_a_handler_of_an_effect_that_is_made_at_run_time():
    """Effects as first-class values: each call makes an operation of its own, and only its own handler answers it."""

    def make():
        @effect
        def local() -> int: ...

        return local

    one, other = make(), make()
    assert handle(lambda: handle(lambda: [perform(one), perform(other)], one.fun(lambda: 1)), other.fun(lambda: 2)) == [
        1,
        2,
    ]
    with pytest.raises(UnhandledError):
        handle(lambda: perform(other), one.fun(lambda: 1))


def test_an_error_leaves_through_whoever_resumed():
    """A program that another one resumes stands on top of that: its error ends both, and finally blocks run innermost first."""
    log = Log()

    def one():
        try:
            return 1 / perform(e)
        finally:
            log.append("one")

    def other(k):
        try:
            return k.resume(perform(f))
        finally:
            log.append("other")

    def clause(k):
        return handle(lambda: other(k), f.once(lambda j: j.resume(0)))

    with pytest.raises(ZeroDivisionError):
        handle(one, e.once(clause))
    assert log == ["one", "other"]
