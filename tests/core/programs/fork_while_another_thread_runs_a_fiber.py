"""In the child of a fork, a fiber that another thread was running belongs to nobody: it can be looked at, and refuses the rest."""

import os
import threading
import warnings

from stackful import Fiber

warnings.simplefilter("ignore")
started, stop = threading.Event(), threading.Event()


def body():
    started.set()
    stop.wait()


def look():
    assert fiber.status in {"running", "dead"}, fiber.status
    assert fiber.frames == ()
    for act in (fiber.resume, fiber.__copy__):
        try:
            act()
        except RuntimeError:
            pass


fiber = Fiber(body)
thread = threading.Thread(target=fiber.resume)
thread.start()
started.wait()
child = os.fork()
if child == 0:
    junk = [bytearray(500) for _ in range(2000)]
    look()
    other = threading.Thread(target=look)
    other.start()
    other.join()
    os._exit(0)
status = os.waitpid(child, 0)[1]
stop.set()
thread.join()
assert status == 0, status
