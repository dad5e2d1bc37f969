"""Code that is no function's: module code run as a function, class bodies, exec, with suspensions and captures in them."""

import copy
from types import FunctionType

from stackful import BarrierError, Fiber, current, suspend, suspend_to

source = """
total = 0
for i in range(3):
    total += suspend((i, total))
class Inner:
    x = total
    y = suspend("in class")
    try:
        suspend_to(current())
    except Exception as error:
        caught = type(error).__name__
squares = [suspend(n) for n in range(2)]
"""
namespace = {"suspend": suspend, "suspend_to": suspend_to, "current": current, "__name__": "made"}
fiber = Fiber(FunctionType(compile(source, "made.py", "exec"), namespace))
assert fiber.resume() == (0, 0)
twin = copy.copy(fiber)
assert fiber.resume(5) == (1, 5)
assert fiber.frames[0].locals["total"] == 5
assert twin.resume(6)[0] == 1
assert fiber.resume(1)[0] == 2
assert fiber.resume(1) == "in class"
assert fiber.resume("y") == 0
assert (namespace["Inner"].y, namespace["Inner"].caught) == ("y", "BarrierError")
fiber.close()


def executes(act):
    exec("act()", {"act": act})


fiber = Fiber(executes, suspend)
assert [fiber.resume(), fiber.resume()] == [None, None]
try:
    Fiber(executes, lambda: suspend_to(current())).resume()
except BarrierError:
    pass
else:
    raise AssertionError("captured across exec")
