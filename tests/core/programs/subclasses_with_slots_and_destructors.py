"""Subclasses with __slots__, __dict__, __del__, metaclasses and changed __class__."""

import copy
import gc

from stackful import Fiber, suspend

log = []


class Slotted(Fiber):
    __slots__ = ("a", "b")


class Plain(Fiber):
    def __init__(self, *args):
        self.me = self


class Dying(Plain):
    def __del__(self):
        log.append(self.status)
        super().__del__()


class Reviving(Plain):
    def __del__(self):
        log.append(self)


class Other(Fiber):
    __slots__ = ()


def body(*ignored):
    try:
        suspend()
    finally:
        log.append("finally")


for kind in (Slotted, Plain, Dying, Reviving, Other):
    for steps in range(3):
        fiber = kind(body, 1)
        if kind is Slotted:
            fiber.a = fiber
        for _ in range(steps):
            fiber.resume()
        twin = copy.copy(fiber)
        del fiber, twin
        gc.collect()
revived = [f for f in log if isinstance(f, Fiber)]
for fiber in revived:
    if fiber.status == "suspended":
        fiber.resume()
log.clear()
fiber = Fiber(body)
fiber.resume()
fiber.__class__ = Other
fiber.resume()
assert log == ["finally"]
