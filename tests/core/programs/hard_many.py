"""A great many fibers wait in C code at a time: as many as there are stacks for, and then BarrierError, never a crash; all are given back."""

import os
import resource
import sys

from stackful import BarrierError, Fiber, suspend


def waits(x):
    return sorted([x], key=lambda item: suspend(item) or item)


count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fibers = [Fiber(waits, i) for i in range(count)]
assert [fiber.resume() for fiber in fibers] == list(range(count))
used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / count
print(f"{used:.1f} KiB each")
assert used < 60, used
assert [fiber.resume() for fiber in fibers] == [[i] for i in range(count)]
del fibers

# more than there may be
fibers = []
try:
    for i in range(200_000):
        fiber = Fiber(waits, i)
        fiber.resume()
        fibers.append(fiber)
except BarrierError:
    pass
print(len(fibers))
assert 1000 < len(fibers) < 200_000
assert Fiber(lambda: [suspend(1), 5]).resume() == 1
values = [fiber.resume() for fiber in fibers[::2]]
del fibers
again = [Fiber(waits, i) for i in range(1000)]
assert [fiber.resume() for fiber in again] == list(range(1000))

# out of address space, of which the address sanitiser takes terabytes
if sys.platform == "linux" and "libasan" not in os.environ.get("LD_PRELOAD", ""):
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
    fibers = []
    try:
        for i in range(100_000):
            fiber = Fiber(waits, i)
            fiber.resume()
            fibers.append(fiber)
    except (BarrierError, MemoryError):
        pass
    assert len(fibers) < 1000
    for fiber in fibers:
        fiber.resume()
