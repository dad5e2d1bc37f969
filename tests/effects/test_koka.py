"""The situations of Koka's tests of effects (test/algeff, named in each docstring): finalisation, masks by hand, linear clauses."""

import copy
import gc
import sys

import pytest

from laws.operators import Log, call_cc, effect, travelled
from stackful import Fiber, FiberExit, Handler, Operation, PromptTag, UnhandledError, handle, perform, prompt, suspend

pytestmark = pytest.mark.five_ways


@effect
def fail(message: str) -> str: ...


@effect
def say(text: str) -> None: ...


@effect
def flip() -> bool: ...


def guarded(log, thunk, name="finalizing.."):
    """Koka's `finally`."""
    try:
        return thunk()
    finally:
        log.append(name)


@pytest.mark.parametrize("kind", ["final", "once", "ctl"])
def test_finalize1_who_does_not_resume_finalises(kind):
    """finalize1: "finalizing.." comes, whether the clause says so (final) or just returns without resuming."""
    log = Log()
    clause = fail.final(lambda m: m) if kind == "final" else getattr(Operation, kind)(fail, lambda k, m: m)
    assert handle(lambda: guarded(log, lambda: [perform(fail, "ouch"), "ok"]), clause) == "ouch"
    assert log == ["finalizing.."]


def test_finalize2_a_finally_block_may_perform():
    """finalize2: on the way out by a normal end, it asks the handler that is still in force."""
    log = Log()

    def body():
        try:
            perform(say, "Error")
            return 2
        finally:
            log.append("Pre final")
            perform(say, "Final")
            log.append("Post final")

    # Not one that travels: what it leaves behind would be finalised as well, and perform where nobody handles.
    clause = Operation.ctl(say, lambda k, text: [log.append(text), k.resume(None)][1])
    assert handle(body, clause) == 2
    assert log == ["Error", "Pre final", "Final", "Post final"]


def test_finally_blocks_of_all_frames_run_innermost_first():
    """Through nested finally blocks and an inner handler of something else."""
    log = Log()

    def inner():
        return guarded(log, lambda: guarded(log, lambda: perform(fail, "ouch"), "one"), "two")

    def body():
        return guarded(log, lambda: handle(inner, say.fun(log.append)), "three")

    assert handle(body, fail.final(str.upper)) == "OUCH"
    assert log == ["one", "two", "three"]


def test_a_finalised_program_cannot_be_brought_back_by_catching():
    """FiberExit is no Exception: `except Exception` does not see it, and who catches it by name and goes on is over all the same."""
    log = Log()

    def body():
        try:
            perform(fail, "x")
        except Exception:
            log.append("wrong")
        except FiberExit:
            log.append("exit")
        return "not the result"

    assert handle(body, Operation.once(fail, lambda k, m: "result")) == "result"
    assert log == ["exit"]


def test_return_clauses_do_not_run_for_what_is_finalised():
    """The value of a clause that does not resume is the handler's as it is."""
    assert handle(lambda: perform(fail, "x"), Handler(fail.final(str.upper), returns=lambda v: ("returned", v))) == "X"
    assert handle(lambda: "x", Handler(fail.final(str.upper), returns=lambda v: ("returned", v))) == ("returned", "x")


def test_a_discontinued_program_can_recover():
    """exn1, exn2: an error at the operation is caught in the program, or is the handler's."""

    def body():
        try:
            return perform(fail, "x")
        except KeyError:
            return "recovered"

    assert handle(body, fail.once(lambda k, m: k.discontinue(KeyError(m)))) == "recovered"


def test_inject_an_operation_meant_for_the_next_handler_out():
    """inject1: mask skips one handler; here the program says so by a clause that performs again."""
    skipping = say.fun(lambda text: perform(say, f"skipped {text}"))
    log = Log()
    handle(lambda: handle(lambda: perform(say, "x"), skipping), say.fun(log.append))
    assert log == ["skipped x"]


