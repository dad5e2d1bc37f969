"""The interpreter ends while a daemon thread runs a fiber; destructors look at it late in the shutdown."""

import builtins
import sys
import threading
import time

from stackful import Fiber

started = threading.Event()


def busy(sleep=time.sleep):
    started.set()
    while True:
        sleep(0.001)


class Late:
    def __init__(self, fiber):
        self.fiber = fiber

    def __del__(self):
        try:
            str((self.fiber.status, self.fiber.frames, self.fiber))
        except Exception:
            pass
        try:
            self.fiber.resume()
        except Exception:
            pass


fiber = Fiber(busy)
threading.Thread(target=fiber.resume, daemon=True).start()
started.wait()
late, sys.late, builtins.late = Late(fiber), Late(fiber), Late(fiber)
