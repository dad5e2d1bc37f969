"""Runs to be measured, in a module that an engine finds them in."""

import time

from stackful import durable

# When the code of a run came to a line, by its first argument.
seen: dict[str, float] = {}


def see(name: str) -> None:
    seen[name] = time.perf_counter()


def add(total: int, number: int) -> int:
    return total + number


@durable.run
def steps(count: int) -> int:
    total = 0
    for number in range(count):
        total = durable.step(add, total, number)
    return total


@durable.run
def first_line(name: str) -> None:
    see(name)


@durable.run
def late(seconds: float) -> float:
    due = time.time() + seconds
    durable.sleep(seconds)
    return time.time() - due


@durable.run
def many_steps_then_a_signal(count: int, name: str) -> None:
    for number in range(count):
        durable.step(add, 0, number)
    durable.wait_signal("go on")
    durable.step(see, name)


@durable.run
def forked_at_a_step(name: str) -> None:
    durable.step(add, 1, 2)
    see(name)
    durable.wait_signal("never")


@durable.run
def asleep() -> None:
    durable.step(add, 1, 2)
    durable.sleep(86400.0)


@durable.run
def clock() -> float:
    """The time of its first line, for who is in another process on this machine."""
    return time.time()
