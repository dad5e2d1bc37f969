"""A trace or profile function raises, awaits, collects or is switched off, at each event of a function that awaits, also behind C code."""

import gc
import sys
import warnings
from types import coroutine

from stackful import FiberError, aio

warnings.simplefilter("ignore")  # coroutines that nobody awaits


class Stop(Exception):
    pass


@coroutine
def once():
    yield


async def waits():
    await once()
    await once()
    return 1


def softly():
    return aio.await_(waits())


def key(_):
    return aio.await_(waits())


def behind_c_code():
    return sorted([2, 1], key=key)


def fail():
    raise Stop


def await_something():
    try:
        aio.await_(waits())
    except (FiberError, RuntimeError):
        pass


def switch_off():
    sys.settrace(None)
    sys.setprofile(None)


def run(function, install, at, act):
    count = 0

    def listen(frame, event, argument):
        nonlocal count
        count += 1
        if count == at:
            act()
        return listen

    portal = aio.call(function)
    install(listen)
    try:
        while True:
            portal.send(None)
    except (StopIteration, Stop, RuntimeError):
        pass
    finally:
        count = at  # these are events, too
        switch_off()
    try:
        portal.close()
    except (Stop, RuntimeError):
        pass


actions = [await_something, switch_off, gc.collect]
if not hasattr(sys, "gettotalrefcount"):
    # Debug builds of CPython assert that nothing but throw() raises where a coroutine waits for another; without fibers, too
    # (v3.13.0 Python/bytecodes.c, CLEANUP_THROW).
    actions.append(fail)
for function in (softly, behind_c_code):
    for install in (sys.settrace, sys.setprofile):
        for act in actions:
            for at in range(1, 120):
                run(function, install, at, act)
