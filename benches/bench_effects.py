"""The programs of effect-handlers-bench (programs_effects.py), and single operations beside a bare resume."""

import sys

import programs_effects as programs
from measure import Contender, Row, at_most, expect, interleaved
from stackful import Fiber, effect, handle, perform, suspend

# name -> (size, answer, ours, others)
PROGRAMS = {
    "countdown": (2000, 0, programs.countdown, {"closure": programs.countdown_native}),
    "fibonacci_recursive": (15, 610, programs.fibonacci_recursive, {"plain calls": programs.fibonacci_native}),
    "product_early": (5, 0, programs.product_early, {"exception": programs.product_native}),
    "iterator": (2000, 2_001_000, programs.iterator, {"generator": programs.iterator_native}),
    "nqueens": (6, 4, programs.nqueens, {"generators": programs.nqueens_native, "replay": programs.nqueens_by_replay}),
    "nqueens by choose": (
        6,
        4,
        programs.nqueens_by_search,
        {"generators": programs.nqueens_native, "replay": programs.nqueens_by_replay},
    ),
    "generator": (9, 1013, programs.generator, {"yield from": programs.generator_native}),
    "tree_explore": (7, 1003, programs.tree_explore, {"lists": programs.tree_explore_native}),
    "triples": (20, 8_888_736, programs.triples, {"loops": programs.triples_native}),
    "parsing_dollars": (40, 820, programs.parsing_dollars, {"generators": programs.parsing_native}),
    "resume_nontail at 10,000": (10_000, 561, programs.resume_nontail, {"recursion": programs.nontail_native}),
    "handler_sieve": (100, 1060, programs.handler_sieve, {"closures": programs.sieve_native}),
}


@effect
def op(value: int) -> int: ...


def perform_often(number):
    for i in range(number):
        perform(op, i)


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
    }


def timed(function, size) -> Contender:
    def loop(number):
        for _ in range(number):
            function(size)

    return loop


def benchmark(rounds: int, number: int) -> list[Row]:
    sys.setrecursionlimit(200_000)
    took = interleaved(operations(), number, rounds)
    bare = took.pop("resume")
    rows = [at_most(name, seconds, bare, "a bare resume + suspend", 2.0) for name, seconds in took.items()]
    for name, (size, answer, ours, others) in PROGRAMS.items():
        contenders = {"ours": ours, **others}
        for function in contenders.values():
            expect(function(size), answer)
        took = interleaved(
            {key: timed(function, size) for key, function in contenders.items()}, max(1, number // 4000), rounds
        )
        rows += [at_most(f"{name} ({size:,})", took["ours"], took[other], other) for other in others]
    return rows
