"""The fiber's own function is the destructor of its argument, and suspends, called by the fiber and by the interpreter."""

import sys

from stackful import Fiber, suspend

sys.unraisablehook = lambda _: None


class Thing:
    def __del__(self):
        suspend()
        return "result"


fiber = Fiber(Thing.__del__, Thing())
try:
    fiber.throw(KeyError("x"))
except KeyError:
    pass
assert fiber.status == "dead", fiber.status
fiber = Fiber(Thing.__del__, Thing())
fiber.resume()
assert fiber.resume() is None  # the argument is let go, and its destructor suspends
assert fiber.status == "suspended", fiber.status
assert fiber.resume() == "result"
assert fiber.status == "dead", fiber.status
