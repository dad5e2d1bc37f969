"""Tracing, profiling and monitoring go on and off while frames wait and while they run."""

import copy
import sys

from stackful import Fiber, suspend


def tracer(frame, event, arg):
    frame.f_trace_opcodes = True
    frame.f_lineno, frame.f_back, frame.f_locals
    return tracer


def deep(n, log):
    for i in range(4):
        if n:
            deep(n - 1, log)
        else:
            log.append(suspend(i))
            if log[-1] == "in":
                sys.settrace(tracer)
                sys._getframe().f_trace = tracer
            elif log[-1] == "out":
                sys.settrace(None)
        if n:
            return


switches = [sys.settrace, sys.setprofile]
for k in range(40):
    log = []
    fiber = Fiber(deep, k % 5, log)
    if k & 1:
        sys.settrace(tracer)
    fiber.resume()
    if k & 2:
        sys.setprofile(tracer)
    fiber.resume("in" if k & 4 else "out")
    sys.settrace(None)
    twin = copy.copy(fiber)
    if k & 8:
        sys.settrace(tracer)
    twin.resume(k)
    try:
        fiber.throw(KeyError)
    except KeyError:
        pass
    sys.setprofile(None)
    twin.resume("in")
    twin.close()
    sys.settrace(None)
