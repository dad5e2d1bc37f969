"""What docs/limits.md says of the constructs, tried: each construct, behind each thing that may stand in between.

A test that fails because a limit has gone asks for a change of that page.
"""

import copy
import functools
import gc
import itertools
import pickle
import sys
import weakref

import pytest

from stackful import (
    BarrierError,
    Coroutine,
    Fiber,
    FiberError,
    PromptNotFoundError,
    abort,
    barrier,
    call_cc,
    call_ec,
    choose,
    control,
    control0,
    current,
    effect,
    fail,
    generator,
    handle,
    is_suspendable,
    perform,
    prompt,
    reset,
    run,
    shift,
    shift0,
    snapshot,
    solutions,
    suspend,
    suspend_to,
    transfer,
    yield_,
)


@effect
def ask() -> int: ...


@effect
def other() -> int: ...


def run_to_the_end(program):
    fiber = Fiber(program)
    while fiber.status != "dead":
        fiber.resume()


def transfer_and_back():
    here = current()
    return transfer(Coroutine(lambda: transfer(here)))


# Construct -> (what stops, how a program with it is run), for those that suspend a whole fiber.
SUSPENDING = {
    "suspend": (suspend, run_to_the_end),
    "yield_": (yield_, lambda program: list(generator(program)())),
    "transfer": (transfer_and_back, lambda program: transfer(Coroutine(program))),
}
# For those that need the frames in between.
CAPTURING = {
    "suspend_to": (lambda: suspend_to(current()), run_to_the_end),
    "control": (lambda: control(lambda k: k), prompt),
    "shift": (lambda: shift(lambda k: k), reset),
    "control0": (lambda: control0(lambda k: k), prompt),
    "shift0": (lambda: shift0(lambda k: k), reset),
    "call_cc": (lambda: call_cc(lambda k: k), run),
    "choose": (lambda: choose([1, 2]), lambda program: list(solutions(program))),
    "perform, once": (lambda: perform(ask), lambda program: handle(program, ask.once(lambda k: k.resume(1)))),
    "perform, ctl": (lambda: perform(ask), lambda program: handle(program, ask.ctl(lambda k: k.resume(1)))),
}
STOPPING = SUSPENDING | CAPTURING
# Those that leave by an exception, or call in place.
PASSING = {
    "abort": (lambda: abort(None, [0]), prompt, [0]),
    "perform, final": (lambda: perform(ask), lambda program: handle(program, ask.final(lambda: [0])), [0]),
    "perform, fun": (lambda: perform(ask), lambda program: handle(program, ask.fun(lambda: 0)), [0]),
    "perform, update": (lambda: perform(ask), lambda p: handle(p, ask.update(lambda s: (s, s)), state=0), [0]),
    "fail": (fail, lambda program: [*solutions(program), 0], [0]),
}


class Thing:
    """Its methods are called by C."""

    def __init__(self, stop):
        self.stop = stop
        if stop is not None:
            stop()

    @classmethod
    def of(cls, stop):
        thing = cls(None)
        thing.stop = stop
        return thing

    @property
    def attribute(self):
        return self.stop()

    def __add__(self, other):
        return self.stop()

    def __getitem__(self, index):
        return self.stop()


def plain_generator(stop):
    yield stop()


BEHIND = {
    "sorted": lambda stop: sorted([0], key=lambda _: stop()),
    "map": lambda stop: list(map(lambda _: stop(), [0])),
    "__init__": lambda stop: [Thing(stop), 0][1:],
    "a property": lambda stop: [Thing.of(stop).attribute],
    "an operator": lambda stop: [Thing.of(stop) + 1],
    "a subscription": lambda stop: [Thing.of(stop)[0]],
    "a plain generator": lambda stop: list(plain_generator(stop)),
    "functools.partial": lambda stop: [functools.partial(lambda: stop())()],
}


@pytest.mark.parametrize("between", BEHIND)
@pytest.mark.parametrize("construct", SUSPENDING)
def test_what_suspends_a_fiber_crosses_c_calls(construct, between):
    """The C stack is kept, and the program goes on."""
    stop, program_runner = SUSPENDING[construct]
    log = []

    def program():
        log.append(repr(BEHIND[between](lambda: log.append("before") or [stop(), 0][1] or log.append("after") or 0)))

    program_runner(program)
    assert log == ["before", "after", "[0]"]


@pytest.mark.parametrize("between", BEHIND)
@pytest.mark.parametrize("construct", SUSPENDING)
def test_what_suspends_a_fiber_does_not_cross_a_barrier(construct, between):
    """BarrierError within barrier(), behind a C call or not, and the program goes on."""
    stop, program_runner = SUSPENDING[construct]
    refused = []

    def attempt():
        with pytest.raises(BarrierError) as caught:
            stop()
        refused.append(str(caught.value))
        return 0

    def program():
        barrier(lambda: BEHIND[between](attempt))
        barrier(attempt)

    program_runner(program)
    assert len(refused) == 2


