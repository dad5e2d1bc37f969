"""A thread with a large C stack and a high recursion limit: C code as deep in a fiber as without one, and no signal."""

import sys
import threading

from stackful import Fiber

DEPTH = 9000  # beyond 8 MB of C stack


def nested(n):
    return sorted([n], key=lambda _: nested(n - 1) and 0) if n else [0]


def attempt(call):
    try:
        return call()
    except RecursionError:
        return "RecursionError"


def compare():
    outcomes.append((attempt(lambda: nested(DEPTH)), attempt(lambda: Fiber(nested, DEPTH).resume())))


outcomes = []
sys.setrecursionlimit(10**6)
threading.stack_size(512 << 20)
thread = threading.Thread(target=compare)
thread.start()
thread.join()
((plain, within),) = outcomes
# From 3.14 on limits are addresses: there the fiber is refused at the end of its own stack.
assert within == plain or (sys.version_info >= (3, 14) and within == "RecursionError"), (plain, within)
