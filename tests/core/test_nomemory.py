"""Each allocation of an operation is made to fail in turn: MemoryError, and nothing is broken or lost.

The core's own operations only: Python code that creates a generator crashes CPython itself when that allocation fails.
"""

import copy

import pytest

from stackful import Fiber, FiberError, _core, suspend

_testcapi = pytest.importorskip("_testcapi")

fail, stop_failing = _testcapi.set_nomemory, _testcapi.remove_mem_hooks


def deep(n):
    total = 0
    for x in [1, 2]:
        total += suspend(x) if n == 0 else deep(n - 1)
    return total


def suspended():
    fiber = Fiber(deep, 3)
    fiber.resume()
    return fiber


def finish(fiber):
    while fiber.status != "dead":
        fiber.resume(1)
    return fiber.result


def with_failing_allocation(operation, subject, number):
    """The operation's exception, or None, while allocation `number` fails."""
    try:
        fail(number, number + 1)
        try:
            operation(subject)
        finally:
            stop_failing()
    except (MemoryError, SystemError) as error:  # SystemError: CPython found no memory for a traceback entry
        return error
    return None


OPERATIONS = {
    "resume": (suspended, lambda fiber: fiber.resume(1)),
    "copy": (suspended, Fiber.__copy__),
    "look": (suspended, _core.look),
    "capture": (suspended, _core.capture),
    "repr": (suspended, repr),
    "create": (lambda: deep, Fiber),
}


@pytest.mark.no_leakcheck("CPython loses memory of its own when allocations fail")
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_allocation_may_fail(name):
    """After the MemoryError the fiber is alive and ends with the right result, or has died of it."""
    make, operation = OPERATIONS[name]
    for number in range(60):
        subject = make()
        error = with_failing_allocation(operation, subject, number)
        if isinstance(subject, Fiber) and subject.status != "dead":
            assert finish(subject) == 16
        elif isinstance(subject, Fiber):
            assert error is not None
            with pytest.raises(FiberError):
                subject.result


@pytest.mark.no_leakcheck("CPython loses memory of its own when allocations fail")
@pytest.mark.parametrize("act", ["close", "throw", "first resume", "drop"])
def test_every_allocation_may_fail_at_the_end(act):
    """The fiber is dead or whole afterwards, never anything in between."""
    acts = {"close": Fiber.close, "throw": lambda f: f.throw(error), "first resume": Fiber.resume, "drop": list.clear}
    error = MemoryError("thrown")
    for number in range(60):
        fiber = Fiber(deep, 3) if act == "first resume" else suspended()
        error.__traceback__ = error.__context__ = None
        if act == "drop":
            holder = [copy.copy(fiber)]
            with_failing_allocation(list.clear, holder, number)
        else:
            with_failing_allocation(acts[act], fiber, number)
        if fiber.status != "dead":
            assert finish(fiber) == 16
