"""Who traces, profiles or monitors hears of frames that run together what is heard of plain calls; from the middle on, too."""

import sys

from stackful import effect, handle, perform

DEPTH = 30


@effect
def ask() -> int: ...


def switch_on(log, way, on):
    """Frames that wait for a copy hear of tracing by what they call; where it is switched on, and profiling, of all."""

    def listen(frame, event, arg):
        n = frame.f_locals.get("n")
        if frame.f_code is leaf.__code__ or (frame.f_code is deep.__code__ and (way == "profile" or n == on)):
            log.append((event, frame.f_code.co_name, frame.f_lineno, n, arg if event == "return" else None))
        return listen

    if way == "profile":
        sys.setprofile(listen)
        return
    sys.settrace(listen)
    frame = sys._getframe(1)
    while frame is not None:
        frame.f_trace = listen
        frame = frame.f_back


def switch_off():
    sys.settrace(None)
    sys.setprofile(None)


def leaf(n):
    return n


def deep(n, on, off, log, way, wait):
    got = wait() if n == 0 else deep(n - 1, on, off, log, way, wait)
    if n == on:
        switch_on(log, way, on)
    if n == off:
        switch_off()
    return got + leaf(n)


def plainly(on, off, way):
    log = []
    try:
        return deep(DEPTH, on, off, log, way, lambda: 0), log
    finally:
        switch_off()


def resumed(on, off, way):
    log = []

    def clause(k):
        found = []
        for _ in range(3):
            log.clear()
            try:
                found.append((k.resume(0), list(log)))
            finally:
                switch_off()
        return found

    return handle(lambda: deep(DEPTH, on, off, log, way, lambda: perform(ask)), ask.ctl(clause))


for way in ("trace", "profile"):
    for on in (0, 1, 2, 3, 4, 6, 7, 14, 15, 29, 30):
        for off in (on, on + 1, on + 2, on + 8, 30, 31):
            right = plainly(on, off, way)
            assert resumed(on, off, way) == [right] * 3, (way, on, off, right, resumed(on, off, way)[0])


def traced_throughout(k):
    found = []
    for _ in range(3):
        log = []
        switch_on(log, "profile", None)
        try:
            found.append(k.resume(0))
        finally:
            switch_off()
        names = [entry[1:] for entry in log if entry[0] == "return" and entry[1] == "deep"]
        assert len(names) == DEPTH + 1, log
        assert [n for _, _, n, _ in names] == list(range(DEPTH + 1)), names
    return found


total = sum(range(DEPTH + 1))
assert handle(lambda: deep(DEPTH, None, None, [], "", lambda: perform(ask)), ask.ctl(traced_throughout)) == [total] * 3

if hasattr(sys, "monitoring"):
    monitoring = sys.monitoring
    events = monitoring.events
    monitoring.use_tool_id(3, "test")
    heard = []

    def returned(code, offset, value):
        if code is deep.__code__:
            heard.append(value)

    def monitored(k):
        found = [k.resume(0)]
        for code_only in (False, True):
            for _ in range(2):
                heard.clear()
                if code_only:
                    monitoring.set_local_events(3, deep.__code__, events.PY_RETURN | events.INSTRUCTION)
                else:
                    monitoring.set_events(3, events.PY_RETURN | events.LINE)
                found.append(k.resume(0))
                monitoring.set_events(3, 0)
                monitoring.set_local_events(3, deep.__code__, 0)
                assert heard == [sum(range(n + 1)) for n in range(DEPTH + 1)], heard
        return found

    monitoring.register_callback(3, events.PY_RETURN, returned)
    monitoring.register_callback(3, events.LINE, lambda *_: None)
    monitoring.register_callback(3, events.INSTRUCTION, lambda *_: None)
    assert handle(lambda: deep(DEPTH, None, None, [], "", lambda: perform(ask)), ask.ctl(monitored)) == [total] * 5
    monitoring.free_tool_id(3)
