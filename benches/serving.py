"""What runs in another process, in turns with ours: it reads numbers, and prints the seconds of one run and of all (elsewhere.py asks)."""

import gc
import sys
import time

WARM = 0.2  # seconds: CPython specialises what it has run a few times
LONG = 2.0  # seconds: no more runs in a turn than begin within


def clocked(run, number: int, limit: float) -> tuple[float, float]:
    """Seconds: of one of `number` runs, or of as many as begin within the limit; and of all of them."""
    gc.collect()
    start = now = time.perf_counter()
    done = 0
    while done < number and now - start < limit:
        run()
        done += 1
        now = time.perf_counter()
    return (now - start) / done, now - start


def serve(run) -> None:
    """A run is a call of `run`."""
    clocked(run, 1000, WARM)
    print("ready", flush=True)
    for line in sys.stdin:
        print(*clocked(run, int(line), LONG), flush=True)


def serve_loop(loop) -> None:
    """A run is one round of ``loop(number)``."""
    loop(1000)
    print("ready", flush=True)
    for line in sys.stdin:
        number = int(line)
        gc.collect()
        start = time.perf_counter()
        loop(number)
        spent = time.perf_counter() - start
        print(spent / number, spent, flush=True)