def test_amb_states_and_choices_in_both_orders():
    """amb1, amb2: xor with a counter, inside and outside of the choice."""

    @effect
    def tick() -> int: ...

    def xor():
        p = perform(flip)
        if perform(tick) >= 0:
            q = perform(flip)
        return (p or q) and not (p and q)

    both = Handler(flip.ctl(lambda k: [*k.resume(False), *k.resume(True)]), returns=lambda v: [v])
    counting = Handler(tick.update(lambda s: (s, s + 1)), state=0, returns=lambda v, s: (v, s))
    assert handle(lambda: handle(xor, counting), both) == [(False, 1), (True, 1), (True, 1), (False, 1)]
    assert handle(lambda: handle(xor, both), counting) == ([False, True, True, False], 2)


def test_linear_clauses_run_in_place():
    """linear1: a fun clause is called where the operation is performed, with the program's frames beneath it."""
    import sys

    def clause(text):
        frame, names = sys._getframe(), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        return "marked_program" in names

    def marked_program():
        return perform(say, "x")

    assert handle(marked_program, say.fun(clause)) is True


def test_nim_strategies_are_handlers():
    """nim: the same game, played perfectly, and by every possible move."""

    @effect
    def move(heap: int) -> int: ...

    def game(heap, player="alice", other="bob"):
        while True:
            heap -= perform(move, heap)
            if heap <= 0:
                return player
            player, other = other, player

    perfect = move.once(lambda k, heap: k.resume(max(1, heap % 4)))
    assert [handle(lambda n=n: game(n), perfect) for n in (7, 12)] == ["alice", "bob"]
    every = Handler(
        move.ctl(lambda k, heap: [w for taken in range(1, min(3, heap) + 1) for w in k.resume(taken)]),
        returns=lambda winner: [winner],
    )
    assert handle(lambda: game(3), every) == ["alice", "bob", "bob", "alice"]


# Koka's final clauses leave as exceptions do; here what they leave may be captured on the way


def test_a_finally_block_on_the_way_of_a_final_clause_may_perform():
    """What the same handler answers by a capture: the frames come back with their handler, and the way out goes on to that."""
    log = Log()

    def body():
        try:
            return perform(fail, "ouch")
        finally:
            log.append(perform(flip))

    handler = Handler(fail.final(str.upper), flip.ctl(lambda k: [k.resume(True), k.resume(False)]))
    assert handle(body, handler) == ["OUCH", "OUCH"]
    assert log == [True, False]


@pytest.mark.parametrize("where", ["around the handler", "within it"])
def test_a_final_clause_whose_way_out_is_captured_by_a_finally_block(where):
    """It goes on to the handler that came along, or to the one that is in force where it goes on."""
    p, kept = PromptTag("p"), Log()

    def body():
        try:
            return perform(fail, "ouch")
        finally:
            call_cc(lambda k: kept.append(k) if not kept else None, p)

    handler = Handler(fail.final(str.upper))
    if where == "around the handler":
        assert prompt(lambda: ["p", handle(body, handler)], p) == ["p", "OUCH"]
        assert prompt(lambda: kept[0](None), p) == ["p", "OUCH"]
    else:
        assert handle(lambda: ["handled", prompt(body, p)], handler) == "OUCH"
        assert handle(lambda: ["handled", prompt(lambda: kept[0](None), p)], handler) == "OUCH"


def test_a_final_clause_whose_handler_is_gone_is_an_error():
    """Its way out, captured within the handler and gone on with outside of it: there is nobody to answer."""
    p, kept = PromptTag("p"), Log()

    def body():
        try:
            return perform(fail, "ouch")
        finally:
            call_cc(lambda k: kept.append(k) if not kept else None, p)

    assert handle(lambda: prompt(body, p), fail.final(str.upper)) == "OUCH"
    with pytest.raises(UnhandledError, match="handler of fail> is gone"):
        prompt(lambda: kept[0](None), p)


def test_a_fiber_that_is_copied_on_the_way_of_a_final_clause():
    """Each copy leaves for its own handler."""

    def body():
        try:
            return perform(fail, "ouch")
        finally:
            suspend("in finally")

    fiber = Fiber(lambda: ["never", handle(body, fail.final(str.upper))][1])
    assert fiber.resume() == "in finally"
    twin = copy.copy(fiber)
    fiber = travelled(fiber)
    assert (fiber.resume(), twin.resume()) == ("OUCH", "OUCH")


