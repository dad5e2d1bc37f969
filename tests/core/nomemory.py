"""Make each allocation of one operation fail in turn, and look at what is left.

    python nomemory.py OPERATION

The operation runs with its first allocation failing, then with its second, until it needs no more; then the same with all
later ones failing too. It ends in success or in a MemoryError, never in a wrong answer; the fiber is as it was, or went on
rightly, or died of the error; it and its copy come to the right end; and nothing is held that should be free.
"""

import copy
import faulthandler
import gc
import pickle
import sys
from _testcapi import remove_mem_hooks, set_nomemory
from functools import partial
from typing import NamedTuple

from stackful import (
    BarrierError,
    Fiber,
    FiberError,
    UnsaveableError,
    _core,
    current,
    is_suspendable,
    suspend,
    suspend_to,
)

RIGHT = 66  # what `deep` returns when every suspend is given 1
OPERATIONS = {}
IN_PYTHON = set()

# A KeyError is what is thrown; CPython's pickler makes a PicklingError of each MemoryError while it looks up a name.
EXPECTED = MemoryError | KeyError | BarrierError | FiberError | pickle.PicklingError | UnsaveableError


class Outcome(NamedTuple):
    value: object
    error: BaseException | None


class Token:
    """Stands in frames: is it given back?"""


def operation(function):
    """A generator function: it prepares, yields what C is to call, is sent the outcome, and judges."""
    OPERATIONS[function.__name__] = function
    return function


def operation_in_python(function):
    """One that is not done by the core alone."""
    IN_PYTHON.add(function)
    return operation(function)


# ---- the programs under test: CPython loses a raised exception when it finds no memory for the frame object of a caller
# (v3.11.2 and v3.13.0 Python/frame.c, take_ownership), so each frame has got its frame object before anything fails.


def count(upto):
    yield from range(upto)


def deep(n, token, *, start):
    """`n` + 1 frames, three suspensions; iterators, a generator and a half-built display on evaluation stacks."""
    sys._getframe()
    if n:
        return deep(n - 1, token, start=start)
    total = start
    for x, _ in zip([1, 2], count(5)):
        total += suspend(token) * x
    for x in map(int, iter((10, 20))):
        total += x * is_suspendable()
    return total + sum([10, 20, suspend(token) - 1])


def patient(token):
    sys._getframe()
    for attempt in range(1, 5):
        try:
            suspend(attempt)
            return "done"
        except MemoryError:
            pass


def barred(token):
    sys._getframe()
    return sorted([token], key=capture_here)


def capture_here(value):
    sys._getframe()
    return suspend_to(current(), value)


def key(token, _):
    sys._getframe()
    return suspend(token)


def behind_c(token, log):
    """Hard suspensions: in C code that is called, in C code that is on an evaluation stack, and where C code ends by them."""
    sys._getframe()
    try:
        (total,) = sorted([1], key=partial(key, token))
        for x in map(suspend, (token, token)):
            total += x
        return total + suspend(token)
    finally:
        log.append(token)


def closing(token, log):
    sys._getframe()
    try:
        suspend()
    finally:
        log.append(token)


def fresh(token):
    return Fiber(deep, 3, token, start=3)


def suspended(token, times=1):
    fiber = fresh(token)
    for i in range(times):
        fiber.resume(1 if i else None)
    return fiber


# ---- judgement


def finish(fiber, value=None):
    while fiber.status != "dead":
        fiber.resume(value)
        value = 1
    return fiber.result


def must_be_whole(fiber):
    """It and a copy of it both come to the right end."""
    begun = 1 if fiber.frames else None
    assert finish(copy.copy(fiber), begun) == RIGHT
    assert finish(fiber, begun) == RIGHT


def must_have_died(fiber):
    assert fiber.frames == ()
    for act in (fiber.resume, lambda: fiber.result):
        try:
            act()
        except RuntimeError:
            continue
        raise AssertionError("a dead fiber gave a result")


def must_have_run(fiber, outcome):
    if fiber.status != "dead":
        must_be_whole(fiber)
    elif outcome.error is None:
        assert outcome.value == fiber.result == RIGHT
    else:
        must_have_died(fiber)


def must_have_made_a_fiber(outcome):
    if outcome.error is None:
        must_be_whole(outcome.value)


# ---- the operations


@operation
def create(token):
    must_have_made_a_fiber((yield partial(Fiber, deep, 3, token, start=3)))


