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
if (
    fiber.resume() is None
):  # the interpreter lets the argument go, and its destructor suspends; on 3.11 the driver does, and it cannot
    assert fiber.status == "suspended", fiber.status
    fiber.resume()
assert fiber.result == "result"
assert fiber.status == "dead", fiber.status