def test_a_final_clause_passes_handlers_that_are_out_of_force():
    """The same handler twice: within its own clause the inner one is out of force, and the outer one is left for, also after a capture."""
    p, kept = PromptTag("p"), Log()

    def clause(text):
        try:
            return perform(fail, text)
        finally:
            call_cc(lambda k: kept.append(k) if not kept else None, p)

    twice = Handler(say.fun(clause), fail.final(lambda message: ["left", message]))

    def body():
        return ["outer", handle(lambda: ["inner", perform(say, "x")], twice)]

    assert prompt(lambda: ["p", handle(body, twice)], p) == ["p", ["left", "x"]]
    assert prompt(lambda: kept[0](None), p) == ["p", ["left", "x"]]


def fails_in_finally():
    try:
        return perform(fail, "ouch")
    finally:
        raise KeyError("in finally")


def test_a_finally_block_that_fails_on_the_way_of_a_final_clause():
    """Its error leaves in the stead of the clause, as it would take the place of any exception; outer finally blocks run."""
    log = Log()

    with pytest.raises(KeyError, match="in finally"):
        handle(lambda: guarded(log, fails_in_finally), fail.final(str.upper))
    assert log == ["finalizing.."]


def test_a_finally_block_that_fails_when_nobody_resumes():
    """Whoever drops the rest of a program has no part in it: the error is unraisable, and what the clause returns is the result."""
    seen, before = [], sys.unraisablehook
    sys.unraisablehook = lambda unraisable: seen.append(unraisable.exc_type)
    try:
        assert handle(fails_in_finally, Operation.once(fail, lambda k, m: m)) == "ouch"
    finally:
        sys.unraisablehook = before
    assert seen == [KeyError]


def test_initially_runs_for_each_time_that_the_program_goes_on():
    """Koka's initially counts resumptions: here it is what stands behind perform, once for each of them."""
    log = Log()

    def body():
        answer = perform(flip)
        log.append("initially")
        return guarded(log, lambda: answer, "finally")

    assert handle(body, flip.ctl(lambda k: [k.resume(True), k.resume(False)])) == [True, False]
    assert log == ["initially", "finally"] * 2


def test_discontinuing_one_shot_of_many():
    """One resumption ends by an error, the other by its end: finally blocks run in each, and the clause goes on."""
    log = Log()

    def clause(k):
        try:
            k.discontinue(KeyError("first"))
        except KeyError as error:
            return [str(error), k.resume(True)]

    assert handle(lambda: guarded(log, lambda: perform(flip)), flip.ctl(clause)) == ["'first'", True]
    assert log == ["finalizing.."] * 2


def test_state_outside_of_an_exception_stays_and_inside_of_it_is_lost():
    """State and exn in both orders: what a failing program has written is kept where its handler is outside."""

    @effect
    def put(value: int) -> None: ...

    def body():
        perform(put, 1)
        return perform(fail, "ouch")

    def counting():
        return Handler(put.update(lambda s, v: (None, v)), state=0, returns=lambda value, s: (value, s))

    failing = Handler(fail.final(str.upper))
    assert handle(lambda: handle(body, failing), counting()) == ("OUCH", 1)
    assert handle(lambda: handle(body, counting()), failing) == "OUCH"


def test_an_error_of_a_clause_is_raised_where_its_handler_stands():
    """Neither in the program, which is finalised, nor at the handlers between; in place it is raised at perform."""
    log = Log()

    def body():
        try:
            return perform(fail, "ouch")
        except KeyError:
            return "caught in the program"
        finally:
            log.append("finally")

    def clause(k, message):
        raise KeyError(message)

    with pytest.raises(KeyError):
        handle(lambda: handle(body, say.fun(log.append)), Operation.once(fail, clause))
    gc.collect()
    assert handle(body, fail.fun(lambda message: clause(None, message))) == "caught in the program"
    assert log == ["finally"] * 2


def test_named_handlers_of_one_effect():
    """named: each handler has an operation of its own, so that the program says which one it means, whatever the nesting."""

    def named():
        @effect
        def get() -> str: ...

        return get

    a, b = named(), named()

    def body():
        return perform(a) + perform(b) + handle(lambda: perform(a) + perform(b), a.fun(lambda: "inner "))

    assert handle(lambda: handle(body, a.fun(lambda: "a ")), b.fun(lambda: "b ")) == "a b inner b "
