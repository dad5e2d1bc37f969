"""The equations of handlers, by observation: both sides give the same result and the same log of what happened, in order.

Sources: Plotkin and Pretnar, "Handlers of Algebraic Effects" (2009); Kammar, Lindley, Oury, "Handlers in Action" (2013); Hillerström and
Lindley, "Shallow Effect Handlers" (2018).
"""

import copy

import pytest

import stackful
from laws.operators import effect
from stackful import Handler, handle, perform, snapshot

pytestmark = pytest.mark.five_ways


@effect
def op(value: int) -> int: ...


@effect
def other(value: int) -> int: ...


@effect
def flip() -> bool: ...


LOG = []


def logged(value):
    LOG.append(value)
    return value


def observed(thunk):
    """Result and log."""
    LOG.clear()
    return thunk(), list(LOG)


def same(left, right):
    assert observed(left) == observed(right)


def through(kind):
    """What becomes of a resumption before it is used."""
    return {"as captured": lambda k: k, "copied": copy.copy, "deep-copied": copy.deepcopy, "pickled": by_snapshot}[kind]


def by_snapshot(k):
    return snapshot.loads(snapshot.dumps(k))


WAYS = ["as captured", "copied", "deep-copied", "pickled"]


def context(value):
    """E[.]: something to be done with the answer."""
    return logged(value * 2) + 1


def doubling(k, value):
    logged(("op", value))
    return ("clause", k.resume(value + 1))


H = Handler(op.ctl(doubling), returns=lambda result: ("return", logged(result)))


def test_a_value_is_returned_through_the_return_clause():
    """handle(return v) = ret(v)."""
    same(lambda: handle(lambda: 5, H), lambda: H.returns(5))


def test_an_operation_is_its_clause():
    """handle(E[op v]) = clause(k, v), where k x = handle(E[x]): deep."""

    class K:
        @staticmethod
        def resume(value):
            return handle(lambda: context(value), H)

    same(lambda: handle(lambda: context(perform(op, 3)), H), lambda: doubling(K, 3))


def test_a_shallow_resumption_is_the_context_alone():
    """handle_shallow(E[op v]) = clause(k, v), where k x = E[x]."""

    class K:
        @staticmethod
        def resume(value):
            return context(value)

    shallow = Handler(op.ctl(doubling), returns=lambda result: ("return", result), shallow=True)
    same(lambda: handle(lambda: context(perform(op, 3)), shallow), lambda: doubling(K, 3))


def test_deep_is_shallow_with_the_handler_put_back():
    """Hillerström and Lindley: a deep handler is a shallow one that handles its resumptions again."""

    def again(k, value):
        logged(("op", value))
        return ("clause", k.resume_with(shallow, value + 1))

    shallow = Handler(op.ctl(again), returns=H.returns, shallow=True)

    def program():
        return perform(op, perform(op, 1)) + perform(op, 10)

    same(lambda: handle(program, H), lambda: handle(program, shallow))


def test_an_operation_without_clause_passes():
    """handle(E[other v]) under an outer handler of other: the inner handler is part of what the outer one captures."""

    def program():
        return perform(op, 1) + perform(other, 2) + perform(op, 3)

    outer = Handler(other.ctl(lambda k, value: k.resume(logged(value * 100))))
    same(
        lambda: handle(lambda: handle(program, H), outer),
        lambda: handle(lambda: handle(program, H), other.fun(lambda v: logged(v * 100))),
    )


def test_a_handler_that_performs_again_is_no_handler():
    """The identity: a clause that resumes with what performing again gives."""

    def program():
        return [perform(op, 1), perform(op, 2)]

    identity = op.ctl(lambda k, value: k.resume(perform(op, value)))
    same(lambda: handle(lambda: handle(program, identity), H), lambda: handle(program, H))