@pytest.mark.parametrize("between", BEHIND)
@pytest.mark.parametrize("construct", CAPTURING)
def test_nothing_that_captures_frames_crosses_a_c_call(construct, between):
    """BarrierError, and the program goes on."""
    stop, program_runner = CAPTURING[construct]
    refused = []

    def attempt():
        try:
            stop()
        except BarrierError as error:
            refused.append(str(error))
        return 0

    def program():
        BEHIND[between](attempt)
        refused.append("went on")

    program_runner(program)
    assert refused[1:] == ["went on"]
    assert refused[0].startswith("cannot suspend across a C call")


@pytest.mark.parametrize("between", BEHIND)
@pytest.mark.parametrize("construct", PASSING)
def test_what_leaves_by_an_exception_or_answers_in_place_passes_c_calls(construct, between):
    """As in plain code."""
    stop, program_runner, expected = PASSING[construct]
    assert program_runner(lambda: BEHIND[between](stop)) == expected


@pytest.mark.parametrize("construct", STOPPING)
def test_called_by_star_arguments(construct):
    """A plain call from 3.12 on, for captures a C call on 3.11."""
    stop, program_runner = STOPPING[construct]
    if construct == "yield_":
        stop = lambda: yield_(0)  # noqa: E731

    def attempt(*arguments):
        return stop(*arguments)

    if sys.version_info >= (3, 12) or construct in SUSPENDING:
        program_runner(lambda: attempt(*()))
    else:
        with pytest.raises(BarrierError, match=r"\(\*args\)"):
            program_runner(lambda: attempt(*()))


FIBERS = {
    "Fiber": lambda thunk: Fiber(thunk).resume(),
    "Generator": lambda thunk: list(generator(thunk)()),
    "Coroutine": lambda thunk: Coroutine(thunk).resume(),
}


@pytest.mark.parametrize("between", FIBERS)
@pytest.mark.parametrize("capture", [control, shift, control0, shift0, call_cc])
def test_captures_do_not_leave_their_fiber(capture, between):
    """PromptNotFoundError names the fiber."""
    with pytest.raises(PromptNotFoundError, match="is outside of <"):
        prompt(lambda: FIBERS[between](lambda: capture(lambda k: k)))


@pytest.mark.parametrize("capture", [control, shift, control0, shift0, call_cc])
def test_captures_reach_through_handlers(capture):
    """The handler is part of what is captured."""
    assert prompt(lambda: [handle(lambda: 1 + capture(lambda k: k(1)), other.fun(lambda: 1))]) == [2]


@pytest.mark.parametrize("between", FIBERS)
def test_choices_and_captured_operations_do_not_leave_their_fiber(between):
    """Errors that can be told apart."""
    with pytest.raises(FiberError, match="outside of any search"):
        list(solutions(lambda: FIBERS[between](lambda: choose([1, 2]))))
    with pytest.raises(BarrierError, match="stands between"):
        handle(lambda: FIBERS[between](lambda: perform(ask)), ask.ctl(lambda k: k.resume(1)))


@pytest.mark.parametrize("between", FIBERS)
def test_clauses_in_place_and_escapes_reach_through_fibers(between):
    """And final ones."""
    for clause in (ask.fun(lambda: 7), ask.final(lambda: 7)):
        assert handle(lambda: [FIBERS[between](lambda: perform(ask)), 7][1], clause) == 7
    assert prompt(lambda: FIBERS[between](lambda: abort(None, "out"))) == "out"
    assert call_ec(lambda out: FIBERS[between](lambda: out("out"))) == "out"


def test_yield_reaches_through_handlers_and_prompts_only():
    """Not through a fiber that the generator's body resumes."""
    for around in (prompt, lambda thunk: handle(thunk, other.fun(lambda: 1))):
        assert next(generator(lambda: around(lambda: yield_(5)))()) == 5
    with pytest.raises(FiberError, match="reaches no generator"):
        next(generator(lambda: Fiber(lambda: yield_(5)).resume())())


@pytest.mark.parametrize("construct", ["suspend", "yield_", "transfer", "choose", "perform, once", "perform, ctl"])
def test_prompts_are_passed(construct):
    """They are frames like any others."""
    stop, program_runner = STOPPING[construct]
    program_runner(lambda: prompt(lambda: stop()))


def test_a_prompt_is_no_fiber():
    """At top level nobody has resumed it."""
    with pytest.raises(FiberError, match="outside of any fiber"):
        prompt(suspend)
    assert prompt(is_suspendable) is False


