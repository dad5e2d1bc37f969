"""Which clauses are called in place: those whose bytecode shows that they resume in tail position, and do nothing else with the resumption."""

import pytest

from stackful import effect, handle, perform
from stackful.effects.tails import resumes_last


@effect
def ask(value: int) -> int: ...


def conditional(k, x):
    if x > 1:
        return k.resume(x)
    if x > 0:
        return "given up"
    raise ValueError(x)


def looping(k, x):
    log = []
    while x > 5:
        x -= 1
        log.append(x)
        if x == 7:
            return k.resume(log)
    return k.tail_resume(x)


def matching(k, x):
    match x:
        case 1:
            return k.resume(x)
        case [first, _]:
            return k.resume(first)
        case _:
            raise ValueError(x)


def trying_before(k, x):
    try:
        y = x + 1
    except TypeError:
        return "no number"
    return k.resume(y)


TAILS = {
    "a lambda": lambda k, x: k.resume(x),
    "tail_resume": lambda k, x: k.tail_resume(x),
    "no value": lambda k: k.resume(),
    "a choice of values": lambda k, x, y: k.resume(x if y else y + 1),
    "a choice of results": lambda k, x: k.resume(x) if x else "given up",
    "a call with keywords as value": lambda k, x: k.resume(dict(x, y=1)),
    "a comprehension as value": lambda k, x: k.resume([y + 1 for y in x]),
    "more parameters": lambda k, *x, **options: k.resume((x, options)),
    "conditions": conditional,
    "a loop around it": looping,
    "a match statement": matching,
    "a try statement before it": trying_before,
}


def in_a_try_statement(k, x):
    try:
        return k.resume(x)
    except ValueError:
        return "caught"


def before_a_finally(k, x):
    try:
        return k.resume(x)
    finally:
        print(x)


def in_a_with_statement(k, x):
    with x:
        return k.resume(x)


def in_a_for_loop(k, x):
    for y in x:
        return k.resume(y)


def rebinding(k, x):
    k = x
    return k.resume(x)


def deleting(k, x):
    if x:
        del k
    return k.resume(x)


def keeping_the_result(k, x):
    result = k.resume(x)
    return result


def returning_nothing(k, x):
    k.resume(x)


def generating(k, x):
    yield x
    return k.resume(x)


async def asynchronous(k, x):
    return k.resume(x)


class Callable:
    def __call__(self, k, x):
        return k.resume(x)


OTHERS = {
    "something is done with the result": lambda k, x: k.resume(x) + 1,
    "resumed twice": lambda k, x: [k.resume(x), k.resume(x)],
    "resumed with what it resumes with": lambda k, x: k.resume(k.resume(x)),
    "never resumed": lambda k, x: x,
    "returned": lambda k, x: k,
    "passed on": lambda k, x: x.resume(k),
    "asked for something else": lambda k, x: k.resume(k.state),
    "discontinued": lambda k, x: k.discontinue(x),
    "its method is passed on": lambda k, x: x(k.resume),
    "resumed by an inner function": lambda k, x: lambda: k.resume(x),
    "resumed in a comprehension": lambda k, x: [k.resume(y) for y in x],
    "with state": lambda k, x: k.resume(x, state=1),
    "with the value by name": lambda k, x: k.resume(value=x),
    "with unpacked values": lambda k, x: k.resume(*x),
    "locals() may have it": lambda k, x: k.resume(locals()),
    "it is not the first": lambda x, k: k.resume(x),
    "it is one of many": lambda *k: k[0].resume(1),
    "in a try statement": in_a_try_statement,
    "before a finally": before_a_finally,
    "in a with statement": in_a_with_statement,
    "in a for loop": in_a_for_loop,
    "bound again": rebinding,
    "deleted": deleting,
    "the result is kept": keeping_the_result,
    "the result is dropped": returning_nothing,
    "a generator": generating,
    "a coroutine": asynchronous,
    "an object that is called": Callable(),
    "a function in C": print,
}


@pytest.mark.parametrize("name", TAILS)
def test_it_resumes_in_tail_position(name):
    """That is all that becomes of the resumption, whatever else the clause does."""
    assert resumes_last(TAILS[name])


@pytest.mark.parametrize("name", OTHERS)
def test_it_does_something_else(name):
    """Or that is not certain."""
    assert not resumes_last(OTHERS[name])


@pytest.mark.parametrize("kind", ["once", "ctl"])
def test_a_clause_whose_code_is_replaced_is_called_in_the_usual_way(kind):
    """What was read off the code holds for that code only."""

    def answer(k, x):
        return k.resume(x)

    clause = getattr(ask, kind)(answer)
    body = lambda: perform(ask, 1) + perform(ask, 2)  # noqa: E731
    assert handle(body, clause) == 3

    def other(k, x):
        return ["other", k.resume(x)]

    answer.__code__ = other.__code__
    assert handle(body, clause) == ["other", ["other", 3]]
    changed_meanwhile = getattr(ask, kind)(conditional_copy := lambda k, x: k.resume(x))

    def change():
        conditional_copy.__code__ = other.__code__
        return body()

    assert handle(change, changed_meanwhile) == ["other", ["other", 3]]


def test_what_is_read_off_is_read_once():
    """A handler is made again and again for the same clause: the answer is kept by its code."""
    from stackful.effects import tails

    resumes_last(conditional)
    assert tails._known[id(conditional.__code__)] == (conditional.__code__, True)
