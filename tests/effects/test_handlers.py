"""Handlers: clauses of every kind, nesting, forwarding, return clauses, state."""

import pytest

from stackful import (
    AlreadyResumedError,
    BarrierError,
    Fiber,
    FiberError,
    Handler,
    UnhandledError,
    current,
    effect,
    generator,
    handle,
    perform,
    suspend,
    yield_,
)

pytestmark = pytest.mark.three_ways


@effect
def ask(question: str) -> str:
    """What is the answer?"""


@effect
def tell(what: object) -> None: ...


@effect
def get() -> int: ...


@effect
def put(value: int) -> None: ...


@effect
def many(a, b=2, *rest) -> tuple: ...


def talk():
    return [perform(ask, "one"), perform(ask, "two")]


ANSWERS = {
    "fun": ask.fun(str.upper),
    "once": ask.once(lambda k, question: k.resume(question.upper())),
    "once, tail": ask.once(lambda k, question: k.tail_resume(question.upper())),
    "ctl": ask.ctl(lambda k, question: k.resume(question.upper())),
    "ctl, tail": ask.ctl(lambda k, question: k.tail_resume(question.upper())),
    "ctl, last of two": ask.ctl(lambda k, question: [k.resume("lost"), k.resume(question.upper())][1]),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_answer_is_what_perform_returns(kind):
    """However a clause resumes."""
    assert handle(talk, ANSWERS[kind]) == ["ONE", "TWO"]


@pytest.mark.parametrize("kind", ANSWERS)
def test_a_program_that_performs_nothing_is_just_called(kind):
    """Its result is the result."""
    assert handle(lambda: 7, ANSWERS[kind]) == 7


@pytest.mark.parametrize("kind", ANSWERS)
def test_operations_are_performed_at_any_depth(kind):
    """Through ordinary recursion."""

    def deep(n):
        return perform(ask, "bottom") if n == 0 else deep(n - 1)

    assert handle(lambda: deep(50), ANSWERS[kind]) == "BOTTOM"


@pytest.mark.parametrize("kind", ANSWERS)
def test_operations_without_a_clause_go_to_outer_handlers(kind):
    """Through one that handles others, and one that handles nothing."""
    inner = lambda: handle(talk, tell.fun(lambda what: None))  # noqa: E731
    assert handle(lambda: handle(inner), ANSWERS[kind]) == ["ONE", "TWO"]


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_innermost_handler_answers(kind):
    """Shadowing, for the extent of the inner handle only."""

    def body():
        inner = handle(lambda: perform(ask, "x"), ask.fun(lambda question: "inner"))
        return inner, perform(ask, "x")

    assert handle(body, ANSWERS[kind]) == ("inner", "X")


@pytest.mark.parametrize("kind", ["fun", "once", "ctl"])
def test_a_clause_runs_outside_of_its_handler(kind):
    """What it performs itself goes to the next one out, whichever way it answers."""

    def clause(*arguments):
        answer = f"inner({perform(ask, arguments[-1])})"
        return answer if kind == "fun" else arguments[0].resume(answer)

    body = lambda: handle(talk, getattr(ask, kind)(clause))  # noqa: E731
    for name, outer in ANSWERS.items():
        if kind == "once" and name == "ctl, last of two":
            with pytest.raises(AlreadyResumedError):  # the clause is captured with its resumption, and goes on twice
                handle(body, outer)
            continue
        assert handle(body, outer) == ["inner(ONE)", "inner(TWO)"]


def test_a_handler_within_a_clause_in_place_is_outside_too():
    """Handle inside of a fun clause: what it does not handle passes the clause's own handler by."""

    def clause(question):
        return handle(lambda: perform(ask, question) + str(perform(get)), get.fun(lambda: 1))

    body = lambda: handle(talk, ask.fun(clause))  # noqa: E731
    for outer in ANSWERS.values():
        assert handle(body, outer) == ["ONE1", "TWO1"]


def test_after_a_clause_in_place_the_handler_is_in_force_again():
    """Also when the clause raised."""
    log = []

    def clause(question):
        if question == "bad":
            raise KeyError(question)
        return question

    def body():
        with pytest.raises(KeyError):
            perform(ask, "bad")
        return perform(ask, "good")

    assert handle(body, ask.fun(clause)) == "good"
    assert log == []


def test_several_operations_in_one_handler():
    """Each has its clause."""
    log = []

    def body():
        perform(tell, perform(ask, "q"))
        perform(tell, perform(get))

    handle(body, ask.once(lambda k, q: k.resume(q * 2)), tell.fun(log.append), get.ctl(lambda k: k.resume(5)))
    assert log == ["qq", 5]


def test_the_return_clause_gets_the_result():
    """It runs outside of the handler, once for each end of the program."""
    assert handle(talk, ANSWERS["ctl"], returns=tuple) == ("ONE", "TWO")
    assert handle(lambda: 1, returns=lambda value: value + 1) == 2
    with pytest.raises(UnhandledError):
        handle(lambda: 1, ask.fun(str.upper), returns=lambda value: perform(ask, "x"))


def test_a_final_clause_never_goes_on():
    """The program is unwound, and the clause's result is that of handle: the return clause has no part in it."""
    log = []

    def body():
        try:
            perform(ask, "stop")
            log.append("went on")
        finally:
            log.append("unwound")

    result = handle(body, ask.final(lambda question: (question, list(log))), returns=lambda value: "returned")
    assert (result, log) == (("stop", ["unwound"]), ["unwound"])


def test_a_final_clause_passes_inner_handlers():
    """Their programs are unwound as well."""
    log = []

    def inner():
        try:
            perform(ask, "out")
        finally:
            perform(tell, "inner")

    def body():
        try:
            handle(inner, get.fun(lambda: 1))
        finally:
            perform(tell, "outer")

    assert handle(body, ask.final(str.upper), tell.fun(log.append)) == "OUT"
    assert log == ["inner", "outer"]


def test_clauses_that_capture_nothing_work_beneath_c_calls():
    """fun, update and final: sorted(key=...) may perform."""
    assert handle(lambda: sorted("ab", key=lambda x: -perform(get)), get.fun(lambda: 1)) == ["a", "b"]
    assert handle(lambda: list(map(lambda x: perform(get), "ab")), get.update(lambda s: (s, s + 1)), state=0) == [0, 1]
    assert handle(lambda: sorted("ab", key=lambda x: perform(ask, x)), ask.final(str.upper)) == "A"


def test_a_capture_beneath_a_c_call_is_refused_where_it_was_performed():
    """BarrierError names the C call, can be caught there, and the program goes on."""

    def body():
        try:
            return sorted("ab", key=lambda x: perform(ask, x))
        except BarrierError as error:
            return str(error)

    for kind in ("once", "ctl"):
        assert handle(body, ANSWERS[kind]).startswith("cannot suspend across a C call")


def test_a_fiber_in_between_is_refused_by_name():
    """A fiber that the program resumes itself is no part of what is captured; in-place clauses reach through it."""

    def inner():
        return perform(ask, "x")

    def body():
        return Fiber(inner).resume()

    with pytest.raises(BarrierError, match=r"cannot perform: <Fiber .*inner running.*> stands between"):
        handle(body, ANSWERS["ctl"])
    assert handle(body, ANSWERS["fun"]) == "X"
    assert handle(body, ask.final(str.title)) == "X"


def test_the_error_for_an_unhandled_operation_lists_what_is_in_force():
    """Innermost first; raised where it was performed."""
    with pytest.raises(UnhandledError, match=r"no handler for <operation get\(\) -> int>; no handler is in force"):
        perform(get)

    def body():
        try:
            perform(get)
        except UnhandledError as error:
            return str(error)

    def around():
        return handle(body, ask.fun(str.upper), tell.fun(print))

    text = handle(around, put.fun(lambda value: None))
    assert text.endswith("in force, innermost first: <handler of ask, tell>; <handler of put>")


def test_only_operations_can_be_performed():
    """TypeError says how operations are made."""
    with pytest.raises(TypeError, match="takes an operation, as @effect makes it; not <function"):
        perform(talk)


def test_only_clauses_make_a_handler():
    """Neither functions nor two clauses for one operation."""
    with pytest.raises(TypeError, match="consists of clauses"):
        Handler(print)
    with pytest.raises(TypeError, match="two clauses for <operation get"):
        Handler(get.fun(lambda: 1), get.fun(lambda: 2))
    with pytest.raises(TypeError, match="needs a handler with state"):
        Handler(get.update(lambda s: (s, s)))
    with pytest.raises(TypeError, match="takes no options"):
        handle(talk, Handler(), shallow=True)


def test_a_handler_is_a_value():
    """It can be used any number of times, also within itself."""
    handler = Handler(ask.once(lambda k, q: k.resume(q + "!")))
    assert handle(lambda: handle(talk, handler) + handle(talk, handler), handler) == ["one!", "two!"] * 2


@pytest.mark.parametrize("kind", ["fun", "ctl"])
def test_arguments_are_passed_by_position(kind):
    """Up to six; those left out are left to the clause; more of them, or by name, are refused by Python."""
    if kind == "fun":
        clause = many.fun(lambda a, b="left out", *rest: (a, b, *rest))
    else:
        clause = many.ctl(lambda k, a, b="left out", *rest: k.resume((a, b, *rest)))

    def body():
        return perform(many, 1), perform(many, 1, 3), perform(many, 1, 2, 3, 4, 5, 6)

    assert handle(body, clause) == ((1, "left out"), (1, 3), (1, 2, 3, 4, 5, 6))
    for wrong in (lambda: perform(many, b=1), lambda: perform(many, 1, 2, 3, 4, 5, 6, 7)):
        with pytest.raises(TypeError, match=r"perform\(\) (got an unexpected keyword argument|takes from 1 to 7)"):
            handle(wrong, clause)


PERFORMED = {  # written out: on 3.11 a call with `*given` goes through C
    (): lambda: perform(many),
    (1,): lambda: perform(many, 1),
    (1, 2): lambda: perform(many, 1, 2),
    (1, 2, 3): lambda: perform(many, 1, 2, 3),
    (1, 2, 3, 4, 5, 6): lambda: perform(many, 1, 2, 3, 4, 5, 6),
}


@pytest.mark.parametrize("given", PERFORMED)
@pytest.mark.parametrize("kind", ["fun", "update", "final", "once", "ctl", "ctl, captured"])
def test_each_number_of_arguments_reaches_each_kind_of_clause(kind, given):
    """Those with state or a resumption get that before them."""

    def noting(k, *args):
        noted = k
        return noted.resume(args)

    clause = {
        "fun": many.fun(lambda *args: args),
        "update": many.update(lambda s, *args: ((s, *args), s + 1)),
        "final": many.final(lambda *args: args),
        "once": many.once(lambda k, *args: k.resume(args)),
        "ctl": many.ctl(lambda k, *args: k.tail_resume(args)),
        "ctl, captured": many.ctl(noting),
    }[kind]
    handler = Handler(clause, state=7)
    wanted = (7, *given) if kind == "update" else given
    body = PERFORMED[given]
    assert handle(body, handler) == wanted
    assert handle(lambda: handle(body, Handler(ask.fun(str))), handler) == wanted


@pytest.mark.parametrize("given", [(), (1,), (1, 2)])
def test_a_clause_with_state_returns_an_answer_and_the_next_state(given):
    """In a tuple, or in anything that is unpacked to two; otherwise it is Python's error, and nothing is changed or left out of force."""
    results = iter([("one", 1), ["two", 2], "3b", ("too", "many", 3), 4, ("last", 5)])
    clause = many.update(lambda s, *args: next(results))

    def body():
        told = [perform(many, *given) for _ in range(3)]
        for error in (ValueError, TypeError):
            with pytest.raises(
                error, match=r"too many values to unpack \(expected 2|cannot unpack non-iterable int object"
            ):
                perform(many, *given)
        return [*told, perform(get), perform(many, *given), perform(get)]

    reading = get.update(lambda s: (s, s))
    assert handle(body, clause, reading, state=0) == ["one", "two", "3", "b", "last", 5]


def test_a_clause_with_state_can_be_gone_on_with_twice():
    """Where it waits for an outer clause that resumes two times, each goes on from the state that its handler had then."""

    def body():
        return perform(put, 10), perform(get)

    counting = Handler(
        put.update(lambda s, new: (s, perform(ask, "by how much?") + new)), get.update(lambda s: (s, s)), state=0
    )
    assert handle(lambda: handle(body, counting), ask.ctl(lambda k, _: [k.resume(1), k.resume(2)])) == [
        (0, 11),
        (0, 12),
    ]


def test_the_core_knows_the_locals_of_perform():
    """It writes into them by number (csrc/types.h)."""
    assert perform.__code__.co_varnames == ("operation", "first", "rest", "answer", "second", "way")


def test_an_operation_describes_itself():
    """Name, signature and docstring are those of the declaration."""
    assert repr(ask) == "<operation ask(question: str) -> str>"
    assert (ask.__name__, ask.__doc__) == ("ask", "What is the answer?")
    assert repr(ask.fun(str.upper)) == "<fun clause of ask>"
    assert repr(Handler(ask.fun(str.upper), shallow=True)) == "<shallow handler of ask>"


# State


def count():
    perform(put, perform(get) + 1)
    perform(put, perform(get) * 10)
    return "counted"


def test_state_is_threaded_through():
    """Update clauses read and replace it; the return clause gets it."""
    state = Handler(
        get.update(lambda s: (s, s)), put.update(lambda s, new: (None, new)), state=1, returns=lambda r, s: (r, s)
    )
    assert handle(count, state) == ("counted", 20)
    assert handle(count, state) == ("counted", 20)


def test_state_inside_of_a_choice_is_each_branchs_own():
    """And state outside of it is shared by all branches, in their order."""

    @effect
    def flip() -> bool: ...

    def body():
        amount = 1 if perform(flip) else 100
        perform(put, perform(get) + amount)
        return perform(get)

    stateful = Handler(get.update(lambda s: (s, s)), put.update(lambda s, new: (None, new)), state=0)
    both = flip.ctl(lambda k: [k.resume(True), k.resume(False)])
    assert handle(lambda: handle(body, stateful), both) == [1, 100]
    assert handle(lambda: handle(body, both), stateful) == [1, 101]


def test_a_resumption_reads_and_sets_the_state():
    """k.state, and resume(value, state=new)."""
    clause = get.ctl(lambda k: k.resume(k.state, state=k.state + 1))
    assert handle(lambda: [perform(get) for _ in range(1)] + [perform(get)], clause, state=5) == [5, 6]


def test_state_by_functions():
    """The textbook's state: each clause returns a function from states (parameter passing)."""
    result = handle(
        count,
        get.once(lambda k: lambda s: k.resume(s)(s)),
        put.once(lambda k, new: lambda s: k.resume(None)(new)),
        returns=lambda value: lambda s: (value, s),
    )
    assert result(1) == ("counted", 20)


# What suspends otherwise passes through


def test_a_plain_suspend_passes_handlers():
    """The fiber around them is suspended, any number of handlers deep."""

    def body():
        return [suspend(perform(get)), suspend("b")]

    fiber = Fiber(lambda: handle(lambda: handle(body, ask.fun(str.upper)), get.fun(lambda: 1)))
    assert (fiber.resume(), fiber.resume("x"), fiber.resume("y")) == (1, "b", ["x", "y"])


def test_a_plain_suspend_with_no_fiber_around_is_an_error_at_the_suspend():
    """It can be caught there."""

    def body():
        try:
            suspend()
        except FiberError as error:
            return str(error)

    assert handle(body).startswith("suspend() in a prompt that is outside of any fiber")


def test_generators_yield_through_handlers():
    """yield_ beneath handle, in a generator."""

    @generator
    def numbers():
        handle(
            lambda: handle(lambda: [yield_(perform(get)), yield_(perform(get))], ask.fun(str.upper)), get.fun(lambda: 7)
        )

    assert list(numbers()) == [7, 7]


def test_yield_beneath_handlers_outside_of_a_generator_is_an_error():
    """The handlers are no generators."""
    with pytest.raises(FiberError, match=r"yield_\(\) outside of any generator"):
        handle(lambda: yield_(1))


def test_a_copied_fiber_has_copies_of_its_handled_programs():
    """Each goes on by itself, whichever is first."""
    import copy

    def body():
        total = 0
        for i in range(3):
            total += suspend(i) * perform(get)
        return total

    def run(fiber, factor):
        while fiber.status == "suspended":
            result = fiber.resume(factor)
        return result

    for first in (0, 1):
        fiber = Fiber(lambda: handle(lambda: handle(body, ask.fun(str.upper)), get.fun(lambda: 2)))
        fiber.resume()
        fiber.resume(1)
        both = [fiber, copy.copy(fiber), copy.copy(fiber)]
        order = both if first else both[::-1]
        assert [run(f, 10 ** (i + 1)) for i, f in enumerate(order)] == [2 + 40, 2 + 400, 2 + 4000]


def test_a_level_is_a_fiber():
    """current() tells what runs."""
    assert handle(lambda: current().status) == "running"
    assert current() is None


def test_threads_have_handlers_of_their_own():
    """A handler is in force in the thread that installed it."""
    import threading

    seen = []

    def other():
        try:
            perform(get)
        except UnhandledError:
            seen.append("unhandled")

    def body():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return perform(get)

    assert (handle(body, get.fun(lambda: 1)), seen) == (1, ["unhandled"])
