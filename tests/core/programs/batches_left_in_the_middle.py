"""Frames that run together are captured, suspended (behind C code, too), copied, stored and looked at, wherever they have come to."""

import copy
import gc
import pickle
import sys

from stackful import Fiber, FiberError, current, effect, handle, perform, prompt, shift, suspend
from stackful.fibers.operations import return_into

DEPTH = 40


@effect
def ask() -> int: ...


@effect
def again() -> int: ...


def names():
    frame, found = sys._getframe(1), []
    while frame is not None:
        found.append(frame.f_code.co_name)
        frame = frame.f_back
    return found


def nothing(n):
    return 0


def captured(n):
    return perform(again)


def captured_twice(n):
    return perform(again) + perform(again)


def composed(n):
    return shift(lambda k: [k(0), k(0)][1])


def suspended(n):
    return suspend("soft")


def suspended_behind_c(n):
    return min([0], key=lambda _: suspend("hard"))


def of_a_nested_fiber(n):
    inner = Fiber(lambda: suspend(1) or 0)
    return inner.resume() - 1 + inner.resume(0)


def looked_at(n):
    found = names()
    assert found[: found.index("deep")] == ["looked_at"], found
    assert found.count("deep") == DEPTH + 1 - n, (n, found)
    frames = [frame.code.co_name for frame in current().frames]
    assert frames.count("deep") == DEPTH + 1 - n, (n, frames)
    return 0


def kept(n):
    objects.append(sys._getframe(1))
    return 0


def misused(n):
    try:
        return return_into(n)
    except FiberError:
        return 0


def collected(n):
    gc.collect()
    return 0


objects = []
actions = [
    nothing,
    captured,
    captured_twice,
    composed,
    suspended,
    suspended_behind_c,
    of_a_nested_fiber,
    looked_at,
    kept,
    misused,
    collected,
]


def deep(n, at, act):
    got = perform(ask) if n == 0 else deep(n - 1, at, act)
    local = [n]
    if n % at == at - 1:
        got += act(n)
    assert local == [n]
    return got + 1


def three_times(k):
    prompt(int)  # so that it was no Python function that the fiber has called last
    return [k.resume(number) for number in (0, 5, 10)]


def answered(k):
    """Once by a copy of what was captured in the middle, once by itself."""
    assert copy.copy(k).resume(0) == k.resume(0)
    return k.resume(0)


def body(at, act):
    return prompt(lambda: handle(lambda: deep(DEPTH, at, act), ask.ctl(three_times), again.ctl(answered)))


def driven(fiber):
    value = fiber.resume()
    while fiber.status == "suspended":
        if value == "soft":
            twin, restored = copy.copy(fiber), pickle.loads(pickle.dumps(fiber))
            restored.resume(0)
            restored.close()
            if fiber.frames[0].code.co_name == "looking":
                assert twin.resume(0) == "soft"
            twin.close()
        value = fiber.resume(0)
    return fiber.result


right = [DEPTH + 1, DEPTH + 6, DEPTH + 11]
for act in actions:
    for at in (1, 2, 3, 5, 8, 13, 21, 40, 41):
        if act in (captured, captured_twice, composed) and at < 8:
            continue  # two to the power of how often
        found = driven(Fiber(body, at, act))
        assert found == right, (act, at, found)
for frame in objects:
    assert frame.f_code is deep.__code__ and frame.f_locals["got"] >= frame.f_locals["n"]
    frame.clear()
objects.clear()


def often(n, every):
    """Captured anew on the way out, and gone on with: what has not been returned into is captured with it."""
    got = perform(ask) if n == 0 else often(n - 1, every)
    return got + (perform(again) if n % every == 0 else 0)


def the_second_time(k):
    nonce.append(k)  # so that frames are copied, and not moved
    return k.resume(1)


nonce = []
sys.setrecursionlimit(200_000)  # each resumption waits for the next one
for every in (1, 2, 3, 4, 7, 30):
    found = handle(
        lambda every=every: often(300, every), ask.ctl(lambda k: [k.resume(1), k.resume(1)]), again.ctl(the_second_time)
    )
    assert found == [1 + len(range(0, 301, every))] * 2, found
