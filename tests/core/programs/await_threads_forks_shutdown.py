"""Portals are driven by hand, in threads in turn, dropped in others, in forked processes, and when the interpreter shuts down."""

import builtins
import gc
import os
import random
import sys
import threading
import warnings
from types import coroutine

from stackful import Fiber, FiberError, _core, aio, suspend

warnings.simplefilter("ignore")  # coroutines that nobody awaits; forks beside threads
random.seed(7)


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


def step(portal):
    try:
        portal.send(None)
    except (StopIteration, RuntimeError, ValueError, FiberError):
        pass  # it is another thread's, it is running, it has ended


def drive(portals):
    for portal in random.sample(portals, len(portals)):
        step(portal)


for number in range(150):
    portals = [aio.call(random.choice((softly, behind_c_code))) for _ in range(6)]
    for portal in portals[:4]:
        step(portal)
    threads = [threading.Thread(target=drive, args=(portals,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    drive(portals)
    for thread in threads:
        thread.join()
    if number % 50 == 10:
        child = os.fork()
        if child == 0:
            drive(portals)
            del portals, portal
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
    box = [portals]
    del portals, portal
    thread = threading.Thread(target=lambda: (box.clear(), gc.collect()))  # noqa: B023 - joined at once
    thread.start()
    thread.join()

left = [aio.call(softly), aio.call(behind_c_code), Fiber(max, [0], key=lambda _: suspend())]
step(left[0])
step(left[1])
left[2].resume()
left += [left, _core, _core.Steps(iter([1])), _core.Steps]
builtins.left = left
for name in [name for name in sys.modules if name.startswith("stackful")]:
    del sys.modules[name]
