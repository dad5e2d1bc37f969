"""Fork with kept fibers, in each other's locals and threads; subinterpreters entered from them, and with fibers of their own."""

import os
import sys
import threading

from stackful import Fiber, suspend

try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters


def waits(x):
    return sorted([x], key=lambda item: suspend(item) or item)


def fork(act):
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if act() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


fibers = [Fiber(waits, i) for i in range(5)]
for fiber in fibers:
    fiber.resume()
fork(lambda: [fiber.resume() for fiber in fibers] == [[i] for i in range(5)])
fork(lambda: [fiber.close() for fiber in fibers] == [None] * 5)
fork(lambda: fibers.clear() is None)
assert [fiber.resume() for fiber in fibers] == [[i] for i in range(5)]


def forks_inside(_):
    child = os.fork()
    suspend(child)
    if child == 0:
        suspend("child")
        os._exit(7)
    return child


fiber = Fiber(lambda: sorted([0], key=forks_inside))
child = fiber.resume()
if child == 0:
    fiber.resume()
    fiber.resume()
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert fiber.resume() == [0]

# other threads' fibers in the child
begun, done = threading.Event(), threading.Event()
others = []


def other():
    others.append(Fiber(waits, 1))
    others[0].resume()
    begun.set()
    done.wait()
    assert others[0].resume() == [1]


thread = threading.Thread(target=other)
thread.start()
begun.wait()


def in_child():
    try:
        others[0].resume()
    except RuntimeError:
        others.clear()
        fresh = Fiber(waits, 3)
        return fresh.resume() == 3 and fresh.resume() == [3]


fork(in_child)
done.set()
thread.join()

code = f"""
import sys
sys.path[:] = {sys.path!r}
from stackful import Fiber, suspend
fiber = Fiber(lambda: sorted([1, 2], key=lambda x: suspend(x) or -x))
assert [fiber.resume(), fiber.resume()] == [1, 2]
assert fiber.resume() == [2, 1]
kept = Fiber(lambda: sorted([1], key=suspend))
kept.resume()
try:
    suspend("across")
except RuntimeError:
    pass
else:
    raise AssertionError
"""
legacy = {"isolated": False} if sys.version_info < (3, 13) else {}
create = interpreters.create
number = create(**legacy) if legacy else create("legacy")


def run_code():
    error = interpreters.run_string(number, code)
    assert not error, error


def enters(x):
    suspend("before")
    run_code()
    suspend("after")
    return x


fiber = Fiber(lambda: sorted([1], key=enters))
assert fiber.resume() == "before"
run_code()
assert fiber.resume() == "after"
run_code()
assert fiber.resume() == [1]
interpreters.destroy(number)
print("ok")
