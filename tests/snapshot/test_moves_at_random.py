"""Programs that are edited at random while they are suspended go on as they should, or are refused."""

import copy
import importlib.util
import os
import random
import sys
import types
from collections import Counter

import pytest
from edit_model import VARIABLES, Machine, Maker, MustRefuseError, right_places, source
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackful import CodeChangedError, Fiber, snapshot, suspend

LOG: list[object] = []
EXAMPLES = 200
FOUND = (11417,)  # seeds that were wrong once


def step(number, value):
    """What a program does."""
    LOG.append(["step", number, value])


def ask(number):
    """Where it is suspended."""
    return suspend(number)


def add(number, value, answer):
    """What waits for an answer with something on the evaluation stack."""
    return number + value + answer


def items(number):
    """What loops run over."""
    return [number * 10, number * 10 + 1]


class FailedError(Exception):
    """What is raised and caught."""


def fail(number):
    """What raises."""
    raise FailedError(number)


def failure(number):
    """What is caught."""
    return FailedError if number else None


class manager:  # noqa: N801 - reads as a function in the programs
    """What must be left once for each time that it was entered."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        LOG.append(["enter", self.number])

    def __exit__(self, *_):
        LOG.append(["exit", self.number])


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The file of the module ``edited``."""
    steps = types.ModuleType("steps")
    vars(steps).update(add=add, ask=ask, fail=fail, failure=failure, items=items, manager=manager, step=step)
    monkeypatch.setitem(sys.modules, "steps", steps)
    monkeypatch.setitem(sys.modules, "edited", types.ModuleType("edited"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path / "edited.py"


def load(path, text, stamp):
    """The module ``edited`` with this text."""
    path.write_text(text)
    os.utime(path, ns=(stamp, stamp))
    spec = importlib.util.spec_from_file_location("edited", path)
    sys.modules["edited"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def played(fiber, answer):
    """What a program does from here to its end."""
    LOG.clear()
    while fiber.status != "dead":
        fiber.resume(answer)
    return list(LOG)


def suspended(program, stops):
    """The interpreter, suspended as often; None where the program has ended before."""
    machine = Machine(dict.fromkeys(VARIABLES, 0))
    running = machine.block(program, [])
    for _ in range(stops):
        try:
            next(running) if machine.at is None else running.send(1)
        except StopIteration:
            return None
    return machine


def expected(machine, old, new, renamed):
    """What the edited program may do from here on: one log, or several where like statements leave a choice, or none at all."""
    return [
        log
        for path in right_places(old, new, machine.at, renamed)
        if (log := continued(machine, new, path, renamed)) is not None
    ]


def continued(machine, new, path, renamed):
    """What the edited program does from that statement on; None where it reads what has no value."""
    machine = copy.deepcopy(machine)
    machine.locals = {renamed.get(name, name): value for name, value in machine.locals.items()}
    machine.log.clear()
    running = machine.block(new, path)
    try:
        next(running)
        while True:
            running.send(1)
    except StopIteration:
        return machine.log
    except MustRefuseError:
        return None


def outcome(path, seed):
    """What came of one program and one edit of it: "refused", or "right"; an assertion fails for anything else."""
    chosen, maker = random.Random(seed), Maker(seed)
    old = maker.program()
    new, renamed = maker.edited(old)
    stops = chosen.randint(1, 4)
    machine = suspended(old, stops)
    if machine is None:
        return "ended"
    texts = source(old, VARIABLES), source(new, [renamed.get(name, name) for name in VARIABLES])
    fiber = Fiber(load(path, texts[0], 2 * seed).start)
    fiber.resume()
    for _ in range(stops - 1):
        fiber.resume(1)
    data = snapshot.dumps(fiber)
    load(path, texts[1], 2 * seed + 1)
    findings = snapshot.check_code(data, on_change="move")
    wanted = expected(machine, old, new, renamed)
    try:
        back = snapshot.loads(data, on_change="move")
    except CodeChangedError as error:
        assert [str(error)] == [str(finding) for finding in findings]
        return "refused without need" if wanted else "refused"
    finally:
        played(fiber, 1)
    told = f"seed {seed}, suspended at {machine.at.lines('')}\n{texts[0]}\n---\n{texts[1]}"
    assert wanted, f"should have been refused: {told}"
    assert played(back, 1) in wanted, told
    assert findings == []
    return "right"


@pytest.mark.no_leakcheck("hundreds of modules")
def test_whatever_is_edited_is_right_or_refused(path):
    """The interpreter of `edit_model` says what is right; of what could go on, most does."""
    came = Counter(outcome(path, seed) for seed in (*range(EXAMPLES), *FOUND))
    assert came["right"] > 10 * came["refused without need"]


@pytest.mark.slow
@pytest.mark.timeout(3600)  # 3,000 programs take 6 minutes on two shared cores
@pytest.mark.no_leakcheck("thousands of modules")
@settings(max_examples=3000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(1000, 1 << 32))
def test_whatever_is_edited_is_right_or_refused_for_any_seed(path, seed):
    """As above, with other programs each time."""
    outcome(path, seed)
