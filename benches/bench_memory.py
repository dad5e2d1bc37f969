"""Bytes a parked one: many of them waiting, each kind in a fresh process.

Run as a program (`bench_memory.py KIND COUNT METHOD`) it parks COUNT of a KIND and prints the bytes each. METHOD `rss`
counts the private pages of the process: everything that it takes, from whatever allocator. `traced` counts what went
through Python's allocators.
"""

import asyncio
import subprocess
import sys
import tracemalloc
from pathlib import Path

from measure import Row
from peers import has_greenlet
from stackful import Fiber, suspend

KINDS = ("fiber", "generator", "asyncio task", "greenlet")
LIMIT = 700


def fiber_body():
    suspend()


def generator_body():
    yield


def greenlet_body():
    sys.modules["greenlet"].getcurrent().parent.switch()


async def task_body(future):
    await future


def parked_fiber():
    fiber = Fiber(fiber_body)
    fiber.resume()
    return fiber


def parked_generator():
    generator = generator_body()
    next(generator)
    return generator


def parked_greenlet():
    import greenlet

    green = greenlet.greenlet(greenlet_body)
    green.switch()
    return green


def private_bytes() -> int:
    """Pages that belong to this process alone."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def traced_bytes() -> int:
    return tracemalloc.get_traced_memory()[0]


def bytes_each(park, count: int, meter) -> float:
    """The growth from parking `count` more, the places to keep them in being there before."""
    keep = [None] * count
    warm = [park() for _ in range(100)]
    before = meter()
    for i in range(count):
        keep[i] = park()
    after = meter()
    if any(one is None for one in [*keep, *warm]):
        raise AssertionError("not all are parked")
    return (after - before) / count


async def tasks_each(count: int, meter) -> float:
    """As bytes_each, for tasks: they start when the loop turns."""
    future = asyncio.get_running_loop().create_future()
    keep = [None] * count
    before = meter()
    for i in range(count):
        keep[i] = asyncio.create_task(task_body(future))
    await asyncio.sleep(0)
    after = meter()
    if any(task.done() for task in keep):
        raise AssertionError("not all are parked")
    future.set_result(None)
    await asyncio.gather(*keep)
    return (after - before) / count


def main(kind: str, count: int, method: str) -> None:
    meter = private_bytes if method == "rss" else traced_bytes
    if method == "traced":
        tracemalloc.start()
    if kind == "asyncio task":
        print(asyncio.run(tasks_each(count, meter)))
    else:
        park = {"fiber": parked_fiber, "generator": parked_generator, "greenlet": parked_greenlet}[kind]
        print(bytes_each(park, count, meter))


def measured(kind: str, count: int, method: str) -> float:
    command = [sys.executable, __file__, kind, str(count), method]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def benchmark(rounds: int, number: int) -> list[Row]:
    """Memory does not jitter: one process each, whatever the rounds."""
    del rounds
    rows = []
    for kind in KINDS:
        subject = f"one of {number:,} parked at depth 1: {kind}"
        if kind == "greenlet" and not has_greenlet:
            rows.append(Row(subject, "not installed"))
            continue
        resident, traced = (measured(kind, number, method) for method in ("rss", "traced"))
        beside = f"{traced:.0f} B through Python's allocators"
        if kind == "fiber":
            rows.append(Row(subject, f"{resident:.0f} B", beside, resident / LIMIT, f"≤ {LIMIT} B", resident <= LIMIT))
        else:
            rows.append(Row(subject, f"{resident:.0f} B", beside))
    return rows


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
