"""A clause that resumes in tail position is called in place, and nobody can tell: each program does the same as if every program were captured.

Each gives what it came to, and a log of what happened, in order. The rules by which clauses are chosen: tests/effects/test_tails.py.
"""

import contextlib
import copy
import gc
import pickle
import sys
from unittest import mock

import pytest

from stackful import (
    Coroutine,
    Fiber,
    Handler,
    PromptTag,
    _core,
    abort,
    call_cc,
    call_ec,
    control,
    dynamic_wind,
    effect,
    generator,
    handle,
    perform,
    prompt,
    reset,
    resume,
    run,
    shift,
    snapshot,
    suspend,
    transfer,
    yield_,
)
from stackful.effects import answers, tails

pytestmark = pytest.mark.three_ways


@effect
def ask(value: int) -> int: ...


@effect
def inner(value: int) -> int: ...


@effect
def outer(value: int) -> int: ...


LOG = []
PROGRAMS = {}
TAG = PromptTag("tag")
KINDS = ["once", "ctl"]


def program(function):
    """Make it one of the programs: it is given what makes clauses of either kind, which resume in tail position."""
    PROGRAMS[function.__name__] = function
    return function


def told(error):
    """An error and what it came of."""
    return error and (repr(error), told(error.__context__))


def watched(ask_it, name="program"):
    """A program with something to do on its way out."""
    try:
        return ask_it()
    except BaseException as error:
        LOG.append((name, type(error).__name__))
        raise
    finally:
        LOG.append((name, "finally"))


def outcome(function, kind):
    """What it comes to, its log, and what was left for the collector."""
    LOG.clear()
    try:
        result = ("returns", function(lambda operation, clause: getattr(operation, kind)(clause)))
    except Exception as error:
        result = ("raises", told(error))
        error.__traceback__ = None
        del error
    gc.collect()
    return result, list(LOG)


@contextlib.contextmanager
def every_program_captured():
    """Without clauses that are called in place."""
    with mock.patch.object(answers, "resumes_last", lambda _: False):
        yield


@program
def resumes(clause):
    return handle(lambda: [perform(ask, i) for i in range(5)], clause(ask, lambda k, x: k.resume(x + 1)))


@program
def resumes_in_constant_stack(clause):
    return handle(lambda: [perform(ask, i) for i in range(5)], clause(ask, lambda k, x: k.tail_resume(x + 1)))


@program
def goes_through_the_return_clause(clause):
    return handle(lambda: perform(ask, 1), clause(ask, lambda k, x: k.resume(x + 1)), returns=lambda x: ["result", x])


@program
def is_given_up(clause):
    def answer(k, x):
        LOG.append("clause")
        if x:
            return k.resume(x)
        return "given up"

    body = lambda: [watched(lambda: perform(ask, i)) for i in (2, 1, 0)]  # noqa: E731
    return handle(body, clause(ask, answer), returns=lambda x: ["result", x]), LOG.append("after")


@program
def is_given_up_several_levels_further_in(clause):
    def answer(k, x):
        return k.resume(x) if x else "given up"

    def body():
        mine = handle(lambda: watched(lambda: perform(ask, 0), "innermost"), inner.fun(lambda x: x))
        return watched(lambda: mine, "middle")

    return handle(lambda: watched(lambda: prompt(body)), clause(ask, answer))


@program
def raises(clause):
    def answer(k, x):
        if x:
            return k.resume(x)
        raise KeyError(x)

    def body():
        return perform(ask, 1), watched(lambda: perform(ask, 0))

    try:
        handle(body, clause(ask, answer), returns=lambda x: ["result", x])
    except KeyError as error:
        LOG.append(("caught", told(error)))
    LOG.append("after")


