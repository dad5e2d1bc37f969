"""The interpreter ends while suspended fibers hang in every kind of place; their finally blocks run Python code."""

import atexit
import builtins
import contextvars
import sys
import threading
import weakref

from stackful import Fiber, current, suspend


def recurse(n):
    return n and recurse(n - 1)


def body(name, recurse=recurse, write=sys.stdout.write, suspend=suspend):
    x = [1]
    x.append(x)
    try:
        suspend(name)
    finally:
        recurse(50)
        write(name + "\n")


def make(name):
    fiber = Fiber(body, name)
    fiber.resume()
    return fiber


in_global = make("global")
in_cycle = [make("cycle")]
in_cycle.append(in_cycle)
local = threading.local()
local.fiber = make("thread local")
variable = contextvars.ContextVar("variable")
variable.set(make("context variable"))
sys.fiber = make("sys")
builtins.fiber = make("builtins")
atexit.register(make("atexit").resume)
watched = make("watched")
reference = weakref.ref(watched, lambda _: None)


def holds_itself():
    me = current()
    try:
        suspend()
    finally:
        me.frames


Fiber(holds_itself).resume()


def generator():
    fiber = make("in generator")
    try:
        yield
    finally:
        fiber.close()


waiting = generator()
next(waiting)
