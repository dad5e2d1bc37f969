"""Durable runs on PostgreSQL (its default settings, fsync on) beside the bare commit rate of the same server, in the same minute."""

import os
import statistics
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg

import programs_durable as programs
from bench_durable import STATE, limit, median_of, seconds_to, seconds_to_fork, steps_a_second, until
from measure import Row, time_text
from stackful import durable
from stackful.durable import Engine, Status

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent / "tests"))

import postgresql  # noqa: E402 - found there


def bare_commits(url: str, number: int) -> float:
    """Commits a second that update one row."""
    with psycopg.connect(url, autocommit=True, prepare_threshold=1) as session:
        session.execute("CREATE TABLE IF NOT EXISTS bare (run text PRIMARY KEY, data bytea) WITH (fillfactor = 40)")
        session.execute("INSERT INTO bare VALUES ('one', '') ON CONFLICT DO NOTHING")
        states = [os.urandom(STATE) for _ in range(number)]
        start = time.perf_counter()
        for state in states:
            session.execute("UPDATE bare SET data = %s WHERE run = 'one'", [state])
        return number / (time.perf_counter() - start)


def throughput_rows(url: str, engine: Engine, rounds: int, number: int) -> list[Row]:
    """Bare commits, one run and 64 take turns."""
    bare, one, many = [], [], []
    for _ in range(rounds):
        bare.append(bare_commits(url, number))
        one.append(steps_a_second(engine, 1, number)[0])
        many.append(steps_a_second(engine, 64, max(1, number // 8))[0])
    share = statistics.median(ours / base for ours, base in zip(one, bare, strict=True))
    together = statistics.median(many)
    beside = f"bare commits {statistics.median(bare):,.0f}/s"
    return [
        Row("PostgreSQL: one run, steps a second", f"{statistics.median(one):,.0f}/s", beside, share, "≥ 0.6", share >= 0.6),
        Row("PostgreSQL: 64 runs together", f"{together:,.0f}/s", beside, together / statistics.median(bare), "≥ 5,000/s", together >= 5_000),
    ]  # fmt: skip


def latency_rows(url: str, engine: Engine, rounds: int) -> list[Row]:
    commit = statistics.median(1 / bare_commits(url, 10) for _ in range(rounds))
    started = median_of(5 * rounds, lambda n: seconds_to(f"s{n}", lambda: durable.start(programs.first_line, f"s{n}")))
    sleepers = [durable.start(programs.late, 0.05 + n / 1000) for n in range(50)]
    lateness = sorted(handle.result() for handle in sleepers)
    handle = durable.start(programs.forked_at_a_step, "fork")
    until(lambda: handle.status is Status.WAITING)
    forked = median_of(5 * rounds, lambda _: seconds_to_fork(engine, handle.id))
    return [
        Row("PostgreSQL: a bare commit", time_text(commit)),
        Row("PostgreSQL: start to first line", time_text(started)),
        limit("PostgreSQL: lateness of 50 sleeps, p95", lateness[int(len(lateness) * 0.95)], 10e-3),
        Row("PostgreSQL: fork", time_text(forked)),
    ]


def queue_row(url: str, rounds: int) -> Row:
    """From the call of `start` in this process to the first line in a worker process."""
    command = [sys.executable, "-m", "stackful", "worker", "--quiet", "--store", url, "programs_durable"]
    with subprocess.Popen(command, cwd=HERE) as worker, durable.connect(url, work=False) as engine:
        try:
            until(lambda: bool(engine.store.workers()) or worker.poll() is not None)

            def measure(_: int) -> float:
                start = time.time()
                return durable.start(programs.clock, queue="bench").result() - start

            return limit("PostgreSQL: queue to first line in another process", median_of(5 * rounds, measure), 10e-3)
        finally:
            worker.terminate()


def benchmark(rounds: int, number: int) -> list[Row]:
    if postgresql.programs() is None:
        return [Row("PostgreSQL", "not measured", "it is not installed")]
    os.environ.setdefault("STACKFUL_KEY", "00" * 32)
    with closing(postgresql.Server(fsync=True)) as server:
        url = server.new_database()
        with durable.connect(url) as engine:
            durable.start(programs.steps, 100).result()
            rows = throughput_rows(url, engine, rounds, number)
            rows += latency_rows(url, engine, rounds)
        rows.append(queue_row(url, rounds))
    return rows
