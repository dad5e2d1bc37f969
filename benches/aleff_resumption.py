"""Prints aleff's seconds for one more resumption of a continuation that was resumed before, and that runs to its end.

A program of its own, because importing aleff slows every call of the process. Its diagnosis of C boundaries is on as
installed; without it aleff is at its best.
"""

import sys
import time

import aleff

from measure import expect

depth, rounds, number = map(int, sys.argv[1:4])
if sys.argv[4] == "off":
    aleff.disable_c_warnings()
choose = aleff.effect("choose")
handler = aleff.create_handler(choose)
took = []


def perform_at(depth):
    return choose() if depth == 1 else perform_at(depth - 1) + 1


@handler.on(choose)
def resume_again_and_again(k):
    expect([k(0), k(5)], [depth - 1, depth + 4])
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(number):
            k(0)
        took.append((time.perf_counter() - start) / number)
    return k(0)


expect(handler(lambda: perform_at(depth)), depth - 1)
print(sorted(took)[rounds // 2])
