"""A gc callback resumes, closes, throws into the very fiber whose frames are being read, copied or captured."""

import copy
import gc

from stackful import Fiber, _core, suspend


def deep(n):
    x = [n]
    return suspend(n) if n == 0 else deep(n - 1)


pending = []
junk = []


def callback(phase, info):
    if pending and phase == "start":
        fiber, act = pending.pop()
        try:
            act(fiber)
        except (RuntimeError, KeyError):
            pass
        junk[:] = [bytearray(300) for _ in range(300)]


gc.callbacks.append(callback)
acts = [lambda f: f.resume(0), lambda f: f.close(), lambda f: f.throw(KeyError), copy.copy, lambda f: f.frames]
for look in (
    lambda f: f.frames,
    _core.look,
    _core.capture,
    copy.copy,
    lambda f: f.throw(KeyError),
    lambda f: f.close(),
):
    for i in range(60):
        fiber = Fiber(deep, 50)
        fiber.resume()
        gc.set_threshold(1 + i)
        pending.append((fiber, acts[i % len(acts)]))
        try:
            look(fiber)
        except (RuntimeError, KeyError):
            pass
        pending.clear()
        gc.set_threshold(700)
