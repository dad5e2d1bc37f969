"""Resumptions as values: copied, deep-copied, pickled, and resumed elsewhere."""

import copy
import pickle

import pytest

from stackful import Handler, effect, handle, perform, snapshot

pytestmark = pytest.mark.three_ways


@effect
def ask(question: str) -> int: ...


@effect
def other() -> int: ...


def program(items):
    total = 0
    for item in items:
        total += item * perform(ask, f"factor of {item}?")
    return total


def nested(items):
    return handle(lambda: handle(lambda: program(items), other.fun(lambda: 1)), returns=lambda value: ("inner", value))


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda k: snapshot.loads(snapshot.dumps(k)),
}
KEEP = {"once": ask.once(lambda k, question: k), "ctl": ask.ctl(lambda k, question: k)}


def answered(k, *answers):
    """Resume with one answer after the other; the clause gives back the next resumption each time."""
    for answer in answers:
        k = k.resume(answer)
    return k


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("kind", KEEP)
@pytest.mark.parametrize("body", [program, nested])
def test_a_copy_goes_on_by_itself(body, kind, how):
    """At each operation the rest is copied, and both end alike."""
    done = (lambda total: ("inner", total)) if body is nested else (lambda total: total)
    k = handle(lambda: body([1, 2, 3]), KEEP[kind])
    for given in ((), (10,), (10, 10)):
        rest = [1] * (3 - len(given))
        twin = COPIES[how](k)
        expected = done(sum(i * f for i, f in zip((1, 2, 3), [*given, *rest], strict=True)))
        assert answered(twin, *rest) == expected
        k = k.resume(10)
    assert k == done(60)


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_of_a_one_shot_can_be_resumed_once_as_well(how):
    """Each exactly once, in any order."""
    k = handle(lambda: program([5]), KEEP["once"])
    twins = [COPIES[how](k) for _ in range(3)]
    assert [twin.resume(factor) for factor, twin in enumerate(twins)] == [0, 5, 10]
    assert k.resume(3) == 15


def test_a_multi_shot_resumption_is_a_value():
    """Resumed later, again and again, also from within another resumption of its own."""
    k = handle(lambda: program([1, 10]), KEEP["ctl"])
    second = k.resume(1)
    assert [second.resume(i) for i in range(3)] == [1, 11, 21]
    assert k.resume(2).resume(second.resume(0)) == 12


def test_nested_programs_are_copied_as_deep_as_they_go():
    """Three handlers deep, four shots each of three choices."""

    @effect
    def choose(n: int) -> int: ...

    def plain():
        a = perform(choose, 4)
        b = perform(choose, 4)
        return (a, b, perform(choose, 4))

    def every(k, n):
        found = []
        for i in range(n):
            found += k.resume(i)
        return found

    deep = lambda: handle(lambda: handle(plain, ask.fun(len)), other.once(lambda k: k.resume(1)))  # noqa: E731
    found = handle(deep, Handler(choose.ctl(every), returns=lambda value: [value]))
    assert found == [(a, b, c) for a in range(4) for b in range(4) for c in range(4)]


def test_a_resumption_shows_its_frames():
    """As a suspended fiber's."""
    k = handle(lambda: program([1]), KEEP["once"])
    assert [frame.code.co_name for frame in k.frames][-3:] == ["program", "perform", "answer"]
    assert repr(k).startswith("<OneShotResumption of program>")
    k.resume(1)
    assert repr(k) == "<OneShotResumption, resumed>"


def test_an_operation_is_itself_wherever_it_goes():
    """Copied, deep-copied and pickled it is the same operation."""
    assert copy.copy(ask) is copy.deepcopy(ask) is pickle.loads(pickle.dumps(ask)) is ask


def test_a_tail_resumption_that_is_not_returned_is_said_and_the_program_closed():
    """Dropped, or put into something else: its finally blocks run, and a warning names the rule."""
    log = []

    def body():
        try:
            return perform(ask, "")
        finally:
            log.append("finally")

    for clause in (lambda k, question: (k.tail_resume(1), 5)[1], lambda k, question: len([k.tail_resume(1)]) + 4):
        for kind in (ask.ctl, ask.once):
            with pytest.warns(RuntimeWarning, match=r"a clause has to return it, `return k.tail_resume\(value\)`"):
                assert handle(body, kind(clause)) == 5
    assert log == ["finally"] * 4
