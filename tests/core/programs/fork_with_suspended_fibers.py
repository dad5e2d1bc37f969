"""Parent and child both go on with a fiber that was suspended, or running, at the fork."""

import os

from stackful import Fiber, suspend


def body():
    child = os.fork()
    suspend(child)
    return suspend(child)


fiber = Fiber(body)
child = fiber.resume()
assert fiber.resume() == child
assert fiber.resume("end") == "end"
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
