"""Another thread sends signals and asynchronous exceptions to one that resumes, copies and suspends fibers."""

import copy
import ctypes
import random
import signal
import sys
import threading
import time

from stackful import Fiber, suspend

sys.setswitchinterval(1e-5)
RIGHT = 4 * 8
set_exception = ctypes.pythonapi.PyThreadState_SetAsyncExc
set_exception.argtypes = [ctypes.c_ulong, ctypes.py_object]


class Poke(Exception):
    """What the other thread raises here."""


def deep(n):
    return sum([deep(n - 1), deep(n - 1)]) if n else suspend(n)


def finish(fiber):
    value = 4 if fiber.frames else None
    while fiber.status != "dead":
        fiber.resume(value)
        value = 4
    return fiber.result


def use_fibers(kept):
    fiber = Fiber(deep, 3)
    kept.append(fiber)
    fiber.resume()
    kept.append(copy.copy(fiber))
    assert finish(fiber) == RIGHT
    assert finish(kept[-1]) == RIGHT


def go_on_with(kept):
    """Those that did not die of it are whole."""
    for fiber in kept:
        value = 4 if fiber.frames else None
        while fiber.status != "dead":
            fiber.resume(value)
            value = 4


def work():
    while poker.is_alive():
        kept = []
        try:
            try:
                while poker.is_alive():
                    kept.clear()
                    use_fibers(kept)
            except Poke:
                poked.append(1)
            go_on_with(kept)
        except Poke:
            poked.append(1)


def handler(number, frame):
    raise Poke


def poke(thread):
    while not ready:
        time.sleep(0.001)
    while len(poked) < 60:
        time.sleep(random.random() * 0.002)
        if random.random() < 0.5:
            set_exception(thread, Poke)
        else:
            signal.pthread_kill(thread, signal.SIGUSR1)


signal.signal(signal.SIGUSR1, handler)
poked, ready = [], []
poker = threading.Thread(target=poke, args=(threading.get_ident(),))
use_fibers([])  # what is imported when it is first needed is imported now
poker.start()
while True:
    try:
        ready.append(True)
        work()
        poker.join()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        break
    except Poke:  # what was sent last
        pass
