"""A search of 10,000 branches, shared out to processes: one after another here, a pool of `concurrent.futures`, a cluster of dask workers."""

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import programs_search as programs
from measure import Row, expect
from stackful import solutions
from stackful.search import parallel

sys.path.append(str(Path(__file__).parent.parent / "tests"))

from cluster import local_cluster

WORK = 2000  # turns of a loop at each branch: about as long as it takes to get there and back ten times
WORKERS = (1, 2)

Search = Callable[[], Iterable[int]]


def seconds(search: Search, solved: list[int]) -> float:
    start = time.perf_counter()
    expect(list(search()), solved)
    return time.perf_counter() - start


def medians(searches: dict[str, Search], rounds: int, solved: list[int]) -> dict[str, float]:
    """They take turns: the machine has other users."""
    taken: dict[str, list[float]] = {name: [] for name in searches}
    for _ in range(rounds):
        for name, search in searches.items():
            taken[name].append(seconds(search, solved))
    return {name: statistics.median(times) for name, times in taken.items()}


def benchmark(rounds: int, number: int) -> list[Row]:
    levels = len(str(number)) - 1
    program = (programs.digits, levels, WORK)
    solved = list(solutions(*program))
    taken = {}
    for workers in WORKERS:
        with (
            local_cluster(workers, Path(__file__).parent) as client,
            ProcessPoolExecutor(workers) as pool,
        ):
            searches: dict[str, Search] = {
                "here": lambda: solutions(*program),
                f"concurrent.futures, {workers}": lambda pool=pool, workers=workers: parallel(*program, executor=pool, workers=workers),
                f"dask, {workers}": lambda client=client, workers=workers: parallel(*program, executor=client, workers=workers),
            }  # fmt: skip
            for search in searches.values():
                seconds(search, solved)  # workers import what they need
            taken.update({(workers, name): time for name, time in medians(searches, min(rounds, 3), solved).items()})
    return [
        Row(
            f"search of {10**levels:,} branches: {name} of {os.cpu_count()} processors",
            f"{time:.2f} s",
            f"in this process {taken[workers, 'here']:.2f} s",
            taken[workers, "here"] / time,
        )
        for (workers, name), time in taken.items()
        if name != "here"
    ]
