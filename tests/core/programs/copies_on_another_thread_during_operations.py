"""A fiber is copied by one thread while another one changes its stack: puts frames of a continuation on it that only Python code can copy."""

import copy
import sys
import threading
import time

from stackful import Fiber, FiberError, control, prompt

sys.setswitchinterval(1e-6)
ROUNDS = 20


class Slow:
    def __init__(self, seconds):
        self.seconds = seconds

    def __iter__(self):
        time.sleep(self.seconds)
        return self

    def __next__(self):
        return 1


def capture(shared):
    for _ in shared:
        take(3, shared)


def take(depth, shared):
    if depth > 0:
        take(depth - 1, shared)
    else:
        control(taken.append)


def deep(depth, function):
    if depth > 0:
        deep(depth - 1, function)
    else:
        prompt(function)


def main():
    prompt(lambda: capture(zip("abc" * 100, Slow(0.0002), strict=False)))
    k = taken.pop()
    for _ in range(20):
        prompt(lambda: outer(k))
        taken.clear()


def outer(k):
    for _ in zip("a", Slow(0.001), strict=False):  # a copy of this frame takes longer than the operation
        prompt(lambda: more(30, k))
        deep(100, lambda: prompt(lambda: time.sleep(0.004)))


def more(depth, k):
    if depth > 0:
        more(depth - 1, k)
    else:
        k(1)


def work():
    global fiber
    for _ in range(ROUNDS):
        taken.clear()
        fiber = Fiber(main)
        fiber.resume()


taken = []
fiber = Fiber(main)
thread = threading.Thread(target=work)
thread.start()
while thread.is_alive():
    try:
        copy.copy(fiber)
    except FiberError:
        pass
thread.join()
