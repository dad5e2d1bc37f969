"""Tracing and monitoring go on and off above frames that a continuation has not returned into: its caller's code hears of it."""

import sys

from stackful import Fiber, reset, resume, shift, suspend


def tracer(frame, event, arg):
    return tracer


def inner():
    return act(shift(lambda k: k))


def body():
    answer = inner()
    return answer


def act(action):
    action()
    return action


def call(k, action):
    k(action)
    result = k(lambda: None)
    return result


def sort(k, action):
    sorted([1], key=lambda _: k(action))
    result = [1]
    return result


def resume_parked(k, action):
    fiber = Fiber(lambda: (suspend(), k(action), suspend(), k(action)))
    fiber.resume()
    fiber.resume()
    result = resume(fiber)
    return result


def leave_kept(k, action):
    fiber = Fiber(sorted, [1], key=lambda _: k(lambda: action() or suspend()))
    fiber.resume()
    result = fiber.resume(1)
    return result


callers = [call, sort, resume_parked, leave_kept]


def watched():
    result = 1
    result += 1
    return result


def last_line(function):
    return max(line for _, _, line in function.__code__.co_lines() if line)


for caller in callers:
    k = reset(body)
    sys.settrace(tracer)
    caller(k, lambda: sys.settrace(None))
    caller(k, lambda: sys.settrace(tracer))
    sys.settrace(None)

if sys.version_info >= (3, 12):
    events, tool = sys.monitoring.events, 3
    sys.monitoring.use_tool_id(tool, "test")
    for caller in callers:
        heard = set()
        sys.monitoring.register_callback(tool, events.LINE, lambda code, line: heard.add((code, line)))
        k = reset(body)
        caller(k, lambda: sys.monitoring.set_events(tool, events.LINE))
        assert (caller.__code__, last_line(caller)) in heard, caller
        heard.clear()
        caller(k, lambda: sys.monitoring.set_events(tool, 0))
        assert (caller.__code__, last_line(caller)) not in heard, caller

    # ... also from within a callback, during which nothing is reported (and no C stack is kept).
    k = reset(body)
    for caller in (call, sort, resume_parked):
        lines = []

        def once(code, line, caller=caller, lines=lines):
            if code is watched.__code__:
                lines.append(line)
                caller(k, lambda: sys.monitoring.set_events(tool, 0))

        sys.monitoring.register_callback(tool, events.LINE, once)
        sys.monitoring.set_events(tool, events.LINE)
        watched()
        assert len(lines) == 1, (caller, lines)
