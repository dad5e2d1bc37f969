"""As nomemory.py, for what a fiber's own code asks of its stack: prompts, continuations, winders, transfers.

python nomemory_control.py OPERATION
"""

import ast
import copy
import inspect
import os
import pickle
import sys
from functools import partial

import nomemory
from nomemory import operation, operation_in_python

from stackful import (
    Coroutine,
    Fiber,
    PromptTag,
    _core,
    abort,
    call_cc,
    call_ec,
    control,
    control0,
    coroutines,
    dynamic_wind,
    prompt,
    resume,
    shift,
    snapshot,
    suspend,
    suspend_to,
    transfer,
)
from stackful.continuations import captures, prompts, winders
from stackful.fibers import operations
from stackful.snapshot import compression, preludes

TAG = PromptTag("tag")
OTHER = PromptTag("other")
STUBS = (operations.operate, transfer, resume, suspend_to)  # which the core knows by their code
KEPT = []
BALLAST = []
RIGHT = 111  # what `levels` returns when its suspend and its capture are given 1 each


class _Entry(ast.NodeTransformer):
    """Let each function get its frame object first, as those of nomemory.py do."""

    entry = ast.parse("sys._getframe()").body[0]

    def visit_FunctionDef(self, node):
        self.generic_visit(node)
        node.body.insert(0, self.entry)
        return node

    def visit_Lambda(self, node):
        self.generic_visit(node)
        node.body = ast.BoolOp(ast.And(), [self.entry.value, node.body])
        return node


def _codes(code):
    """The code objects within a code object."""
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield constant
            yield from _codes(constant)


def keep_code(module):
    """Where there is no memory for a function, CPython drops its code object twice (v3.12.1 and v3.13.0 Python/bytecodes.c, MAKE_FUNCTION)."""
    for holder in (module, *filter(inspect.isclass, vars(module).values())):
        for function in filter(inspect.isfunction, vars(holder).values()):
            for code in _codes(function.__code__):
                KEPT.extend([code] * 1000)


def instrument(module):
    """Give the functions of a module code that begins with `sys._getframe()`."""
    tree = ast.fix_missing_locations(_Entry().visit(ast.parse(inspect.getsource(module))))
    code = {code.co_qualname: code for code in _codes(compile(tree, module.__file__, "exec"))}
    module.sys = sys
    for holder in (module, *filter(inspect.isclass, vars(module).values())):
        for function in vars(holder).values():
            if inspect.isfunction(function) and function.__module__ == module.__name__ and function not in STUBS:
                function.__code__ = code[function.__qualname__]


def operation_with_cells(function):
    """One with variables of closures: where CPython finds no memory for a cell, it keeps the locals (until 3.12)."""
    # v3.11.2 and v3.12.1 Python/ceval.c and Python/bytecodes.c, MAKE_CELL: the stack pointer is read twice.
    return operation(function) if sys.version_info >= (3, 13) else operation_in_python(function)


# ---- the programs under test


def _levels(token, number):
    """Waits above a prompt, then captures up to it."""
    sys._getframe()
    total = number
    for x, _ in zip([1], nomemory.count(5)):
        total += suspend(token) * x
    total += control(lambda k: sys._getframe() and [k, token], TAG)
    sys._getframe()
    return total


def above_a_prompt(token):
    sys._getframe()
    return prompt(lambda: sys._getframe() and _levels(token, 10), OTHER)


def levels(token):
    """Three levels, two of which are captured; the rest is for what comes back."""
    sys._getframe()
    k, same = prompt(lambda: sys._getframe() and 99 + above_a_prompt(token), TAG)
    assert same is token
    return k(1)


def captured(token, body):
    """The continuation of `body`, in a list: what it waits for is the call of `control`."""
    box = []
    assert (
        prompt(lambda: sys._getframe() and body(token, lambda: sys._getframe() and control(box.append, TAG)), TAG)
        is None
    )
    return box


def adding(token, wait, n=3):
    """Frames that are copied one by one."""
    sys._getframe()
    if n:
        got = adding(token, wait, n - 1) + 1
        sys._getframe()
        return got
    return wait()


def looping(token, wait, n=3):
    """Frames that are copied together: a generator is on their stacks."""
    sys._getframe()
    got = 0
    for x in nomemory.count(2):
        got += x and (looping(token, wait, n - 1) if n else wait()) + x
    return got


def calling(k, tag=TAG):
    """What calls k twice, in a fiber, and says what comes of it."""

    def call():
        sys._getframe()
        first = k(10)
        return [first, k(20)]

    return Fiber(prompt, call, tag)


# ---- judgement


