"""Runs one program with aleff, in a process of its own: importing aleff slows every call of the process (elsewhere.py is the other end).

`aleff_process.py NAME SIZE ANSWER [methods] [as-installed]` prints "ready" when the answer was right. From then on it reads
numbers of runs, and prints the seconds of one run and of all. aleff's diagnosis of C boundaries is off, which is aleff at its best.
"""

import resource
import sys

import aleff

from measure import expect
from programs_aleff import program
from serving import serve


def serve_resumption(depth: int) -> None:
    """One more resumption of a continuation that was resumed before, and that runs to its end."""
    choose = aleff.effect("choose")
    handler = aleff.create_handler(choose)

    def perform_at(depth):
        return choose() if depth == 1 else perform_at(depth - 1) + 1

    @handler.on(choose)
    def resume_again_and_again(k):
        expect([k(0), k(5)], [depth - 1, depth + 4])
        serve(lambda: k(0))
        return 0

    handler(lambda: perform_at(depth))


def main() -> None:
    name, size, answer, *options = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # some of these overflow the C stack
    sys.setrecursionlimit(200_000)
    if "as-installed" not in options:
        aleff.disable_c_warnings()
    if name == "resumption":
        serve_resumption(int(size))
        return
    run = program(name, "methods" in options)
    expect(run(int(size)), int(answer))
    serve(lambda: run(int(size)))


if __name__ == "__main__":
    main()
