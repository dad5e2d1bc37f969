"""Fuzz: attacks on snapshots, and programs under schedules; each worker is a process, so that a crash is seen.

    python tests/fuzz/run.py --minutes 10                 programs most of the time, and attacks
    python tests/fuzz/run.py --attacks 1000000            that many attacks, however long they take
    python tests/fuzz/run.py --minutes 0 --programs 500   that many programs
    ... --seed 7                                          again what another run did
    ... --seed 7 --first 5000 --attacks 5124              only those numbers, in one process

A failure prints how to have it again, and for a program the program itself; the exit status is then 1.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
# A pickle whose seal is right may call anything, a comprehension's function too; CPython then crashes on what is no iterator, as it does
# for `types.FunctionType(code_of_a_comprehension, {})(5)` (3.11; later ones have no such functions). Counted, and not held against us.
CALLED_BY_THE_PICKLE = re.compile(
    r"most recent call first\):\n  File .* in <(list|set|dict)comp>\n  File .* in _unpickle\n"
)

ATTACKS = 5000  # in one process
PROGRAMS = 100
TIMEOUT = 600
SHARE = 0.7  # of the time, for programs
MOST_FAILURES = 20
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def shown(seed, number):
    """A program, with what it is checked by in its first line."""
    show = [sys.executable, HERE / "programs.py", "--show", seed, str(number)]
    return subprocess.run(show, capture_output=True, text=True, env=ENVIRONMENT, check=True).stdout


def batch_size(full, number, most):
    """How many to make in one process: `full`, but no more than were asked for."""
    return min(full, most - number) if number < most else full


class Fuzzer:
    """What one run has done so far."""

    def __init__(self, seed, folder, first=0):
        self.seed = seed
        self.first = first
        self.folder = Path(folder)
        self.counts = Counter()
        self.done = Counter()
        self.failures = []

    def worker(self, *command):
        """Run a worker: (exit status or "no end", the end of its stderr)."""
        try:
            done = subprocess.run(
                [sys.executable, *map(str, command)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                env=ENVIRONMENT,
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "no end", ""
        return done.returncode, done.stderr.decode(errors="replace")[-3000:]

    def batch(self, script, *arguments, first, count):
        """Run `count` pieces of work from number `first`; returns the number to go on with."""
        report = self.folder / "report"
        report.write_bytes(bytes(8))
        status, errors = self.worker(HERE / script, *arguments, self.seed, first, count, report)
        reached, told = int.from_bytes(report.read_bytes()[:8], "little"), report.read_bytes()[8:]
        if status == 0:
            self.done[script] += count
            self.counts.update(json.loads(told))
            return first + count
        self.done[script] += reached - first + 1
        if CALLED_BY_THE_PICKLE.search(errors):
            self.counts["crashed in CPython: the pickle called a comprehension's function"] += 1
            return reached + 1
        self.failures.append((script, reached))
        how = status if status == "no end" or status >= 0 else f"signal {signal.Signals(-status).name}"
        print(f"\n=== FAILED: {script}, seed {self.seed}, number {reached} (in a process that began at {first}): {how}")
        kind = "attacks" if script == "attack.py" else "programs"
        print(f"again: {Path(__file__).name} --seed {self.seed} --first {first} --{kind} {reached + 1}")
        print(errors, told.decode(errors="replace"), sep="\n", flush=True)
        if script == "programs.py":
            print(f"--- the program: keep it in {HERE / 'seeds'}, and run: python {HERE / script} --check FILE")
            print(shown(self.seed, reached), flush=True)
        return reached + 1

    def attack(self, until, most):
        """Attack snapshots until the time is over and at least `most` attacks were made."""
        bodies = self.folder / "bodies"
        save = f"import sys; sys.path.insert(0, {str(HERE.parent)!r}); from fuzz import subjects; subjects.save({str(bodies)!r})"
        status, errors = self.worker("-c", save)
        if status != 0:
            raise SystemExit(f"the snapshots to attack cannot be made: {errors}")
        number = self.first
        while (time.monotonic() < until or number < most) and len(self.failures) < MOST_FAILURES:
            number = self.batch("attack.py", bodies, first=number, count=batch_size(ATTACKS, number, most))

    def run_programs(self, until, most):
        """Run programs until the time is over and at least `most` were run."""
        number = self.first
        while (time.monotonic() < until or number < most) and len(self.failures) < MOST_FAILURES:
            number = self.batch("programs.py", first=number, count=batch_size(PROGRAMS, number, most))

    def report(self):
        version = ".".join(map(str, sys.version_info[:3]))
        print(f"\nPython {version}, seed {self.seed}: ", end="")
        print(
            ", ".join(f"{count} by {script}" for script, count in self.done.items()), f"; {len(self.failures)} failures"
        )
        for outcome, count in sorted(self.counts.items()):
            print(f"  {count:8} {outcome}")


def main():
    parser = argparse.ArgumentParser(description="Fuzz the core and the snapshots.")
    parser.add_argument("--minutes", type=float, default=None, help="how long in all (10, unless a number is given)")
    parser.add_argument("--attacks", type=int, default=0, help="at least so many attacks on snapshots")
    parser.add_argument("--programs", type=int, default=0, help="at least so many programs")
    parser.add_argument("--first", type=int, default=0, help="the number to begin with")
    parser.add_argument("--seed", default=str(int(time.time())), help="any text; the same seed does the same")
    options = parser.parse_args()
    minutes = options.minutes
    if minutes is None:
        minutes = 0 if options.attacks or options.programs else 10
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(options.seed, folder, options.first)
        begun = time.monotonic()
        fuzzer.run_programs(begun + 60 * minutes * SHARE, options.programs)
        fuzzer.attack(begun + 60 * minutes, options.attacks)
        fuzzer.report()
    sys.exit(bool(fuzzer.failures))


if __name__ == "__main__":
    main()