def finish_levels(fiber):
    value = 1 if fiber.frames else None
    while fiber.status != "dead":
        fiber.resume(value)
        value = 1
    return fiber.result


def must_have_levels(fiber):
    assert finish_levels(copy.copy(fiber)) == RIGHT
    assert finish_levels(fiber) == RIGHT


def must_have_come_to(fiber, outcome, right):
    """It has come to that, or died of the error, or waits and can be dropped."""
    if outcome.error is None:
        assert outcome.value == fiber.result == right, outcome
    elif fiber.status == "dead":
        nomemory.must_have_died(fiber)


def suspended_levels(token):
    fiber = Fiber(levels, token)
    assert fiber.resume() is token
    return fiber


def control_of(fiber, right):
    """Resume it with allocations failing."""
    outcome = yield fiber.resume
    must_have_come_to(fiber, outcome, right)


# ---- the operations, asked by a fiber's own code


@operation_with_cells
def push_a_prompt(token):
    fiber = Fiber(above_a_prompt, token)
    outcome = yield fiber.resume
    if fiber.status == "suspended" and fiber.frames:
        assert outcome.error or outcome.value is token
        fiber.close()
    assert outcome.error or outcome.value is token


@operation
def push_a_prompt_outside_of_any_fiber(token):
    outcome = yield partial(prompt, lambda: sys._getframe() and [token])
    assert outcome.error or outcome.value == [token]


@operation_with_cells
def capture_and_return(token):
    fiber = suspended_levels(token)
    yield from resume_levels(fiber)


def resume_levels(fiber):
    outcome = yield partial(fiber.resume, 1)
    must_have_come_to(fiber, outcome, RIGHT)


@operation_with_cells
def capture_without_the_prompt(token):
    def take():
        sys._getframe()
        return [token, control0(lambda k: sys._getframe() and 7, TAG)]

    yield from control_of(Fiber(lambda: sys._getframe() and prompt(take, TAG)), 7)


@operation
def call_a_continuation(token):
    (k,) = captured(token, adding)
    yield from control_of(calling(k), [13, 23])
    assert prompt(lambda: [k(1), k(2)]) == [4, 5]


@operation
def call_a_continuation_whose_frames_run_together(token):
    (k,) = captured(token, lambda token, wait: sys._getframe() and adding(token, wait, 12))
    yield from control_of(calling(k), [22, 32])
    assert prompt(lambda: [k(1), k(2)]) == [13, 14]


@operation
def call_a_continuation_whose_frames_share(token):
    (k,) = captured(token, looping)
    yield from control_of(calling(k), [14, 24])
    assert prompt(lambda: [k(1), k(2)]) == [5, 6]


@operation
def call_a_continuation_outside_of_any_fiber(token):
    (k,) = captured(token, adding)
    outcome = yield partial(k, 10)
    assert outcome.error or outcome.value == 13
    assert k(1) == 4


@operation_with_cells
def call_the_last_reference_to_a_continuation(token):
    box = captured(token, adding)
    fiber = Fiber(lambda: sys._getframe() and box.pop()(10))
    yield from control_of(fiber, 13)


@operation
def raise_in_a_continuation(token):
    (k,) = captured(token, adding)

    def call():
        sys._getframe()
        try:
            k(error=KeyError("raised"))
        except KeyError:
            return "caught"

    yield from control_of(Fiber(call), "caught")


@operation
def call_a_continuation_of_shift(token):
    box = []
    prompt(lambda: adding(token, lambda: sys._getframe() and shift(box.append)))
    yield from control_of(calling(box[0]), [13, 23])


@operation_with_cells
def capture_again_what_was_put_back(token):
    def twice():
        sys._getframe()
        return control(lambda k: sys._getframe() and k, TAG) + control(lambda k: sys._getframe() and k, TAG)

    def main():
        sys._getframe()
        first = prompt(lambda: sys._getframe() and adding(token, twice), TAG)
        second = prompt(lambda: sys._getframe() and first(10), TAG)
        return [second(1), second(2)]

    yield from control_of(Fiber(main), [14, 15])


@operation_with_cells
def replace_by_a_continuation(token):
    def main():
        sys._getframe()
        seen = []
        k = call_cc(lambda k: sys._getframe() and k)
        seen.append(token)
        return len(seen) if len(seen) == 3 else k(k)

    yield from control_of(Fiber(lambda: sys._getframe() and prompt(main)), 3)


@operation
def abort_to_a_prompt(token):
    def leave():
        sys._getframe()
        return [token, abort(TAG, "out")]

    def inner():
        sys._getframe()
        return prompt(leave)

    yield from control_of(Fiber(lambda: sys._getframe() and prompt(inner, TAG)), "out")


