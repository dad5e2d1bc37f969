"""The programs of effect-handlers-bench (programs_effects.py), single operations beside a bare resume, and resumptions."""

import sys
import time

import elsewhere
import programs_effects as programs
from measure import Contender, Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_aleff
from stackful import Fiber, effect, handle, perform, suspend
from whole_programs import ONE_FRAME, PLAIN, Program, both_ways, rows_of

PROGRAMS = {
    "countdown": Program(
        2000, 0, programs.countdown, {"closure": programs.countdown_native}, aleff=both_ways("countdown")
    ),
    "fibonacci_recursive": Program(
        15,
        610,
        programs.fibonacci_recursive,
        {"plain calls": programs.fibonacci_native},
        aleff={PLAIN: "fibonacci_recursive"},
    ),
    "product_early": Program(
        5,
        0,
        programs.product_early,
        {"exception": programs.product_native},
        aleff={PLAIN: "product_early"},
        beyond_aleff=True,
    ),
    "iterator": Program(
        2000,
        2_001_000,
        programs.iterator,
        {"generator": programs.iterator_native},
        "iterator",
        both_ways("iterator"),
    ),
    "nqueens": Program(
        6,
        4,
        programs.nqueens,
        {"generators": programs.nqueens_native, "replay": programs.nqueens_by_replay},
        aleff={PLAIN: "nqueens"},
    ),
    "nqueens by choose": Program(
        6,
        4,
        programs.nqueens_by_search,
        {"generators": programs.nqueens_native, "replay": programs.nqueens_by_replay},
        aleff={ONE_FRAME: "nqueens_in_one_frame"},
    ),
    "generator": Program(
        9,
        1013,
        programs.generator,
        {"yield from": programs.generator_native},
        "generator",
        {PLAIN: "generator"},
    ),
    "tree_explore": Program(
        7,
        1003,
        programs.tree_explore,
        {"lists": programs.tree_explore_native},
        aleff={PLAIN: "tree_explore", ONE_FRAME: "tree_explore_in_one_frame"},
    ),
    "triples": Program(
        20,
        8_888_736,
        programs.triples,
        {"loops": programs.triples_native},
        aleff={PLAIN: "triples", ONE_FRAME: "triples_in_one_frame"},
    ),
    "parsing_dollars": Program(
        40,
        820,
        programs.parsing_dollars,
        {"generators": programs.parsing_native},
        "parsing_dollars",
        both_ways("parsing_dollars"),
    ),
    "resume_nontail": Program(
        10_000,
        561,
        programs.resume_nontail,
        {"recursion": programs.nontail_native},
        aleff=both_ways("resume_nontail"),
        beyond_aleff=True,
    ),
    "handler_sieve": Program(
        100, 1060, programs.handler_sieve, {"closures": programs.sieve_native}, aleff=both_ways("handler_sieve")
    ),
}


@effect
def op(value: int) -> int: ...


@effect
def again() -> int: ...


def perform_often(number):
    for i in range(number):
        perform(op, i)


CAPTURING = "perform, the program captured (ctl, a resumption that is bound to a name first)"


def resume_noted(k, x):
    """In constant stack as well; but it is not read off the code that this is all."""
    noted = k
    return noted.tail_resume(x)


def operations() -> dict[str, Contender]:
    """One operation, answered in each way."""

    def under(clause, **options):
        expect(handle(lambda: perform(op, 7), clause, **options), 7)
        return lambda number: handle(lambda: perform_often(number), clause, **options)

    def echo():
        value = None
        while True:
            value = suspend(value)

    resume = Fiber(echo).resume
    resume()

    def resume_often(number):
        for i in range(number):
            resume(i)

    return {
        "resume": resume_often,
        "perform, answered in place (fun)": under(op.fun(lambda x: x)),
        "perform, answered in place with state (update)": under(op.update(lambda s, x: (x, s)), state=0),
        "perform, tail resumption (once)": under(op.once(lambda k, x: k.tail_resume(x))),
        "perform, tail resumption (ctl)": under(op.ctl(lambda k, x: k.tail_resume(x))),
        CAPTURING: under(op.ctl(resume_noted)),
    }


