"""Fibers wait within destructors, weak references' callbacks, dictionaries, imports, hooks, signal handlers, the collector's callbacks."""

import gc
import os
import signal
import sys
import types
import weakref

from stackful import BarrierError, Fiber, suspend

sys.unraisablehook = lambda report: None


def finish(fiber, limit=1000):
    found = []
    while fiber.status != "dead":
        found.append(fiber.resume(len(found) or None))
        assert len(found) < limit
    return found


class Dies:
    def __del__(self):
        suspend("del")


class Key:
    def __init__(self, value):
        self.value = value

    def __hash__(self):
        suspend("hash")
        return 1

    def __eq__(self, other):
        suspend("eq")
        return self.value == other.value


def destructors():
    thing = Dies()
    del thing
    things = [Dies() for _ in range(3)]
    things.clear()
    things = {"a": Dies()}
    things["a"] = 1
    return "end"


def chain_of_destructors():
    thing = None
    for _ in range(300):
        other = Dies()
        other.next = thing
        thing = other
    del thing, other
    return "end"


def callbacks():
    thing = Dies()
    references = [weakref.ref(thing, lambda _: suspend("weak")) for _ in range(3)]
    weakref.finalize(thing, suspend, "finalize")
    del thing
    return len(references)


def dictionaries():
    shared = {}
    for i in range(3):
        shared[Key(i)] = i
        shared.get(Key(i))
        {Key(i)} | {Key(i + 1)}
    return len(shared)


def changed_meanwhile():
    for _ in range(2):
        COMMON[Key(len(COMMON))] = 0
    COMMON.clear()
    items = [3, 1, 2]
    try:
        items.sort(key=lambda x: items.append(x) or suspend("sort"))
    except (ValueError, TypeError):
        pass
    return "end"


COMMON = {}


def imports():
    module = types.ModuleType("importing")
    exec("from stackful import suspend\ndef __getattr__(name):\n    return suspend(name)", module.__dict__)
    sys.modules["importing"] = module
    try:
        from importing import anything
    finally:
        sys.modules.pop("importing", None)
    return anything


def signals():
    def handler(number, frame):
        suspend("signal")

    signal.signal(signal.SIGUSR1, handler)
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(10):
            pass
    return "end"


def collectors_callbacks():
    log = []

    def callback(phase, info):
        try:
            suspend("gc")
        except BarrierError:
            log.append(phase)

    gc.callbacks.append(callback)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(callback)
    assert log == ["start", "stop"], log
    return "end"


hooked = [False]


def audit(event, arguments):
    if hooked[0] and event == "made.up":
        try:
            suspend("audit")
        except BarrierError:  # the interpreter calls it as it does a trace function: nothing is traced meanwhile
            hooked[0] = False


sys.addaudithook(audit)


def audit_hooks():
    hooked[0] = True
    sys.audit("made.up")
    assert not hooked[0]
    return "end"


def raised_while_handled():
    try:
        raise ValueError(Dies())
    except ValueError:
        try:
            raise KeyError(Dies())
        except KeyError:
            suspend("handler")
    return "end"


def classes():
    class Meta(type):
        def __prepare__(name, bases):
            suspend("prepare")
            return {}

        def __new__(meta, *arguments):
            suspend("new")
            return super().__new__(meta, *arguments)

    class Made(metaclass=Meta):
        suspend("body")

        def __set_name__(self, owner, name):
            suspend("set_name")

    class Owner:
        a = Made()
        b = Made()

        def __getattribute__(self, name):
            return suspend(name)

    Owner().c
    return "end"


PROGRAMS = [
    destructors, chain_of_destructors, callbacks, dictionaries, changed_meanwhile, imports, signals, collectors_callbacks,
    audit_hooks, raised_while_handled, classes,
]  # fmt: skip

for program in PROGRAMS:
    found = finish(Fiber(program))
    assert len(found) > 1 or program in (collectors_callbacks, audit_hooks), (program, found)
    # several at once, in turn, with collections in between
    fibers = [Fiber(program) for _ in range(4)]
    while fibers:
        for fiber in fibers:
            fiber.resume()
        gc.collect()
        fibers = [fiber for fiber in fibers if fiber.status != "dead"][::-1]
    # ended at each point
    for stop in range(min(len(found), 8)):
        for end in ("close", "drop", "throw"):
            fiber = Fiber(program)
            for _ in range(stop):
                fiber.resume()
            if fiber.status == "suspended":
                try:
                    if end == "close":
                        fiber.close()
                    elif end == "throw":
                        fiber.throw(KeyboardInterrupt)
                except (Exception, KeyboardInterrupt):
                    pass
            hooked[0] = False
            gc.callbacks.clear()
            del fiber
    COMMON.clear()
print("ok")
