"""Code that is no function's: module code run as a function, class bodies, exec, with suspensions in them where they are possible."""

import copy
from types import FunctionType

from stackful import BarrierError, Fiber, suspend

source = """
total = 0
for i in range(3):
    total += suspend((i, total))
class Inner:
    x = total
    try:
        suspend("in class")
    except Exception as error:
        caught = type(error).__name__
squares = [suspend(n) for n in range(2)]
"""
namespace = {"suspend": suspend, "__name__": "made"}
fiber = Fiber(FunctionType(compile(source, "made.py", "exec"), namespace))
assert fiber.resume() == (0, 0)
twin = copy.copy(fiber)
assert fiber.resume(5) == (1, 5)
assert fiber.frames[0].locals["total"] == 5
assert twin.resume(6)[0] == 1
assert fiber.resume(1)[0] == 2
assert fiber.resume(1) == 0
assert namespace["Inner"].caught == "BarrierError"
fiber.close()


def executes():
    exec("suspend()", {"suspend": suspend})


try:
    Fiber(executes).resume()
except BarrierError:
    pass
