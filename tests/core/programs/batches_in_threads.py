"""Threads resume one continuation at the same time: each has its own copies, of as many frames as it has come to."""

import gc
import sys
import threading

from stackful import Fiber, effect, handle, perform, suspend


@effect
def ask() -> int: ...


def deep(n, loops):
    got = perform(ask) if n == 0 else deep(n - 1, loops)
    for _ in range(loops):
        pass
    return got + 1


def resume_often(k, number, found):
    fiber = Fiber(lambda: [k.resume(number) for _ in range(100)])
    fiber.resume()
    found.append(fiber.result == [number + 101] * 100 and k.resume(number) == number + 101)


def suspend_often(k, number, found):
    """A fiber that goes on in another thread in the middle of the frames."""
    fibers = [Fiber(lambda: [k.resume(number), suspend(), k.resume(number)]) for _ in range(20)]
    for fiber in fibers:
        fiber.resume()
    thread = threading.Thread(target=lambda: [fiber.resume() for fiber in fibers])
    thread.start()
    thread.join()
    found.append(all(fiber.result == [number + 101, None, number + 101] for fiber in fibers))


def in_threads(k):
    found = []
    threads = [
        threading.Thread(target=work, args=(k, number, found))
        for number in range(4)
        for work in (resume_often, suspend_often)
    ]
    for thread in threads:
        thread.start()
    for _ in range(20):
        gc.collect()
    for thread in threads:
        thread.join()
    return found


sys.setswitchinterval(1e-6)
for loops in (0, 3):
    assert handle(lambda loops=loops: deep(100, loops), ask.ctl(in_threads)) == [True] * 8
