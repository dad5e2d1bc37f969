"""The leak checker: memory must not grow when a test runs again and again.

A test passes or fails by its first run. It then runs again: WARM_UP times to fill caches and free lists, and after that
in rounds, each measured before and after. One round in which a measure does not grow acquits that measure; a measure
that grows in every one of LATE_ROUNDS rounds is a leak. What grows now and then is noise.

    growth in each round    verdict
    -5                      clean after 1 round
    +2 +1  0                clean after 3 rounds: the third acquits
    +1 +1 +1 +1 +1          a leak
"""

import ctypes
import gc
import sys

WARM_UP = 2
LATE_ROUNDS = 5


class _MallInfo(ctypes.Structure):
    """What glibc's mallinfo2 returns."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _bytes_from_malloc():
    """Memory that the C library has handed out: sees what bypasses Python's own allocator.

    glibc keeps up to 7 freed chunks (from 2.42 on 16) of each small size aside and counts them as in use, so a small leak
    could feed on them for a while. Filling that store before each measurement takes it out of the difference.
    """
    chunks = [_libc.malloc(size) for size in range(24, 1033, 16) for _ in range(16)]
    for chunk in chunks:
        _libc.free(chunk)
    info = _libc.mallinfo2()
    return info.uordblks + info.hblkhd


_libc = ctypes.CDLL(None)
MEASURES = {"blocks": sys.getallocatedblocks, "objects": lambda: len(gc.get_objects())}
if hasattr(sys, "gettotalrefcount"):  # debug builds of CPython
    MEASURES["references"] = sys.gettotalrefcount
if hasattr(_libc, "mallinfo2"):
    _libc.mallinfo2.restype = _MallInfo
    _libc.malloc.argtypes, _libc.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    _libc.free.argtypes, _libc.free.restype = [ctypes.c_void_p], None
    MEASURES["bytes from malloc"] = _bytes_from_malloc


def find_leaks(run):
    """The measures that `run` lets grow in every late round, with the growth of each round.

    Asked twice: a leak is there the second time too, a cache of the C library for each thread, say, is not.
    """
    leaks = _growing(run)
    again = _growing(run) if leaks else {}
    return {name: growth for name, growth in leaks.items() if name in again}


def _growing(run):
    for _ in range(WARM_UP):
        run()
    growth = {name: [] for name in MEASURES}
    for _ in range(LATE_ROUNDS):
        before = _measure(growth)
        run()
        after = _measure(growth)
        for name in list(growth):
            growth[name].append(after[name] - before[name])
            if growth[name][-1] <= 0:
                del growth[name]  # acquitted
        if not growth:
            break
    return growth


def blocks_kept(run, rounds=5):
    """The fewest blocks that stay when `run` has been called once more: threads of other tests add their own now and then."""
    kept = []
    for _ in range(rounds):
        before = _measure(["blocks"])["blocks"]
        run()
        kept.append(_measure(["blocks"])["blocks"] - before)
    return min(kept)


def _measure(names):
    gc.collect()
    return {name: MEASURES[name]() for name in names}
