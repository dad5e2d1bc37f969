"""What a fiber costs to begin with: create, run, finish; and to fork: copy."""

import copy

from elsewhere import second_resumption, with_greenlet
from measure import Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_aleff, has_greenlet
from stackful import Fiber, suspend

DEPTH = 10


def nothing():
    return None


def empty_generator():
    return
    yield


def run_fibers(number):
    for _ in range(number):
        Fiber(nothing).resume()


def run_generators(number):
    for _ in range(number):
        next(empty_generator(), None)


def creation(rounds: int, number: int) -> list[Row]:
    fiber = Fiber(nothing)
    expect((fiber.resume(), fiber.status), (None, "dead"))
    contenders = {"fiber": run_fibers, "generator": run_generators}
    if has_greenlet:
        contenders["greenlet"] = with_greenlet("create")
    took = interleaved(contenders, number, rounds)
    subject = "create, run, finish an empty one"
    return [
        at_least(subject, took["fiber"], took["greenlet"], "greenlet", 10)
        if has_greenlet
        else missing(subject, time_text(took["fiber"]), "greenlet", "≥ 10x faster"),
        at_most(subject, took["fiber"], took["generator"], "generator"),
    ]


def suspend_at(depth):
    """Suspend `depth` frames down; on the way back each frame adds one."""
    return suspend() if depth == 1 else suspend_at(depth - 1) + 1


def parked() -> Fiber:
    fiber = Fiber(suspend_at, DEPTH)
    fiber.resume()
    return fiber


def copy_fibers(number, fiber):
    for _ in range(number):
        copy.copy(fiber)


def copy_and_finish(number, fiber):
    for _ in range(number):
        copy.copy(fiber).resume(0)


def copying(rounds: int, number: int) -> list[Row]:
    fiber = parked()
    expect([copy.copy(fiber).resume(value) for value in (0, 5)], [DEPTH - 1, DEPTH + 4])
    contenders = {
        "copy": lambda n: copy_fibers(n, fiber),
        "copy and finish": lambda n: copy_and_finish(n, fiber),
    }
    if has_aleff:  # its diagnosis of C boundaries, on as installed, costs much
        contenders["aleff"] = second_resumption(DEPTH)
        contenders["as installed"] = second_resumption(DEPTH, "as-installed")
    took = interleaved(contenders, number, rounds)
    subjects = {
        "copy": f"copy at depth {DEPTH}",
        "copy and finish": f"copy at depth {DEPTH}, resume it to its end",
    }
    if not has_aleff:
        return [missing(subjects[name], time_text(took[name]), "aleff", "≥ 20x faster") for name in subjects]
    name = f"aleff's second resumption (as installed {time_text(took['as installed'])}), its diagnosis off"
    return [at_least(subjects[key], took[key], took["aleff"], name, 20) for key in subjects]


def benchmark(rounds: int, number: int) -> list[Row]:
    return creation(rounds, number) + copying(rounds, number)
