"""A fork within a fiber within a fiber, in a thread too: parent and child go on with all of them, and both end as programs do."""

import os
import sys
import threading
import warnings

from stackful import Fiber, suspend

warnings.simplefilter("ignore")


def inner():
    suspend("before")
    child = os.fork()
    suspend(child)
    return "inner"


def outer():
    fiber = Fiber(inner)
    assert fiber.resume() == "before"
    child = fiber.resume()
    suspend(child)
    assert fiber.resume() == "inner"
    return "outer"


def waiting(n):
    try:
        return suspend(n) if n == 0 else waiting(n - 1)
    finally:
        sys.stdout.flush()


def run(results):
    beside = Fiber(waiting, 20)
    beside.resume()
    fiber = Fiber(outer)
    child = fiber.resume()
    assert fiber.resume() == "outer"
    assert beside.resume("beside") == "beside"
    if child:
        results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


parent = os.getpid()
left = Fiber(waiting, 5)
left.resume()
results = []
run(results)
if os.getpid() == parent:
    assert results == [0], results
    thread = threading.Thread(target=run, args=(results,))
    thread.start()
    thread.join()
    if os.getpid() == parent:
        assert results == [0, 0], results