def over_pairs(stop):
    for _ in itertools.pairwise([1, 2, 3]):
        stop()


def test_loops_that_do_not_tell_where_they_stand_cannot_be_copied():
    """pairwise: TypeError for copies of fibers and for calls of continuations."""
    fiber = Fiber(over_pairs, suspend)
    fiber.resume()
    k = reset(lambda: over_pairs(lambda: shift(lambda k: k)))
    for copying in (lambda: copy.copy(fiber), k):
        with pytest.raises(TypeError, match="does not tell where it stands"):
            copying()
    assert fiber.resume() is None


def test_a_dropped_continuation_runs_no_finally():
    """Only frames that run to their end do."""
    log = []

    def body():
        try:
            return shift(lambda k: k)
        finally:
            log.append("finally")

    k = reset(body)
    k(1)
    del k
    gc.collect()
    assert log == ["finally"]


def test_an_abort_that_a_plain_generator_holds_back_comes_out_as_it_is():
    """The generator's frames are CPython's own: nothing looks at what leaves them."""

    def held_back():
        try:
            abort(None, 1)
        finally:
            yield "in finally"

    one = held_back()
    assert prompt(lambda: next(one)) == "in finally"
    with pytest.raises(BaseException) as caught:
        next(one)
    assert caught.type.__name__ == "Abort" and not issubclass(caught.type, Exception)


def test_going_back_undoes_nothing():
    """Plain locals are as at the capture, objects and variables of inner functions as they are now."""

    def main():
        plain, items, shared = 0, [], 0

        def bump():
            nonlocal shared
            shared += 1

        k = call_cc(lambda k: k)
        plain += 1
        items.append(plain)
        bump()
        return (plain, items, shared) if len(items) == 3 else k(k)

    assert run(main) == (1, [1, 1, 1], 3)


def test_a_once_clause_that_is_captured_and_resumed_twice_has_one_resumption():
    """AlreadyResumedError the second time."""
    inner = other.once(lambda k: k.resume(perform(ask)))
    with pytest.raises(RuntimeError, match="was resumed before"):
        handle(lambda: handle(lambda: perform(other), inner), ask.ctl(lambda k: [k.resume(1), k.resume(2)]))


@pytest.mark.parametrize("way", [pickle.dumps, snapshot.dumps])
def test_values_that_do_not_pickle_cannot_be_saved_in_any_construct(way):
    """The error names the value."""
    import threading

    lock = threading.Lock()
    lock.acquire()

    def body(lock, stop):
        stop()
        return lock

    fiber = Fiber(body, lock, suspend)
    fiber.resume()
    held = [fiber, reset(lambda: body(lock, lambda: shift(lambda k: k)))]
    held.append(run(lambda: body(lock, lambda: call_cc(lambda k: abort(None, k)))))
    one = generator(body)(lock, yield_)
    next(one)
    held.append(one)
    held.append(handle(lambda: body(lock, lambda: perform(ask)), ask.ctl(lambda k: k)))
    for value in held:
        with pytest.raises(TypeError, match="lock"):
            way(value)


def test_an_exception_group_takes_along_what_leaves():
    """An `except*` block whose group is not handled whole, as it does SystemExit; one that is handled whole does not."""

    def in_group(leave, *others):
        try:
            raise ExceptionGroup("group", [KeyError("handled"), *others])
        except* KeyError:
            leave()

    leaving = [
        lambda *others: call_ec(lambda out: in_group(lambda: out(5), *others)),
        lambda *others: prompt(lambda: in_group(lambda: abort(None, 5), *others)),
        lambda *others: handle(lambda: in_group(lambda: perform(ask), *others), ask.final(lambda: 5)),
        lambda *others: next(solutions(lambda: choose([1, 5]) == 5 and 5 or in_group(fail, *others))),
    ]
    for leave in leaving:
        assert leave() == 5
        with pytest.raises(BaseExceptionGroup) as raised:
            leave(TypeError("not handled"))
        assert raised.value.split(TypeError)[1] is not None


@pytest.mark.parametrize("is_in_place", [True, False])
def test_the_locals_of_a_clause_called_in_place_die_before_the_program_goes_on(is_in_place):
    """With the program captured, the clause keeps them until the program has ended."""

    class Local:
        pass

    locals_of_clause = []

    def in_place(k):
        local = Local()
        locals_of_clause.append(weakref.ref(local))
        return k.resume(1)

    def captured(k):
        local = Local()
        locals_of_clause.append(weakref.ref(local))
        result = k.resume(1)
        return result  # noqa: RET504 - so that the call is not the last thing that it does

    def program():
        perform(ask)
        return locals_of_clause[0]() is None

    assert handle(program, ask.once(in_place if is_in_place else captured)) is is_in_place
