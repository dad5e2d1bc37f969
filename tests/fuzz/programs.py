"""Runs made programs under made schedules, in a process of its own; whoever started it sees how it ends.

    python programs.py SEED FIRST COUNT FILE      FILE begins with the number of the program at hand, as in attack.py
    python programs.py --show SEED NUMBER         prints a program, as it is kept in seeds/

What must hold is what tests/laws says of the corpus: a program ends as under plain Python, wherever it is suspended, whoever resumes it,
and whether its fiber is looked at, copied, or saved and restored meanwhile.
"""

import copy
import faulthandler
import gc
import json
import mmap
import os
import random
import signal
import sys
import threading
import types
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from corpus import PROGRAMS
from corpus.points import SCHEDULE, Interruption
from fuzz import grammar
from laws import harness
from laws.harness import OBSERVERS, outcome_of
from stackful import Fiber

MODULE = "fuzz_program"
SCHEDULES = 3
MOST_POINTS = 300  # that one schedule stops at
MOST_COPIES = 40
CPU_SECONDS = 60

COUNTS = Counter()


class Run:
    """One program in one fiber, under one schedule."""

    def __init__(self, name, random, throw_at=None):
        self.name = name
        self.random = random
        self.throw_at = throw_at
        self.observers = ExitStack()
        self.kept = []  # fibers whose copies went on
        self.fiber = Fiber(PROGRAMS[name], harness.point)

    def replaced(self, fiber):
        self.kept.append(self.fiber)
        self.fiber = fiber

    def copy(self):
        self.replaced(copy.copy(self.fiber))

    def deep_copy(self):
        self.replaced(copy.deepcopy(self.fiber))

    def save(self):
        self.replaced(harness.saved_and_restored(self.fiber))

    def look(self):
        frames = self.fiber.frames
        repr((self.fiber, frames, [(frame.locals, frame.stack) for frame in frames]))

    def collect(self):
        gc.collect(self.random.randrange(3))

    def observe(self):
        """Another observer, or none."""
        self.observers.close()
        if self.random.random() < 0.6:
            allowed = ["settrace"] if PROGRAMS[self.name].stars else list(OBSERVERS)
            self.observers.enter_context(OBSERVERS[self.random.choice(allowed)]())

    def nothing(self):
        """Only suspended, and resumed."""

    DISTURBANCES = (nothing, nothing, nothing, copy, deep_copy, save, save, look, collect, observe)

    def in_thread(self, function, *arguments):
        outcomes = []
        thread = threading.Thread(target=lambda: outcomes.append(outcome_of(function, *arguments)))
        thread.start()
        thread.join()
        return outcomes[0]

    def in_fiber(self, function, *arguments):
        return outcome_of(Fiber(lambda: function(*arguments)).resume)

    def deeper(self, function, *arguments, depth=None):
        depth = self.random.randrange(60) if depth is None else depth
        return self.deeper(function, *arguments, depth=depth - 1) if depth else outcome_of(function, *arguments)

    RESUMERS = (in_thread, in_fiber, deeper)

    def step(self):
        """Go on to the next suspension."""
        how = self.random.choice(self.RESUMERS) if self.random.random() < 0.3 else None
        thrown = self.throw_at is not None and SCHEDULE.count == self.throw_at
        operation = (self.fiber.throw, Interruption(self.throw_at)) if thrown else (self.fiber.resume,)
        return outcome_of(*operation) if how is None else how(self, *operation)

    def outcome(self):
        SCHEDULE.arm(everywhere=True)
        try:
            with self.observers:
                outcome = outcome_of(self.fiber.resume)
                while self.fiber.status == "suspended":
                    COUNTS["suspensions"] += 1
                    if SCHEDULE.count < MOST_POINTS:
                        disturbance = self.random.choice(self.DISTURBANCES)
                        COUNTS[disturbance.__name__] += 1
                        disturbance(self)
                    outcome = self.step()
            return outcome
        finally:
            SCHEDULE.disarm()
            harness.unwind(*self.kept)


