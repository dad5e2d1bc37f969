"""Generated programs under generated schedules do what a pure-Python model does."""

import copy
import functools
import gc
import pickle
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from laws import model
from laws.model import DEPTH, KINDS, ModelFiber
from stackful import Fiber

FUNCTIONS = 3
PARAMETER = 5
LONGEST = 40
RUNS = settings(
    max_examples=200,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)

VARIABLES = st.sampled_from(model.VARIABLES)
FAILURES = st.sampled_from(("Failure", "OtherFailure"))
HANDLED = st.sampled_from(("Failure", "OtherFailure", "Exception", "Exception", "BaseException"))


def form(name, *parts):
    return st.tuples(st.just(name), *parts)


def weighted(*choices):
    """One of the strategies, each as often as its number says."""
    return st.one_of([strategy for times, strategy in choices for _ in range(times)])


def compound_expressions(index, parts):
    return weighted(
        (3, form("suspend", parts)),
        (2, form("call", st.integers(index, FUNCTIONS - 1), parts)),
        (1, st.tuples(st.sampled_from(("+", "pair", "and", "or")), parts, parts)),
        (1, form("choice", parts, parts, parts)),
    )


def expressions(index, nesting=2):
    simple = form("constant", st.integers(0, 3)) | form("name", st.sampled_from((*model.VARIABLES, "p")))
    if nesting == 0:
        return simple
    return weighted((2, simple), (1, compound_expressions(index, expressions(index, nesting - 1))))


def simple_statements(index, in_loop):
    value = expressions(index)
    suspension = form("suspend", value)
    return weighted(
        (3, form("assign", VARIABLES, value)),
        (3, form("assign", VARIABLES, suspension)),
        (3, form("emit", suspension)),
        (2, form("emit", form("call", st.integers(index, FUNCTIONS - 1), value))),
        (1, form("fail", FAILURES, value)),
        (1, form("reraise") | form("leave", value)),
        (in_loop, form("jump", st.sampled_from(("break", "continue")))),
    )


def compound_statements(index, in_loop, nesting):
    value = expressions(index)
    body, in_body = blocks(index, in_loop, nesting), blocks(index, True, nesting)
    items = st.lists(value, min_size=1, max_size=3).map(tuple)
    return weighted(
        (1, form("branch", value, body, body)),
        (2, form("loop", VARIABLES, items, in_body, body)),
        (1, form("repeat", st.integers(1, 3), in_body)),
        (3, form("attempt", body, HANDLED, body, body, body)),
        (1, form("managed", st.integers(0, 3), body)),
    )


def statements(index, in_loop, nesting):
    """One statement; compound ones at most `nesting` deep."""
    simple = simple_statements(index, in_loop)
    return weighted((2, simple), (1, compound_statements(index, in_loop, nesting - 1))) if nesting else simple


@functools.cache
def blocks(index, in_loop, nesting):
    return st.lists(statements(index, in_loop, nesting), min_size=1, max_size=3).map(tuple)


def guarded(body, handler, final):
    """A first function that is not over at its first error."""
    return (("repeat", 2, (("attempt", body, "Exception", handler, (), final),)),)


bodies = st.builds(guarded, *[blocks(0, True, 2)] * 3) | blocks(0, False, 2)
programs = st.tuples(bodies, blocks(1, False, 2), blocks(2, False, 1))
operations = weighted(
    (6, form("resume", st.integers(0, 9))),
    (2, form("throw", st.sampled_from(("Failure", "OtherFailure", "FiberExit")))),
    (1, form("copy")),
    (1, form("pickle")),
    (1, form("deepcopy")),
    (1, form("drop") | form("close")),
)
FIRST = (0, ("resume", None))
schedules = st.builds(
    lambda begun, rest: (FIRST,) * begun + tuple(rest),
    st.sampled_from((1, 1, 1, 1, 1, 1, 1, 0)),
    st.lists(st.tuples(st.integers(0, 7), operations), max_size=LONGEST),
)