@operation
def create_one_of_a_subclass(token):
    must_have_made_a_fiber((yield partial(Subclass, deep, 3, token, start=3)))


class Subclass(Fiber):
    pass


@operation
def resume_for_the_first_time(token):
    fiber = fresh(token)
    must_have_run(fiber, (yield fiber.resume))


@operation
def resume(token):
    fiber = suspended(token)
    must_have_run(fiber, (yield partial(fiber.resume, 1)))


@operation
def resume_for_the_last_time(token):
    fiber = suspended(token, 3)
    must_have_run(fiber, (yield partial(fiber.resume, 1)))


@operation
def suspend_again_after_the_error(token):
    fiber = Fiber(patient, token)
    outcome = yield fiber.resume
    if fiber.status != "dead":
        assert outcome.value in (None, 1, 2)
        finish(fiber, 1 if fiber.frames else None)
    assert outcome.error or fiber.result in ("done", None)


@operation
def copy_with_iterators(token):
    fiber = suspended(token)
    must_have_made_a_fiber((yield fiber.__copy__))
    must_be_whole(fiber)


@operation
def look(token):
    fiber = suspended(token)
    yield partial(_core.look, fiber)
    must_be_whole(fiber)


@operation
def capture(token):
    fiber = suspended(token)
    outcome = yield partial(_core.capture, fiber)
    if outcome.error is None:
        must_be_whole(copy.copy(_core.reinstate(_core.blank(Fiber), outcome.value)))
    must_be_whole(fiber)


@operation
def represent(token):
    fiber = suspended(token)
    yield partial(repr, fiber)
    must_be_whole(fiber)


@operation
def measure(token):
    fiber = suspended(token)
    yield partial(sys.getsizeof, fiber)
    must_be_whole(fiber)


@operation
def throw_an_exception(token):
    fiber = suspended(token)
    outcome = yield partial(fiber.throw, KeyError("thrown"))
    assert outcome.error
    must_have_run(fiber, outcome)


@operation
def throw_a_class(token):
    fiber = suspended(token)
    outcome = yield partial(fiber.throw, KeyError)
    assert outcome.error
    must_have_run(fiber, outcome)


@operation
def throw_at_a_fresh_one(token):
    fiber = fresh(token)
    outcome = yield partial(fiber.throw, KeyError)
    assert outcome.error
    must_have_run(fiber, outcome)


def begun(function, *arguments):
    fiber = Fiber(function, *arguments)
    fiber.resume()
    return fiber


@operation
def close(token):
    log = []
    fiber = begun(closing, token, log)
    outcome = yield fiber.close
    assert log == ([] if fiber.status == "suspended" else [token]) or outcome.error
    fiber.close()
    assert fiber.frames == ()


@operation
def drop(token):
    log = []
    yield [begun(closing, token, log)].clear
    assert len(log) <= 1


@operation
def collect_a_cycle(token):
    log = []
    fiber = begun(closing, token, log)
    log.append(fiber)
    del fiber
    yield gc.collect


@operation
def copy_a_generator(token):
    generator = count(3)
    next(generator)
    outcome = yield partial(_core.copy_generator, generator)
    assert outcome.error or list(outcome.value) == [1, 2]
    assert list(generator) == [1, 2]


@operation
def capture_a_generator(token):
    generator = count(3)
    next(generator)
    yield partial(_core.capture_generator, generator)
    assert list(generator) == [1, 2]


# ---- what is done in Python


@operation_in_python
def frames(token):
    fiber = suspended(token)
    yield partial(getattr, fiber, "frames")
    must_be_whole(fiber)


@operation_in_python
def deepcopy(token):
    fiber = suspended(token)
    must_have_made_a_fiber((yield partial(fiber.__deepcopy__, {})))
    must_be_whole(fiber)


@operation_in_python
def pickle_it(token):
    fiber = suspended(token)
    outcome = yield partial(pickle.dumps, fiber)
    if outcome.error is None:
        must_be_whole(pickle.loads(outcome.value))
    must_be_whole(fiber)


@operation_in_python
def unpickle_it(token):
    data = pickle.dumps(suspended(token))
    must_have_made_a_fiber((yield partial(pickle.loads, data)))
    must_have_made_a_fiber(Outcome(pickle.loads(data), None))