@pytest.mark.parametrize("kind", ["fun", "update", "once", "ctl", "tail once", "tail ctl"])
def test_all_ways_to_resume_at_the_end_are_one(kind):
    """Fun f = once (k: k.resume(f)) = ctl (k: k.resume(f)) = ... in tail position."""
    clause, options = {
        "fun": (op.fun(lambda v: logged(v + 1)), {}),
        "update": (op.update(lambda s, v: (logged(v + 1), s)), {"state": 0}),
        "once": (op.once(lambda k, v: k.resume(logged(v + 1))), {}),
        "ctl": (op.ctl(lambda k, v: k.resume(logged(v + 1))), {}),
        "tail once": (op.once(lambda k, v: k.tail_resume(logged(v + 1))), {}),
        "tail ctl": (op.ctl(lambda k, v: k.tail_resume(logged(v + 1))), {}),
    }[kind]

    def spelled_out():
        return [logged(logged(1)), logged(logged(6)), 60]

    def handled():
        return handle(lambda: handle(first_then_rest, clause, **options), other.fun(lambda v: v * 10))

    def first_then_rest():
        first = perform(op, 0)
        logged(first)
        second = perform(op, 5)
        logged(second)
        return [first, second, perform(other, 6)]

    same(handled, spelled_out)


def test_final_is_a_clause_that_does_not_resume():
    """Final f = ctl (k: f), but for when finally runs: before it."""

    @stackful.effect
    def plain(value: int) -> int: ...  # a resumption that has travelled has nothing to finalise

    def program():
        try:
            return perform(plain, 1)
        finally:
            logged("finally")

    assert observed(lambda: handle(program, plain.final(lambda v: logged(v)))) == (1, ["finally", 1])
    assert observed(lambda: handle(program, plain.ctl(lambda k, v: logged(v)))) == (1, [1, "finally"])


@pytest.mark.parametrize("way_of_k", WAYS)
def test_every_resumption_goes_on_as_the_context(way_of_k):
    """Captured, copied, deep-copied or pickled: k x = handle(E[x]), each time it is resumed."""
    change = through(way_of_k)

    def program():
        value = perform(op, 3)
        total = 0
        for step in range(3):
            total += value * step
        return ("end", total)

    def clause(k, value):
        k = change(k)
        first = k.resume(value)
        second = k.resume(10)
        return [first, second, k.resume(0)]

    assert handle(program, op.ctl(clause)) == [("end", 9), ("end", 30), ("end", 0)]


def test_choice_distributes():
    """Two flips are the four combinations, in the order of the clause (the list monad)."""

    def program():
        first = perform(flip)
        second = perform(flip)
        return first, second

    both = Handler(flip.ctl(lambda k: k.resume(True) + k.resume(False)), returns=lambda result: [result])
    assert handle(program, both) == [(True, True), (True, False), (False, True), (False, False)]


def test_handlers_of_different_effects_do_not_commute():
    """State inside of choice is local to a branch; choice inside of state shares it (Kammar, Lindley, Oury)."""

    @effect
    def tick() -> int: ...

    counting = Handler(tick.update(lambda s: (s, s + 1)), state=0, returns=lambda result, s: (result, s))
    both = Handler(flip.ctl(lambda k: k.resume(True) + k.resume(False)), returns=lambda result: [result])

    def program():
        perform(flip)
        return perform(tick)

    assert handle(lambda: handle(program, counting), both) == [(0, 1), (0, 1)]
    assert handle(lambda: handle(program, both), counting) == ([0, 1], 2)


def test_exceptions_are_the_effect_that_is_never_resumed():
    """A final clause and try/except give the same, nested alike."""

    class Failure(Exception):
        pass

    @effect
    def fail() -> None: ...

    def with_effect(n):
        return handle(lambda: perform(fail) if n else "fine", fail.final(lambda: "failed"))

    def with_exception(n):
        def body():
            if n:
                raise Failure
            return "fine"

        try:
            return body()
        except Failure:
            return "failed"

    for n in (0, 1):
        same(lambda: with_effect(n), lambda: with_exception(n))


def pair():
    return perform(flip), perform(op, 1)


@pytest.mark.parametrize("kind", ["fun", "update", "final", "ctl"])
def test_inner_handlers_travel_with_a_resumption(kind):
    """A resumption whose captured frames have handlers in force answers, pickled, as it does unpickled."""
    clause = {
        "fun": op.fun(lambda v: v + 1),
        "update": op.update(lambda s, v: (v + s, s)),
        "final": op.final(lambda v: v + 1),
        "ctl": op.ctl(lambda k, v: [k.resume(v), k.resume(v + 1)]),
    }[kind]

    def program():
        return handle(pair, clause, state=1)

    k = handle(program, flip.ctl(lambda k: k))
    assert by_snapshot(k).resume(True) == k.resume(True)
