"""A KeyboardInterrupt at each instruction of compat.greenlet in turn: the thread's other greenlets work afterwards, and it is in its main one."""

import gc
import opcode
import signal
import sys

from stackful.compat.greenlet import GreenletExit, getcurrent, greenlet

MAIN = getcurrent()
HANDLING = {number for name, number in opcode.opmap.items() if name.startswith(("CALL", "RESUME", "JUMP_BACKWARD"))}


def echo(value):
    while True:
        value = getcurrent().parent.switch(value)


def relay(value, other):
    return other.switch(value)


def guarded(_=None):
    try:
        getcurrent().parent.switch("waits")
    except KeyError:
        return "thrown"


def work():
    first = greenlet(echo)
    first.switch(1)
    first.switch(2)
    second = greenlet(relay, first)
    second.switch(3, greenlet(echo, MAIN))
    third = greenlet(guarded)
    third.switch()
    third.throw(KeyError)
    third.switch()
    greenlet(lambda: 1 / 0, greenlet(guarded)).throw(GreenletExit)
    del first


class Interrupter:
    """A trace function that sends the signal at instruction number `at`: its handler raises soon after."""

    def __init__(self, at):
        self.left = at

    def __call__(self, frame, event, argument):
        if not frame.f_code.co_filename.endswith("greenlet.py"):
            return None
        frame.f_trace_opcodes = True
        # Where signals are handled (v3.13.0 Python/bytecodes.c, CHECK_EVAL_BREAKER). Other instructions may stand outside of their `try`.
        if event == "opcode" and frame.f_code.co_code[frame.f_lasti] in HANDLING:
            self.left -= 1
            if self.left == -1:
                signal.raise_signal(signal.SIGUSR1)
        return self


def raise_interrupt(number, frame):
    raise KeyboardInterrupt


def alone():
    yield work()  # CPython leaves exc_info as it is where a handler raises at a POP_EXCEPT; in a generator that ends with it


def interrupted(at):
    """Whether there were so many instructions."""
    interrupter = Interrupter(at)
    sys.settrace(interrupter)
    try:
        next(alone())
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    gc.collect()
    assert getcurrent() is MAIN, at
    waiting = greenlet(echo)
    assert waiting.switch(5) == 5, at
    assert waiting.switch(6) == 6, at
    assert greenlet(relay).switch(7, waiting) == 7, at
    assert greenlet(lambda: getcurrent().parent).switch() is MAIN, at
    return interrupter.left < 0


signal.signal(signal.SIGUSR1, raise_interrupt)
sys.settrace(Interrupter(10**9))  # 3.12 tells of instructions from the second time on
work()
sys.settrace(None)
count = 0
while interrupted(count):
    count += 1
assert count > 200, count
