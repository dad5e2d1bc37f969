"""A script as a durable run, beside plain python: `stackful run`, and `stackful run --every 1`.

Whole processes are timed by the clock on the wall, start-up included; a kernel runs for about six seconds, and a script that does
nothing has a row of its own, in milliseconds. Each kernel prints an answer, and the answers must be equal. Each way is run once before
it is timed: the bytecode of what it imports is then cached, as that of an installed package is.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from measure import Row, at_most, expect

MOST_ROUNDS = 3  # of three runs of each kernel: minutes
START_UPS = 5  # times as many rounds for a script that does nothing
KERNELS = sorted(Path(__file__).with_name("kernels").glob("*.py"))
ENTRY = "import sys; sys.argv[0] = 'stackful'; from stackful.cli.main import main; main()"


def command(script: Path, size: float, options: list[str] | None) -> list[str]:
    """`python script`, or `stackful run [options] script`."""
    if options is None:
        return [sys.executable, str(script), str(size)]
    return [sys.executable, "-c", ENTRY, "run", *options, str(script), str(size)]


@dataclass(frozen=True)
class Times:
    wall: float
    processor: float


def processor_seconds() -> float:
    """What the children that have ended used, all together."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(words: list[str], folder: str) -> tuple[str, Times]:
    """What the command prints, and its seconds."""
    start, used = time.perf_counter(), processor_seconds()
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    times = Times(time.perf_counter() - start, processor_seconds() - used)
    if done.returncode != 0:
        raise RuntimeError(f"{words[-2]} failed: {done.stderr.strip()[-300:]}")
    return done.stdout, times


def medians(script: Path, size: float, rounds: int) -> dict[str, Times]:
    """Median seconds of the three ways to run a script."""
    ways: dict[str, list[str] | None] = {"python": None, "run": [], "run --every 1": ["--every", "1"]}
    took: dict[str, list[Times]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        answer, _ = timed(command(script, size, None), folder)
        for options in ways.values():
            timed(command(script, 0, options), folder)
        for _ in range(rounds):
            for name, options in ways.items():
                printed, times = timed(command(script, size, options), folder)
                expect(printed, answer)
                took[name].append(times)
    median = statistics.median
    return {name: Times(median(t.wall for t in all_), median(t.processor for t in all_)) for name, all_ in took.items()}


def row(subject: str, ours: Times, plain: Times, limit: float | None = None) -> Row:
    """Judged by the clock on the wall; processor time stands beside it, as it is steadier on a busy machine."""
    judged = at_most(f"`stackful {subject}", ours.wall, plain.wall, "python", limit)
    share = f"{judged.beside}; processor time {ours.processor / plain.processor:.3f}x"
    return replace(judged, beside=share)


def start_up(rounds: int) -> Row:
    """An empty script, which is start-up and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "empty.py")
        script.write_text("")
        took = medians(script, 0, START_UPS * rounds)
    return row("run` of an empty script", took["run"], took["python"])


def benchmark(rounds: int, number: int) -> list[Row]:
    """`number` is the percentage of each kernel's full size (about six seconds)."""
    os.environ.setdefault("PYTHONHASHSEED", "0")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    rows = [start_up(rounds)]
    for script in KERNELS:
        took = medians(script, 2 * number / 100, min(rounds, MOST_ROUNDS))
        rows.append(row(f"run` of {script.stem}", took["run"], took["python"], 1.02))
        rows.append(row(f"run --every 1` of {script.stem}", took["run --every 1"], took["python"], 1.3))
    return rows