# Resumptions: the same one, again and again.

DEPTH = 50
DEEP = 1000


def perform_at(depth):
    return perform(again) if depth == 1 else perform_at(depth - 1) + 1


def nothing():
    return 0


def call_at(depth):
    return nothing() if depth == 1 else call_at(depth - 1) + 1


def call_often(number):
    for _ in range(number):
        call_at(DEPTH)


def second_resumption(rounds: int, number: int) -> list[Row]:
    """Of what was resumed before: it runs to its end. Beside aleff's, and beside plain calls as deep, which are below any way to do it."""
    subject, target = f"second resumption of a handler's continuation at depth {DEPTH}", 20

    def measure(k):
        expect([k.resume(0), k.resume(5)], [DEPTH - 1, DEPTH + 4])

        def loop(number):
            for _ in range(number):
                k.resume(0)

        contenders: dict[str, Contender] = {"ours": loop, "calls": call_often}
        if has_aleff:
            contenders["aleff"] = elsewhere.second_resumption(DEPTH)
        return interleaved(contenders, max(1, number // 4), rounds)

    took = handle(lambda: perform_at(DEPTH), again.ctl(measure))
    floor = at_most(subject, took["ours"], took["calls"], "plain calls of that depth")
    if has_aleff:
        return [at_least(subject, took["ours"], took["aleff"], "aleff", target), floor]
    return [missing(subject, time_text(took["ours"]), "aleff", f"≥ {target}x faster"), floor]


def performing_again(depth: int):
    """A continuation that performs again at once, and is then the next one."""

    def perform_for_ever(depth):
        if depth > 1:
            return perform_for_ever(depth - 1)
        while True:
            perform(again)

    return handle(lambda: perform_for_ever(depth), again.ctl(lambda k: k))


class Resuming:
    """Resumes the same continuation again and again; those that come of it are forgotten when the clock stands still."""

    def __init__(self, depth: int):
        self._k = performing_again(depth)
        self.seconds(100)

    def seconds(self, number: int) -> float:
        start = time.perf_counter()
        kept = [self._k.resume(0) for _ in range(number)]
        took = time.perf_counter() - start
        del kept
        return took

    def close(self) -> None:
        pass


def resuming_and_forgetting(depth: int) -> Contender:
    """A rest that is forgotten before it is resumed leaves each of its frames, for their `finally` blocks."""
    k = performing_again(depth)

    def loop(number):
        for _ in range(number):
            k.resume(0)

    return loop


def resumptions(rounds: int, number: int) -> list[Row]:
    contenders = {
        "deep": Resuming(DEEP),
        "shallow": Resuming(1),
        "deep, forgotten": resuming_and_forgetting(DEEP),
        "shallow, forgotten": resuming_and_forgetting(1),
    }
    took = interleaved(contenders, max(1, number // 10), rounds)
    subject = f"a resumption that performs again at once, depth {DEEP:,}"
    return [
        *second_resumption(rounds, number),
        at_most(subject, took["deep"], took["shallow"], "depth 1", 3.0),
        at_most(
            f"{subject}; what follows is forgotten", took["deep, forgotten"], took["shallow, forgotten"], "depth 1"
        ),
    ]


def benchmark(rounds: int, number: int) -> list[Row]:
    sys.setrecursionlimit(200_000)
    took = interleaved(operations(), number, rounds)
    bare = took.pop("resume")
    rows = [
        at_most(name, seconds, bare, "a bare resume + suspend", None if name == CAPTURING else 2.0)
        for name, seconds in took.items()
    ]
    rows += resumptions(rounds, number)
    for name, program in PROGRAMS.items():
        rows += rows_of(name, program, rounds, max(1, number // 2000))
    return rows
