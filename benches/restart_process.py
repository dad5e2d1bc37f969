"""A process that goes on with the runs of a store: `restart_process.py STORE NAME` (bench_durable.py is the other end).

It has imported its program and warmed up when its clock starts, as `stackful worker` has when it opens its store; what a process takes until then
is the second figure. Prints the seconds from `connect` to the line of the run that sees NAME, and those from the start of the process.
"""

import sys
import time
from pathlib import Path

import programs_durable as programs
from stackful import durable
from stackful.durable.warm import warm_up


def started() -> float:
    """When this process began, by the clock that `time.clock_gettime(CLOCK_BOOTTIME)` tells, in seconds."""
    stat = Path("/proc/self/stat").read_text(encoding="ascii")
    ticks = int(stat.rpartition(")")[2].split()[19])
    return ticks / 100


def main() -> None:
    store, name = sys.argv[1:]
    durable.Engine  # noqa: B018 - loaded when it is first asked for
    warm_up()
    imported, begun = time.perf_counter(), time.clock_gettime(time.CLOCK_BOOTTIME)
    engine = durable.connect(store)
    while name not in programs.seen:
        time.sleep(0.001)
    taken = programs.seen[name] - imported
    engine.close()
    print(taken, begun - started() + taken)


if __name__ == "__main__":
    main()
