"""As nomemory.py, for ordinary functions that await.

python nomemory_await.py OPERATION
"""

import sys
from functools import partial
from types import coroutine

import nomemory
from nomemory import operation_in_python
from nomemory_control import instrument

from stackful import _core, aio
from stackful.aio import portals


def yields(token):
    yield token


once = coroutine(yields)


async def waits(token):
    sys._getframe()
    await once(token)
    await once(token)
    return token


class Awaitable:
    def __init__(self, token):
        self.token = token

    def __await__(self):
        sys._getframe()
        yield self.token
        return self.token


def key(token, _):
    sys._getframe()
    return 1 if aio.await_(waits(token)) is token else None


def program(token, log):
    """Waits for a coroutine and for another awaitable, and for a coroutine behind C code."""
    sys._getframe()
    try:
        assert aio.await_(waits(token)) is token
        assert aio.await_(Awaitable(token)) is token
        return sorted([3], key=partial(key, token))
    finally:
        log.append(token)


def portal(token, log, times):
    fiber = _core.portal(portals.Portal(program, token, log))
    for _ in range(times):
        assert next(fiber) is token
    return fiber


def must_end(fiber, token, log, outcome):
    assert outcome.error is not None or outcome.value is token
    if fiber.status != "dead":
        for value in fiber:
            assert value is token
        assert fiber.result == [3]
    assert len(log) <= 1


def steps_of(times):
    def operation(token):
        log = []
        fiber = portal(token, log, times)
        outcome = yield partial(fiber.send, None)
        must_end(fiber, token, log, outcome)

    return operation


@operation_in_python
def await_a_coroutine(token):
    yield from steps_of(0)(token)


@operation_in_python
def go_on_in_a_coroutine(token):
    yield from steps_of(1)(token)


@operation_in_python
def await_something_else(token):
    yield from steps_of(2)(token)


@operation_in_python
def await_behind_c_code(token):
    yield from steps_of(3)(token)


@operation_in_python
def go_on_behind_c_code(token):
    yield from steps_of(4)(token)


@operation_in_python
def close_what_awaits(token):
    log = []
    fiber = portal(token, log, 2)
    outcome = yield fiber.close
    fiber.close()
    assert len(log) == 1 or outcome.error is not None  # the log needs memory, too


if __name__ == "__main__":
    instrument(portals)
    nomemory.main(sys.argv[1])
