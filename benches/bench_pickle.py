"""A fiber to bytes and back: pickle and unpickle of ten frames."""

import pickle

from measure import Row, expect, interleaved, time_text
from stackful import Fiber, suspend

DEPTH = 10
LIMIT = 100e-6


def suspend_at(depth, label="frame", items=(1, 2, 3)):
    """Ten activations with four locals each; on the way back each adds one."""
    here = f"{label} {depth}"
    back = suspend(here) if depth == 1 else suspend_at(depth - 1)
    return back + len(items) // 3


def benchmark(rounds: int, number: int) -> list[Row]:
    fiber = Fiber(suspend_at, DEPTH)
    expect(fiber.resume(), "frame 1")
    data = pickle.dumps(fiber)
    expect(pickle.loads(data).resume(0), DEPTH)

    def pickles(n):
        for _ in range(n):
            pickle.dumps(fiber)

    def unpickles(n):
        for _ in range(n):
            pickle.loads(data)

    took = interleaved({"dumps": pickles, "loads": unpickles}, number, rounds)
    both = took["dumps"] + took["loads"]
    parts = f"{time_text(took['dumps'])} + {time_text(took['loads'])}, {len(data):,} bytes"
    return [
        Row(f"pickle + unpickle {DEPTH} frames", time_text(both), parts, both / LIMIT, "≤ 100 µs", both <= LIMIT),
    ]