@program
def raises_what_the_program_would_catch(clause):
    def answer(k, x):
        return k.resume(1 // x)

    def body():
        try:
            return perform(ask, 0)
        except ZeroDivisionError:
            return "caught inside"

    try:
        return handle(body, clause(ask, answer))
    except ZeroDivisionError:
        return "caught outside"


@program
def is_resumed_from_a_traceback(clause):
    def answer(k, x):
        return k.resume(1 // x)

    try:
        handle(lambda: ["went on with", perform(ask, 0)], clause(ask, answer))
    except ZeroDivisionError as error:
        frame = error.__traceback__
        while frame.tb_next:
            frame = frame.tb_next
        k = frame.tb_frame.f_locals["k"]
        error.__traceback__ = None
        del frame
    return k.resume("that")


@program
def handles_nothing_meanwhile(clause):
    def body():
        try:
            raise KeyError("program's")
        except KeyError:
            result = perform(ask, 1)
            LOG.append(told(sys.exception()))
            return result

    def answer(k, x):
        LOG.append(told(sys.exception()))
        return k.resume(x)

    def answer_badly(k, x):
        return k.resume(x["no"])

    handle(body, clause(ask, answer))
    handle(body, clause(ask, answer_badly))


@program
def handles_what_is_handled_outside(clause):
    def answer(k, x):
        LOG.append(told(sys.exception()))
        y = perform(outer, x)
        LOG.append(told(sys.exception()))
        return k.resume(y)

    def middle():
        try:
            raise KeyError("outside")
        except KeyError:
            return handle(lambda: perform(ask, 1) + perform(ask, 2), clause(ask, answer)), told(sys.exception())

    return handle(middle, outer.ctl(lambda k, x: [k.resume(x), k.resume(10 * x)]))


@program
def suspends_while_it_handles_something(clause):
    def answer(k, x):
        try:
            raise KeyError("clause's")
        except KeyError:
            x = suspend(x)
            LOG.append(told(sys.exception()))
        LOG.append(told(sys.exception()))
        return k.resume(x)

    def body():
        result = perform(ask, 1), perform(ask, 2)
        LOG.append(told(sys.exception()))
        return result

    fiber = Fiber(lambda: handle(body, clause(ask, answer)))
    return fiber.resume(), fiber.resume("a"), fiber.resume("b")


@program
def suspends(clause):
    def answer(k, x):
        return k.resume(suspend(x))

    fiber = Fiber(lambda: handle(lambda: [perform(ask, i) for i in range(3)], clause(ask, answer)))
    got = [fiber.resume()]
    got.append([frame.code.co_name for frame in fiber.frames if frame.code.co_filename == __file__])
    got += [fiber.resume("a"), fiber.resume("b"), fiber.resume("c")]
    return got


@program
def is_copied_while_it_is_suspended(clause):
    def answer(k, x):
        y = suspend(x)
        return k.resume(y)

    def body():
        return [perform(ask, i) for i in range(2)]

    fiber = Fiber(lambda: handle(body, clause(ask, answer)))
    fiber.resume()
    copies = [copy.copy(fiber), copy.deepcopy(fiber), pickle.loads(pickle.dumps(fiber)), fiber]
    for each in copies:
        try:
            LOG.append(each.resume(each is fiber))
            LOG.append(each.resume("last"))
        except Exception as error:
            LOG.append(type(error).__name__)


@program
def is_closed_while_it_is_suspended(clause):
    def answer(k, x):
        return k.resume(watched(lambda: suspend(x), "clause"))

    fiber = Fiber(lambda: handle(lambda: watched(lambda: perform(ask, 1)), clause(ask, answer)))
    fiber.resume()
    fiber.close()


@program
def suspends_behind_c(clause):
    def answer(k, x):
        return k.resume(sorted([x, 3], key=suspend))

    fiber = Fiber(lambda: handle(lambda: watched(lambda: [perform(ask, i) for i in range(2)]), clause(ask, answer)))
    return [fiber.resume(), *(fiber.resume(i) for i in range(4))]


@program
def raises_behind_c(clause):
    def answer(k, x):
        return k.resume(sorted([x], key=lambda y: 1 // y))

    return handle(lambda: watched(lambda: [perform(ask, i) for i in (1, 0)]), clause(ask, answer))


@program
def performs_for_an_outer_handler(clause):
    def answer(k, x):
        LOG.append(("clause", x))
        return k.resume(perform(outer, x) + 1)

    def body():
        return [perform(ask, i) for i in range(2)]

    def both(k, x):
        results = []
        for y in (10, 20):
            try:
                results.append(k.resume(x + y))
            except Exception as error:
                results.append(type(error).__name__)
        return results

    return handle(lambda: handle(body, clause(ask, answer)), outer.ctl(both))


@program
def performs_for_an_outer_one_of_its_kind(clause):
    def body():
        return [perform(ask, i) for i in range(3)]

    clauses = (
        clause(ask, lambda k, x: k.resume(perform(outer, x) + 1)),
        clause(outer, lambda k, x: k.tail_resume(x * 10)),
    )
    return handle(lambda: handle(body, clauses[0]), clauses[1])


@program
def performs_what_it_answers(clause):
    again = Handler(clause(ask, lambda k, x: k.resume(perform(ask, x + 1))))

    def nest(depth):
        return perform(ask, 0) if depth == 0 else handle(lambda: nest(depth - 1), again)

    return handle(lambda: nest(5), ask.fun(lambda x: ["base", x]))


@program
def leaves_for_an_outer_handler(clause):
    def answer(k, x):
        return k.resume(perform(outer, x))

    same = Handler(clause(ask, answer), outer.final(lambda x: ["final", x]))

    def body():
        return watched(lambda: handle(lambda: perform(ask, 7), Handler(inner.fun(lambda x: x))))

    once_more = lambda: ["not left", handle(body, same)]  # noqa: E731
    return handle(lambda: handle(once_more, same), ask.fun(lambda x: x), outer.final(lambda x: ["outermost", x]))


@program
def calls_functions_that_answer_in_place(clause):
    """While they do, the program is captured, by an operation of theirs."""

    def deeper(x):
        LOG.append([perform(inner, x), suspend(x), perform(inner, x)])
        return perform(outer, x)

    def answer(k, x):
        first = perform(outer, x)
        return k.resume([first, perform(outer, x)])

    def middle():
        return handle(lambda: [perform(ask, i) for i in range(2)], clause(ask, answer), inner.fun(lambda x: ["own", x]))

    def main():
        middle_with = lambda: handle(middle, outer.fun(deeper), inner.fun(lambda x: ["middle", x]))  # noqa: E731
        return handle(middle_with, outer.fun(lambda x: ["outermost", x]), inner.fun(lambda x: ["outside", x]))

    fiber = Fiber(main)
    return [fiber.resume(), *(fiber.resume(i) for i in range(4))]


@program
def captures_up_to_a_prompt(clause):
    """Those of the handled program are not there for the clause."""

    def answer(k, x):
        return k.resume(shift(lambda j: [j(x), j(x + 10)]))

    def body():
        return reset(lambda: ["inside", perform(ask, 1)])

    def several(j):
        return j

    with_outer = reset(
        lambda: ["outside", handle(body, ask.ctl(answer)), handle(body, clause(ask, lambda k, x: k.resume(x)))]
    )
    try:
        handle(lambda: prompt(lambda: perform(ask, 1), TAG), clause(ask, lambda k, x: k.resume(control(several, TAG))))
    except Exception as error:
        return with_outer, type(error).__name__


@program
def aborts(clause):
    def answer(k, x):
        return k.resume(abort(TAG, x))

    def body():
        return prompt(lambda: watched(lambda: perform(ask, 1)), TAG)

    LOG.append(prompt(lambda: ["outer", handle(body, clause(ask, answer))], TAG))
    return handle(body, clause(ask, answer))


@program
def sees_no_prompts_of_the_program(clause):
    def see():
        LOG.append([TAG in _core.prompts(), len(_core.prompts()), _core.handlers()])

    def answer(k, x):
        see()
        return k.resume(x)

    handlers = Handler(clause(ask, answer)), Handler(inner.fun(lambda x: x)), Handler(outer.fun(lambda x: x))

    def body():
        see()
        return prompt(lambda: handle(lambda: [perform(ask, 1), see()], handlers[1]), TAG)

    handle(lambda: handle(body, handlers[0]), handlers[2])
    LOG[:] = [[found, count, [handlers.index(each) for each in seen]] for found, count, seen in LOG]


@program
def escapes(clause):
    def main(out):
        def answer(k, x):
            return k.resume(out(x))

        return handle(lambda: watched(lambda: perform(ask, 1)), clause(ask, answer))

    return prompt(lambda: ["got", call_ec(main)])


@program
def jumps_with_winders(clause):
    """Leaving and entering again what the program is wound in is nothing that its clause can do."""
    kept = []

    def answer(k, x):
        got = call_cc(lambda j: kept.append(j) or x)
        LOG.append(("clause", got))
        return k.resume(got)

    def body():
        return dynamic_wind(lambda: LOG.append("in"), lambda: perform(ask, 1), lambda: LOG.append("out"))

    def main():
        result = dynamic_wind(
            lambda: LOG.append("in, outside"),
            lambda: handle(body, clause(ask, answer)),
            lambda: LOG.append("out, outside"),
        )
        if kept:
            kept.pop()(result + 1)
        return result

    try:
        return run(main)
    finally:
        kept.clear()


@program
def winds(clause):
    def answer(k, x):
        return k.resume(dynamic_wind(lambda: LOG.append("in"), lambda: perform(outer, x), lambda: LOG.append("out")))

    def body():
        return dynamic_wind(
            lambda: LOG.append("in, program"), lambda: perform(ask, 1), lambda: LOG.append("out, program")
        )

    for way in (outer.ctl(lambda k, x: [k.resume(x)]), outer.ctl(lambda k, x: "given up"), outer.fun(lambda x: x)):
        LOG.append(handle(lambda: handle(body, clause(ask, answer)), way))  # noqa: B023


@program
def handles_in_its_turn(clause):
    def answer(k, x):
        y = handle(lambda: perform(inner, x), clause(inner, lambda j, y: j.resume(y + 1)))
        return k.resume(y)

    return handle(lambda: [perform(ask, i) for i in range(3)], clause(ask, answer), inner.fun(lambda x: ["wrong", x]))


@program
def resumes_fibers(clause):
    def answer(k, x):
        fiber = Fiber(lambda: [perform(outer, x), suspend("waits"), perform(outer, x)])
        LOG.append([resume(fiber), perform(outer, "between")])
        return k.resume(resume(fiber))

    def main():
        return handle(lambda: [perform(ask, i) for i in range(2)], clause(ask, answer))

    return handle(main, outer.ctl(lambda k, x: k.resume(["outer", x])))


@program
def resumes_fibers_by_their_method(clause):
    def answer(k, x):
        fiber = Fiber(lambda: [perform(outer, x), suspend("waits"), perform(inner, x)])
        LOG.append(fiber.resume())
        return k.resume(fiber.resume())

    def body():
        return handle(lambda: [perform(ask, i) for i in range(2)], inner.fun(lambda x: ["wrong", x]))

    return handle(
        lambda: handle(body, clause(ask, answer), inner.fun(lambda x: ["wrong too", x])),
        outer.fun(lambda x: ["outer", x]),
        inner.fun(lambda x: ["right", x]),
    )


@program
def is_performed_by_a_guest(clause):
    def answer(k, x):
        return k.resume(suspend(x))

    guest = Fiber(lambda: [perform(ask, i) for i in range(2)])
    host = Fiber(lambda: handle(lambda: ["host", resume(guest)], clause(ask, answer)))
    return [host.resume(), host.resume("a"), host.resume("b")]


@program
def transfers(clause):
    one = Coroutine(lambda: [handle(lambda: [perform(ask, i) for i in range(2)], clause(ask, answer))])
    two = Coroutine(lambda: [transfer(one, "from two"), transfer(one, "again")])

    def answer(k, x):
        return k.resume([x, transfer(two)])

    result = transfer(one)
    two.close()
    return result


@program
def yields(clause):
    def answer(k, x):
        yield_(x)
        return k.resume(x * 2)

    @generator
    def numbers():
        return handle(lambda: [yield_(["program", perform(ask, i)]) for i in range(3)], clause(ask, answer))

    return list(numbers())


@program
def has_state(clause):
    def answer(k, x):
        return k.resume(x)

    def body():
        return [perform(ask, 1), perform(inner, 2), perform(ask, 3), perform(inner, 4)]

    adding = inner.update(lambda s, x: (s, s + x))
    return handle(body, clause(ask, answer), adding, state=5, returns=lambda x, s: [x, s])


@program
def takes_any_number_of_arguments(clause):
    @effect
    def many(*values): ...

    def answer(k, a=0, b=0, c=0, d=0, e=0, f=0):
        return k.resume([a, b, c, d, e, f])

    def body():
        return [
            perform(many),
            perform(many, 1),
            perform(many, 1, 2),
            perform(many, 1, 2, 3),
            perform(many, 1, 2, 3, 4, 5, 6),
        ]

    return handle(body, clause(many, answer))


@program
def is_called_wrongly(clause):
    return handle(lambda: watched(lambda: perform(ask, 1)), clause(ask, lambda k, x, y: k.resume(x)))


@program
def stands_behind_c(clause):
    """The program cannot be captured, whether it would be or not."""
    return handle(lambda: sorted([2, 1], key=lambda x: perform(ask, x)), clause(ask, lambda k, x: k.resume(x)))


@program
def stands_behind_a_property(clause):
    class Asking:
        @property
        def it(self):
            return perform(ask, 1)

    return handle(lambda: Asking().it, clause(ask, lambda k, x: k.resume(x)))


@program
def is_performed_in_a_plain_generator(clause):
    def numbers():
        yield perform(ask, 1)

    return handle(lambda: [x for x in numbers()], clause(ask, lambda k, x: k.resume(x)))


@program
def is_performed_at_many_depths(clause):
    def visit(depth):
        if depth == 0:
            return perform(ask, 0)
        before = perform(ask, depth)
        return [before, visit(depth - 1), perform(ask, -depth)]

    return handle(lambda: visit(40), clause(ask, lambda k, x: k.resume(x * 2)))


@program
def goes_on_more_than_once(clause):
    """What an outer handler resumes twice asks in place in between."""

    def body():
        got = [perform(ask, 1)]
        for i in range(3):
            got.append(perform(outer, i))
            got.append(perform(ask, got[-1]))
        return got

    return handle(
        lambda: handle(body, clause(ask, lambda k, x: k.resume(["in place", x]))),
        outer.ctl(lambda k, x: [k.resume(x), k.resume(-x)]),
    )


@program
def captures_many_levels_late(clause):
    """Handlers and prompts of the program go with it, with their state."""

    def answer(k, x):
        return k.resume(perform(outer, x))

    def innermost():
        return [perform(inner, 1), perform(ask, 2), perform(inner, 3), shift(lambda j: ["shifted", j("a"), j("b")])]

    def body():
        counting = Handler(inner.update(lambda s, x: (s, s + x)), state=100, returns=lambda x, s: [x, s])
        return handle(lambda: reset(innermost), counting)

    return handle(lambda: handle(body, clause(ask, answer)), outer.ctl(lambda k, x: [k.resume(x), k.resume(x)]))


@program
def keeps_nothing_alive(clause):
    class Held:
        def __del__(self):
            LOG.append("dies")

    def answer(k, x):
        return k.tail_resume(x)

    def body():
        perform(ask, Held())
        LOG.append("asked")
        got = perform(ask, Held())
        LOG.append("asked again")
        del got
        LOG.append("dropped")

    gc.disable()
    try:
        handle(body, clause(ask, answer))
        LOG.append("handled")
    finally:
        gc.enable()


@program
def is_saved_with_its_handler(clause):
    def body():
        return [perform(outer, 1), perform(ask, 2)]

    k = handle(lambda: handle(body, clause(ask, lambda k, x: k.resume([x]))), outer.ctl(lambda k, x: k))
    return [snapshot.loads(snapshot.dumps(k)).resume("saved"), k.resume("itself")]


def in_place(name, kind):
    """What the program comes to, and how many clauses it makes that can be called in place."""
    found = []

    def resumes_last(function):
        found.append(tails.resumes_last(function))
        return found[-1]

    with mock.patch.object(answers, "resumes_last", resumes_last):
        return outcome(PROGRAMS[name], kind), sum(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_clause_called_in_place_does_what_it_does_when_the_program_is_captured(name, kind):
    """Same results, same errors, same log."""
    with every_program_captured():
        expected = outcome(PROGRAMS[name], kind)
    for _ in range(3):
        got, made = in_place(name, kind)
        assert got == expected
        assert made > 0


def test_an_error_shows_where_it_was_raised():
    """Its traceback leads from `handle` to the clause, and shows nothing of the program."""

    def answer(k, x):
        return k.resume(1 // x)

    def body():
        return perform(ask, 0)

    for kind in KINDS:
        with pytest.raises(ZeroDivisionError) as caught:
            handle(body, getattr(ask, kind)(answer))
        names = [entry.name for entry in caught.traceback]
        assert names[-1] == "answer"
        assert "body" not in names
        assert "perform" not in names


def test_resuming_in_place_makes_the_stack_no_deeper():
    """However often: each clause has ended when the program goes on."""

    def depth():
        frame = sys._getframe()
        while frame:
            yield frame
            frame = frame.f_back

    def answer(k, x):
        LOG.append(len(list(depth())))
        return k.resume(x)

    LOG.clear()
    handle(lambda: [perform(ask, i) for i in range(100)], ask.ctl(answer))
    assert (
        max(LOG) < min(LOG) + 10
    )  # frame objects keep a resumption alive: then the next clause is called in the usual way
    LOG.clear()
