"""Iterators of iterators, more deeply nested than the C stack is deep, stand on the evaluation stack of frames that are captured."""

import sys
import threading

from stackful import control, control0, prompt

# CPython itself needs C stack for each when they die, and a debug build much more.
DEEP = 5_000 if hasattr(sys, "gettotalrefcount") else 50_000
DEEP_IN_THREAD = 8_000
kept = []  # for the main thread to drop


def nested(depth):
    iterator = iter([1])
    for _ in range(depth):
        iterator = enumerate(iterator)
    return iterator


def capture(iterator, how):
    for _ in [iterator, how(lambda k: k(2))]:
        pass
    return "through"


def capture_what_nobody_else_holds(depth, how):
    box = [nested(depth)]
    for _ in [box.pop(), how(lambda k: k(2))]:
        pass
    return "through"


def attempt(thunk):
    try:
        return prompt(thunk)
    except RecursionError:
        return "refused"


for how in (control, control0):
    assert attempt(lambda how=how: capture_what_nobody_else_holds(50, how)) == "through"
    assert attempt(lambda how=how: capture_what_nobody_else_holds(DEEP, how)) in {"through", "refused"}


def work():
    for how in (control, control0):
        outcomes.append(attempt(lambda how=how: capture(kept[0], how)))


outcomes = []
kept.append(nested(DEEP_IN_THREAD))
threading.stack_size(512 * 1024)
thread = threading.Thread(target=work)
thread.start()
thread.join()
assert outcomes == ["refused"] * 2, outcomes
