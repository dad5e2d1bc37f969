"""Continuations: call one that captures again at once, at different depths; capture and call in one go; escape. Transfer."""

import sys

import programs_control as programs
from elsewhere import with_greenlet
from measure import Contender, Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_greenlet
from stackful import Coroutine, Fiber, call_cc, call_ec, prompt, reset, run, shift, transfer
from whole_programs import PLAIN, Program, rows_of

DEEP = 1000


def waiting():
    while True:
        shift(lambda k: k)


def waiting_at(depth):
    if depth > 1:
        return waiting_at(depth - 1)
    return waiting()


def in_fiber(function) -> Contender:
    """`function(number)` where it can capture: in a fiber."""
    return lambda number: Fiber(function, number).resume()


def resumption(depth) -> Contender:
    """Call a continuation that captures again at once, always the same one: multi-shot."""
    k = reset(lambda: waiting_at(depth))

    def loop(number):
        for _ in range(number):
            k()

    return in_fiber(loop)


def captures(number):
    """Capture, and go on at once."""

    def loop():
        total = 0
        for _ in range(number):
            total += shift(lambda k: k(1))
        return total

    # Each k runs above a prompt of its own and is called by f, which waits: a stack as deep as the loop is long.
    return reset(loop)


def jumps(number):
    """A loop by call_cc."""
    state = [0]
    k = call_cc(lambda k: k)
    state[0] += 1
    return state[0] if state[0] >= number else k(k)


def escapes(number):
    """Leave by an escape continuation."""
    for _ in range(number):
        call_ec(lambda out: out(1))


def prompts(number):
    """A prompt, and nothing in it."""
    for _ in range(number):
        prompt(int)


def transfers(number):
    """Two coroutines that hand control to each other."""

    def hand_over(n):
        for _ in range(n):
            transfer(other)

    def hand_back():
        while True:
            transfer(one)

    one, other = Coroutine(hand_over, number // 2), Coroutine(hand_back)
    transfer(one)
    other.close()


PROGRAMS = {
    "ctak": Program(
        3,
        6,
        programs.ctak,
        {
            "escapes by call_ec": programs.ctak_by_escapes,
            "exceptions": programs.ctak_by_exceptions,
            "thunks": programs.ctak_by_thunks,
            "plain recursion": programs.ctak_plain,
        },
        aleff={PLAIN: "ctak", "aleff, by aborts": "ctak_by_escapes"},
    ),
    "fibc": Program(
        10,
        55,
        programs.fibc,
        {
            "escapes by call_ec": programs.fibc_by_escapes,
            "exceptions": programs.fibc_by_exceptions,
            "thunks": programs.fibc_by_thunks,
            "plain recursion": programs.fibc_plain,
        },
        aleff={PLAIN: "fibc", "aleff, by aborts": "fibc_by_escapes"},
    ),
}


def benchmark(rounds: int, number: int) -> list[Row]:
    sys.setrecursionlimit(10 * DEEP)
    expect(captures(100), 100)
    expect(run(lambda: jumps(100)), 100)
    contenders = {
        "depth 1": resumption(1),
        "deep": resumption(DEEP),
        "capture": in_fiber(lambda number: [captures(100) for _ in range(max(1, number // 100))]),
        "jump": lambda number: run(lambda: jumps(number)),
        "escape": in_fiber(escapes),
        "prompt": in_fiber(prompts),
        "transfer": transfers,
    }
    if has_greenlet:
        contenders["greenlet"] = with_greenlet("transfer")
    took = interleaved(contenders, number, rounds)
    return [
        at_most(
            f"call a continuation that captures again, depth {DEEP:,}", took["deep"], took["depth 1"], "depth 1", 3.0
        ),
        Row("capture (shift) and call", time_text(took["capture"])),
        Row("call_cc's continuation: a jump", time_text(took["jump"])),
        Row("call_ec and its escape", time_text(took["escape"])),
        Row("prompt", time_text(took["prompt"])),
        at_least("transfer", took["transfer"], took["greenlet"], "greenlet switch", 3)
        if has_greenlet
        else missing("transfer", time_text(took["transfer"]), "greenlet", "≥ 3x faster"),
        *(row for name, program in PROGRAMS.items() for row in rows_of(name, program, rounds, max(1, number // 2000))),
    ]