def laws(name, random):
    """(what was done, what came of it, what plain Python makes of it), one after another."""
    expected = harness.expected_outcome(name)
    if random.random() < 0.3:
        for _ in range(30):
            harness.plain_outcome(PROGRAMS[name])
    points = harness.count_points(name)
    yield "suspended everywhere", harness.stepped_outcome(name), expected
    change = random.choice((None, harness.saved_together, lambda pair: (copy.copy(pair[0]), pair[1])))
    yield "calling suspend itself", harness.echoed_outcome(name, change), expected
    for number in range(SCHEDULES):
        yield f"schedule {number}", Run(name, random).outcome(), expected
    if points:
        at = random.randint(1, points)
        thrown = harness.plain_outcome(PROGRAMS[name], raise_at=at, error=Interruption(at))
        yield f"an error at point {at}", Run(name, random, throw_at=at).outcome(), thrown
    if 0 < points <= MOST_COPIES and not PROGRAMS[name].shares_heap:
        for outcome in harness.copies_at_every_point(name):
            yield "copies at every point", outcome, expected
        for outcome in harness.alternating_outcomes(name):
            yield "two copies in turn", outcome, expected


class Violation(Exception):
    """A program did not end as under plain Python."""


def has_cells(code):
    """Whether copies have variables in common: those that inner functions use too, and comprehensions on 3.11."""
    cells = set(code.co_cellvars) - {"__class__"}
    return bool(cells) or any(has_cells(inner) for inner in code.co_consts if isinstance(inner, type(code)))


def check(source, seed, *, shares=True, stars=True):
    """Hold a program against the laws."""
    module = types.ModuleType(MODULE)
    sys.modules[MODULE] = module
    code = compile(source, f"<{MODULE}>", "exec")
    exec(code, module.__dict__)
    program = module.program
    program.shares_heap, program.unsaveable, program.stars = shares or has_cells(code), False, stars
    name = f"{MODULE} {seed}"
    PROGRAMS[name] = program
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        for what, outcome, expected in laws(name, random.Random(seed)):
            if outcome != expected:
                raise Violation(f"{what}:\n  {outcome}\ninstead of\n  {expected}")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        del PROGRAMS[name]
        harness.expected_outcome.cache_clear()
        harness.count_points.cache_clear()


def made(seed, number):
    """(source, seed of its schedules, shares, stars) of a program."""
    source, shares, stars = grammar.make(random.Random(f"{seed}:{number}"))
    return source, f"{seed}:{number}", shares, stars


def shown(seed, number):
    """A program as a file of seeds/: its first line says how it is checked."""
    source, own_seed, shares, stars = made(seed, number)
    return f"# {json.dumps({'seed': own_seed, 'shares': shares, 'stars': stars})}\n{source}"


def check_file(path):
    """Check a program as `shown` has written it."""
    source = Path(path).read_text()
    first, _, rest = source.partition("\n")
    check(rest, **json.loads(first.removeprefix("# ")))


def time_up(*_):
    raise Violation(f"no end after {CPU_SECONDS} seconds")


def main(seed, first, count, path):
    faulthandler.enable()
    warnings.simplefilter("ignore")
    sys.unraisablehook = lambda unraisable: None
    signal.signal(signal.SIGVTALRM, time_up)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 8) as at:
        for number in range(int(first), int(first) + int(count)):
            at[:] = number.to_bytes(8, "little")
            source, own_seed, shares, stars = made(seed, number)
            check(source, own_seed, shares=shares, stars=stars)
            COUNTS["programs"] += 1
        file.seek(8)
        file.write(json.dumps(COUNTS).encode())
    os._exit(0)


if __name__ == "__main__":
    if sys.argv[1] == "--show":
        print(shown(sys.argv[2], int(sys.argv[3])), end="")
    elif sys.argv[1] == "--check":
        check_file(sys.argv[2])
    else:
        main(*sys.argv[1:])