def described(outcome):
    """An outcome as a plain value; of an error also what it says was handled when it was raised."""
    kind, value = outcome
    if kind != "raised":
        return outcome
    chain = []
    while value is not None:
        is_ours = isinstance(value, tuple(KINDS.values())) and type(value) in KINDS.values()
        chain.append((type(value).__name__, value.args if is_ours else ()))
        value = value.__context__
    return ("raised", tuple(chain))


def without_tracebacks(error):
    """Copies have the errors that they handle in common: a traceback from one would keep the other's frames alive."""
    inner = error
    while inner is not None:
        inner.__traceback__ = None
        inner = inner.__context__
    return error


class RealFiber:
    """A fiber behind the model's interface."""

    def __init__(self, fiber, module):
        self.fiber = fiber
        self.module = module

    emitted = ModelFiber.emitted

    @property
    def status(self):
        return self.fiber.status

    def outcome(self, method, *arguments):
        try:
            value = method(*arguments)
        except BaseException as error:
            return ("raised", without_tracebacks(error))
        return ("returned" if self.fiber.status == "dead" else "suspended", value)

    def resume(self, value):
        return self.outcome(self.fiber.resume, value)

    def throw(self, kind):
        return self.outcome(self.fiber.throw, model.error_named(kind))

    def close(self):
        kind, value = self.outcome(self.fiber.close)
        return (kind if kind == "raised" else "returned", value)

    def copy(self, how=copy.copy):
        return RealFiber(how(self.fiber), self.module)

    def drop(self):
        self.fiber = None


COPIERS = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda fiber: pickle.loads(pickle.dumps(fiber))}


def history(first, schedule, copiers):
    """Everything that a schedule does to a fiber and its copies, as a list of plain values."""
    live, seen = [first], []
    for choice, (operation, *arguments) in schedule:
        if not live:
            break
        fiber = live[choice % len(live)]
        if operation == "drop":
            live.remove(fiber)
            fiber.drop()
            result = None
        elif operation in COPIERS:
            if fiber.status == "suspended":
                live.append(copiers[operation](fiber))
            result = len(live)
        else:
            result = described(getattr(fiber, operation)(*arguments)), fiber.status
        seen.append((operation, result, fiber.emitted()))
    seen += [drained(fiber) for fiber in live]
    return seen


def drained(fiber):
    """Resume until the end, or often enough."""
    outcomes = []
    while fiber.status == "suspended" and len(outcomes) < LONGEST:
        outcomes.append(described(fiber.resume(1)))
    return outcomes, fiber.emitted()


def model_history(fiber, schedule):
    return history(fiber, schedule, dict.fromkeys(COPIERS, ModelFiber.copy))


def fiber_history(program, schedule):
    module = model.new_module(model.render(program))
    copiers = {name: lambda fiber, how=how: fiber.copy(how) for name, how in COPIERS.items()}
    return history(RealFiber(Fiber(module.f0, PARAMETER, DEPTH), module), schedule, copiers)


@pytest.fixture(autouse=True)
def _quiet(monkeypatch):
    """What a dropped fiber raises has nowhere to go: that is expected here."""
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: None)
    yield
    gc.collect()


@RUNS
@given(programs, schedules)
def test_the_model_is_what_generators_do(program, schedule):
    """The interpreter and CPython's own generators agree on every program."""
    interpreted, generated = model.interpreted(program, PARAMETER), model.generated(program, PARAMETER)
    assert model_history(interpreted, schedule) == model_history(generated, schedule)


@RUNS
@given(programs, schedules)
def test_fibers_do_what_the_model_does(program, schedule):
    """Resumed, thrown into, copied, saved, closed and dropped in any order, fibers do what the model does."""
    assert fiber_history(program, schedule) == model_history(model.interpreted(program, PARAMETER), schedule)
