"""Durable runs on SQLite (WAL, synchronous=FULL) beside the bare commit rate of the same disk, in the same minute."""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import programs_durable as programs
from measure import Row, expect, time_text
from stackful import durable
from stackful.durable import Engine, Status
from stackful.durable.starting import new_run

STATE = 700  # bytes, as a small run has


def bare_commits(folder: Path, number: int) -> float:
    """Commits a second that update one row."""
    db = sqlite3.connect(folder / "bare.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("CREATE TABLE IF NOT EXISTS states (run TEXT PRIMARY KEY, data BLOB)")
    db.execute("INSERT OR REPLACE INTO states VALUES ('one', ?)", [os.urandom(STATE)])
    states = [os.urandom(STATE) for _ in range(number)]
    start = time.perf_counter()
    for state in states:
        db.execute("BEGIN IMMEDIATE")
        db.execute("UPDATE states SET data = ? WHERE run = 'one'", [state])
        db.execute("COMMIT")
    taken = time.perf_counter() - start
    db.close()
    return number / taken


def steps_a_second(engine: Engine, runs: int, steps: int) -> tuple[float, float]:
    """Steps a second of so many runs together, and seconds of processor time a step."""
    new = [new_run(engine, programs.steps, (steps,), {}) for _ in range(runs)]
    start, used = time.perf_counter(), time.process_time()
    for handle in engine.start_all(new):
        expect(handle.result(), steps * (steps - 1) // 2)
    number = runs * steps
    return number / (time.perf_counter() - start), (time.process_time() - used) / number


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


def seconds_to(name: str, begin: Callable[[], object]) -> float:
    """Seconds from the call of `begin` to the line that sees the name."""
    programs.seen.pop(name, None)
    start = time.perf_counter()
    begin()
    until(lambda: name in programs.seen)
    return programs.seen[name] - start


def median_of(rounds: int, measure: Callable[[int], float]) -> float:
    return statistics.median(measure(number) for number in range(rounds))


def limit(subject: str, seconds: float, target: float) -> Row:
    return Row(subject, time_text(seconds), "", None, f"≤ {time_text(target)}", seconds <= target)


def throughput_rows(folder: Path, engine: Engine, rounds: int, number: int) -> list[Row]:
    """Bare commits, one run and 64 take turns: the disk has other users."""
    bare, one, many, used = [], [], [], []
    for _ in range(rounds):
        bare.append(bare_commits(folder, number))
        one.append(steps_a_second(engine, 1, number)[0])
        rate, processor = steps_a_second(engine, 64, max(1, number // 8))
        many.append(rate)
        used.append(processor)
    share = statistics.median(ours / base for ours, base in zip(one, bare, strict=True))
    median = {name: statistics.median(rates) for name, rates in (("bare", bare), ("one", one), ("many", many))}
    beside = f"bare commits {median['bare']:,.0f}/s"
    return [
        Row("one run, steps a second", f"{median['one']:,.0f}/s", beside, share, "≥ 0.6", share >= 0.6),
        Row("64 runs together", f"{median['many']:,.0f}/s", beside, median["many"] / median["bare"], "≥ 15,000/s", median["many"] >= 15_000),
        limit("processor time a step, 64 runs", statistics.median(used), 66e-6),
    ]  # fmt: skip


def latency_rows(engine: Engine, rounds: int, folder: Path, number: int) -> list[Row]:
    commit = statistics.median(1 / bare_commits(folder, 10) for _ in range(rounds))
    started = median_of(5 * rounds, lambda n: seconds_to(f"s{n}", lambda: durable.start(programs.first_line, f"s{n}")))
    queued = median_of(
        5 * rounds, lambda n: seconds_to(f"q{n}", lambda: durable.start(programs.first_line, f"q{n}", queue="bench"))
    )
    sleepers = [durable.start(programs.late, 0.05 + n / 1000) for n in range(number)]
    lateness = sorted(handle.result() for handle in sleepers)
    handle = durable.start(programs.forked_at_a_step, "fork")
    until(lambda: handle.status is Status.WAITING)
    forked = median_of(5 * rounds, lambda _: seconds_to_fork(engine, handle.id))
    beside = Row("a bare commit", time_text(commit))
    return [
        beside,
        limit("start to first line", started, 0.5e-3),
        limit("queue to first line", queued, 10e-3),
        limit(f"lateness of {number} sleeps, p95", lateness[int(len(lateness) * 0.95)], 10e-3),
        limit("fork", forked, 2e-3),
    ]


def seconds_to_fork(engine: Engine, run_id: str) -> float:
    """When nothing else is under way: the fork before has come to where it waits."""
    start = time.perf_counter()
    forked = engine.fork(run_id)
    taken = time.perf_counter() - start
    until(lambda: forked.status is Status.WAITING)
    return taken


def restart_rows(folder: Path, rounds: int, steps: int) -> list[Row]:
    """A new process goes on with a run that has a long past: from its `connect` to the next step, and all that it takes before, too."""
    store, found = folder / "restart.db", []
    command = [sys.executable, Path(__file__).with_name("restart_process.py"), store]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(rounds + 1):
        name = f"restarted {number}"
        with durable.connect(store):
            handle = durable.start(programs.many_steps_then_a_signal, steps if number else 1, name)
            until(lambda handle=handle: handle.status is Status.WAITING)
        with durable.connect(store, work=False):
            durable.send(handle.id, "go on")
        answer = subprocess.run([*command, name], env=environment, capture_output=True, text=True, check=True)
        found.append([float(seconds) for seconds in answer.stdout.split()])
    taken, whole = (
        statistics.median(column) for column in zip(*found[1:], strict=True)
    )  # the first has made the bytecode
    return [
        limit(f"restart to next step, after {steps:,} steps", taken, 5e-3),
        Row("the same, from the start of the process", time_text(whole)),
    ]


def sleeping_row(folder: Path, runs: int) -> Row:
    """What the file grows by when runs fall asleep in it."""
    path = folder / "asleep.db"
    with durable.connect(path) as engine:
        durable.start(programs.steps, 1).result()
        before = _size(path)
        engine.start_all([new_run(engine, programs.asleep, (), {}) for _ in range(runs)])
        until(lambda: engine.store.count().get(Status.SLEEPING, 0) == runs)
    size = (_size(path) - before) / runs
    return Row("a sleeping run", f"{size:,.0f} bytes", "", None, "≤ 2,048 bytes", size <= 2048)


def _size(path: Path) -> int:
    """Bytes of the pages that are in use."""
    with sqlite3.connect(path) as db:
        pages, free, size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
    db.close()
    return (pages - free) * size


def benchmark(rounds: int, number: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with durable.connect(folder / "runs.db") as engine:
            durable.start(programs.steps, 100).result()
            rows = throughput_rows(folder, engine, rounds, number)
            rows += latency_rows(engine, rounds, folder, min(100, number))
        rows += restart_rows(folder, min(rounds, 3), 10 * number)
        rows.append(sleeping_row(folder, max(1000, number)))
    return rows