class Looking:
    """Looks at the whole stack when it dies."""

    def __del__(self):
        frame = sys._getframe()
        while frame is not None:
            frame = frame.f_back


def passing(n):
    sys._getframe()
    if n:
        got = passing(n - 1)
        sys._getframe()
        if n != 2:
            return got
        del got
    k = call_cc(lambda k: sys._getframe() and k)
    sys._getframe()
    return k(None) if n and k is not None else Looking()


@operation_with_cells
def lose_the_last_frames_of_a_segment(token):
    def main():
        sys._getframe()
        return [passing(4), token][1]

    yield from control_of(Fiber(lambda: sys._getframe() and prompt(main)), token)


@operation_with_cells
def escape(token):
    def leave(out):
        sys._getframe()
        return [token, out("out")]

    yield from control_of(Fiber(lambda: sys._getframe() and call_ec(leave)), "out")


@operation
def ask_for_prompts(token):
    fiber = Fiber(lambda: sys._getframe() and prompt(lambda: _core.prompts()[:1], TAG))
    yield from control_of(fiber, [TAG])


@operation_with_cells
def capture_in_winders(token):
    log = []

    def wait():
        sys._getframe()
        return dynamic_wind(partial(log.append, "in"), hold, partial(log.append, "out"))

    def hold():
        sys._getframe()
        return control(lambda k: sys._getframe() and k)

    def main():
        sys._getframe()
        k = prompt(
            lambda: sys._getframe() and adding(token, wait, 0)
        )  # few frames: CPython 3.11 has 16 MemoryErrors, one for each
        return [k(10), k(20)]

    fiber = Fiber(main)
    outcome = yield fiber.resume
    must_have_come_to(fiber, outcome, [10, 20])
    assert log == ["in", "out"] * 3 or outcome.error


@operation_with_cells
def jump_into_winders(token):
    log = []

    def hold():
        sys._getframe()
        return call_cc(lambda k: sys._getframe() and k)

    def main():
        sys._getframe()
        k = dynamic_wind(partial(log.append, "in"), hold, partial(log.append, "out"))
        return k if k == token else k(token)

    fiber = Fiber(lambda: sys._getframe() and prompt(main))
    outcome = yield fiber.resume
    must_have_come_to(fiber, outcome, token)
    assert log == ["in", "out"] * 2 or outcome.error


# ---- nested fibers


@operation_with_cells
def resume_on_the_callers_stack(token):
    def inner():
        sys._getframe()
        return [token, suspend(1)]

    def main():
        sys._getframe()
        fiber = Fiber(inner)
        return [resume(fiber), resume(fiber, 2)]

    yield from control_of(Fiber(main), [1, [token, 2]])


@operation_with_cells
def suspend_an_outer_fiber(token):
    box = []

    def inner():
        sys._getframe()
        return [token, suspend_to(box[0], 1)]

    box.append(Fiber(lambda: sys._getframe() and resume(Fiber(inner))))
    outcome = yield box[0].resume
    if box[0].status == "suspended" and box[0].frames:
        assert outcome.error or outcome.value == 1
        outcome = yield partial(box[0].resume, 2)
    assert outcome.error or outcome.value == [token, 2]
    box.clear()


@operation_with_cells
def capture_and_call_a_guest(token):
    def inner():
        sys._getframe()
        control(lambda k: sys._getframe() and [k(1), k(2)], TAG)
        return [suspend(token)]

    def main():
        sys._getframe()
        fiber = Fiber(inner)
        return [resume(fiber), resume(fiber, 3)]

    yield from control_of(Fiber(lambda: sys._getframe() and prompt(main, TAG)), [[token, [3]]] * 2)


# ---- coroutines


def _ready(function, *arguments):
    fiber = Coroutine(function, *arguments)
    fiber.resume()
    return fiber


@operation
def transfer_between_two(token):
    def echo(token):
        sys._getframe()
        got = suspend()
        while True:
            sys._getframe()
            got = transfer(got, token)

    def ask():
        sys._getframe()
        suspend()
        return [transfer(other, one), transfer(other, one)]

    other, one = _ready(echo, token), _ready(ask)
    outcome = yield partial(one.resume, None)
    if outcome.error is None:
        assert outcome.value == one.result == [token, token]
    one.close()
    other.close()


@operation
def transfer_to_a_fresh_one(token):
    fiber = Coroutine(lambda: sys._getframe() and [token])
    outcome = yield Fiber(lambda: sys._getframe() and transfer(fiber)).resume
    assert outcome.error or outcome.value == fiber.result == [token]


@operation
def transfer_from_outside(token):
    fiber = _ready(lambda: sys._getframe() and suspend())
    outcome = yield partial(transfer, fiber, [token])
    must_have_come_to(fiber, outcome, [token])