@operation_in_python
def reinstate(token):
    state, blank = _core.capture(suspended(token)), _core.blank(Fiber)
    outcome = yield partial(_core.reinstate, blank, state)
    must_have_made_a_fiber(outcome)
    if outcome.error:
        must_be_whole(_core.reinstate(blank, state))


@operation_in_python
def meet_a_barrier(token):
    fiber = Fiber(barred, token)
    outcome = yield fiber.resume
    assert outcome.error
    must_have_died(fiber) if fiber.status == "dead" else fiber.close()


def kept(token, log, times=1):
    fiber = Fiber(behind_c, token, log)
    for i in range(times):
        fiber.resume(1 if i else None)
    return fiber


def must_end(fiber, log, outcome):
    """It goes on with its stack, or is over."""
    if fiber.status == "dead":
        assert outcome.error is not None
        assert len(log) <= 1
        return
    value = None if fiber.frames == () else 1
    while fiber.status != "dead":
        fiber.resume(value)
        value = 1
    assert len(log) == 1


@operation
def suspend_hard(token):
    log = []
    fiber = kept(token, log, 0)
    outcome = yield fiber.resume
    assert outcome.error or outcome.value is token
    must_end(fiber, log, outcome)


@operation
def go_on_kept(token):
    log = []
    fiber = kept(token, log)
    outcome = yield partial(fiber.resume, 1)
    assert outcome.error or outcome.value is token
    must_end(fiber, log, outcome)


@operation
def leave_the_kept_stack(token):
    log = []
    fiber = kept(token, log, 3)
    outcome = yield partial(fiber.resume, 1)
    assert outcome.error or outcome.value is token
    must_end(fiber, log, outcome)


@operation
def throw_into_kept(token):
    log = []
    fiber = kept(token, log)
    outcome = yield partial(fiber.throw, KeyError())
    assert outcome.error and fiber.status == "dead" and len(log) <= 1


@operation
def close_kept(token):
    log = []
    fiber = kept(token, log)
    outcome = yield fiber.close
    must_end(fiber, log, outcome) if outcome.error else log.clear()


@operation
def drop_kept(token):
    """Where there is no memory for the FiberExit, the fiber stays as it is, for what its C code holds is not known."""
    log = []
    fibers = [kept(token, log)]
    number = id(fibers[0])
    yield fibers.clear
    for fiber in gc.get_objects():
        if id(fiber) == number and type(fiber) is Fiber:
            fiber.close()
    assert len(log) <= 1


@operation
def refuse_to_copy_kept(token):
    log = []
    fiber = kept(token, log)
    fiber.why_not_portable()
    outcome = yield partial(copy.copy, fiber)
    assert outcome.error
    must_end(fiber, log, outcome)


@operation_in_python
def look_at_kept(token):
    log = []
    fiber = kept(token, log)
    fiber.why_not_portable()
    assert fiber.frames
    yield partial(getattr, fiber, "frames")
    must_end(fiber, log, Outcome(None, None))


# ---- the loop


def attempt(act, first, last):
    """Call `act` with the allocations from number `first` up to `last` failing (0: all later ones). Were there so many?"""
    value = error = None
    short = False
    sys._getframe()
    set_nomemory(first, last)
    try:
        value = act()
    except BaseException as raised:
        error = raised
    try:
        bytearray(1)
    except MemoryError:
        short = True
    remove_mem_hooks()
    return Outcome(value, error), short


def run(function, first, last):
    token = Token()
    free = sys.getrefcount(token)
    judge = function(token)
    act = next(judge)
    outcome, short = attempt(act, first, last)
    del act
    assert isinstance(outcome.error, EXPECTED | None), outcome
    try:
        judge.send(outcome)
    except StopIteration:
        pass
    del judge, outcome
    gc.collect()
    # CPython's own pickler and tuples keep references when they find no memory: only the core can be held to account.
    held = sys.getrefcount(token) - free
    assert held == 0 or function in IN_PYTHON, f"{held} references more"
    return short


def main(name):
    faulthandler.enable()
    function = OPERATIONS[name]
    assert not run(function, 10**9, 0)
    number = 0
    while run(function, number, 0):
        number += 1
    for n in range(number):
        run(function, n, n + 1)
    print(name, number)


if __name__ == "__main__":
    import nomemory  # by its name: what belongs to __main__ would be pickled by value

    nomemory.main(sys.argv[1])