@operation
def raise_by_a_transfer(token):
    fiber = _ready(lambda: sys._getframe() and suspend())
    error = KeyError(token)
    outcome = yield Fiber(lambda: sys._getframe() and transfer(fiber, None, error)).resume
    assert outcome.error
    error.__traceback__ = error.__context__ = None


@operation
def end_with_a_successor(token):
    heir = _ready(lambda: sys._getframe() and [suspend(), 2])
    fiber = Coroutine(lambda: sys._getframe() and token)
    fiber.successor = heir
    outcome = yield fiber.resume
    assert outcome.error or outcome.value == heir.result == [token, 2]


@operation
def set_a_successor(token):
    fiber, heir = Coroutine(nomemory.patient, token), Coroutine(nomemory.patient, token)
    outcome = yield partial(setattr, fiber, "successor", heir)
    assert fiber.successor is (None if outcome.error else heir)
    fiber.successor = None


# ---- what has levels, as a value


@operation
def copy_levels(token):
    fiber = suspended_levels(token)
    outcome = yield fiber.__copy__
    if outcome.error is None:
        must_have_levels(outcome.value)
    must_have_levels(fiber)


@operation
def copy_frames_that_were_put_back(token):
    fiber = waiting_above(token)
    outcome = yield fiber.__copy__
    if outcome.error is None:
        assert outcome.value.resume(1) == 4
    assert fiber.resume(1) == 4


def waiting_above(token):
    """A fiber that waits above the frames of a continuation."""
    box = []
    prompt(lambda: adding(token, lambda: sys._getframe() and control(box.append, TAG)()), TAG)
    fiber = Fiber(lambda: sys._getframe() and box[0](lambda: sys._getframe() and suspend(token)))
    assert fiber.resume() is token
    return fiber


@operation
def look_at_levels(token):
    fiber = suspended_levels(token)
    yield partial(_core.look, fiber)
    must_have_levels(fiber)


@operation
def capture_levels(token):
    fiber = suspended_levels(token)
    yield partial(_core.capture_levels, fiber)
    must_have_levels(fiber)


@operation
def close_levels(token):
    fiber = suspended_levels(token)
    yield fiber.close
    fiber.close()
    assert fiber.frames == ()


@operation
def throw_at_levels(token):
    fiber = suspended_levels(token)
    outcome = yield partial(fiber.throw, KeyError)
    assert outcome.error


@operation
def capture_a_continuation(token):
    (k,) = captured(token, looping)
    yield partial(_core.capture_continuation, k.__self__._captured)
    assert k(1) == 5


@operation_in_python
def pickle_levels(token):
    fiber = suspended_levels(token)
    outcome = yield partial(pickle.dumps, fiber)
    if outcome.error is None:
        assert finish_levels(pickle.loads(outcome.value)) == RIGHT
    must_have_levels(fiber)


@operation_in_python
def write_a_prelude(token):
    """As `pickle_levels`, but each time as the first snapshot of a fiber that stands there."""
    preludes._preludes.clear()
    yield from pickle_levels(token)


@operation_in_python
def pickle_what_has_grown(token):
    """The first snapshot of the process is small, all others are compressed, if there is something to do it with."""
    fiber, ballast = nomemory.suspended(token), "".join(BALLAST)
    BALLAST.append("x" * compression.LEAST)
    outcome = yield partial(snapshot.dumps, (ballast, fiber))
    if outcome.error is None:
        assert nomemory.finish(snapshot.loads(outcome.value, allow=snapshot.EVERYTHING)[1], 1) == nomemory.RIGHT
    del BALLAST[1:]
    nomemory.must_be_whole(fiber)


@operation_in_python
def unpickle_levels(token):
    data = pickle.dumps(suspended_levels(token))
    outcome = yield partial(pickle.loads, data)
    for fiber in [outcome.value] if outcome.error is None else [pickle.loads(data)]:
        assert finish_levels(fiber) == RIGHT


@operation_in_python
def deepcopy_a_continuation(token):
    (k,) = captured(token, looping)
    outcome = yield partial(copy.deepcopy, k.__self__)
    assert outcome.error or outcome.value.resume(1) == 5
    assert k(1) == 5


def main(name):
    for module in (operations, prompts, captures, winders, coroutines):
        instrument(module)
    for module in (prompts, captures, winders, coroutines, sys.modules[__name__]):
        keep_code(module)
    nomemory.main(name)
    sys.stdout.flush()
    os._exit(0)  # what KEPT holds was dropped too often


if __name__ == "__main__":
    import nomemory_control  # by its name: what belongs to __main__ would be pickled by value

    nomemory_control.main(sys.argv[1])
