"""The leak checker finds what leaks, and only that."""

import ctypes
import os

import pytest

from leakcheck import find_leaks

_kept = []


def leak_an_object():
    # More than one: late in a long run of tests, what others have left behind dies meanwhile, one object or two at a time.
    _kept.extend([] for _ in range(10))


def leak_raw_memory():
    ctypes.pythonapi.PyMem_RawMalloc.restype = ctypes.c_void_p
    ctypes.pythonapi.PyMem_RawMalloc(ctypes.c_size_t(1000))


def leak_a_reference_cycle_that_nobody_collects():
    cycle = []
    cycle.append(cycle)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(cycle))


def make_garbage():
    cycle = [bytearray(1000)]
    cycle.append(cycle)


def fill_a_cache_now_and_then():
    fill_a_cache_now_and_then.calls += 1
    if fill_a_cache_now_and_then.calls % 2:
        _kept.append([])


fill_a_cache_now_and_then.calls = 0


@pytest.mark.parametrize(
    ("leaky", "measure"),
    [
        (leak_an_object, "objects"),
        pytest.param(
            leak_raw_memory,
            "bytes from malloc",
            marks=pytest.mark.skipif(
                "libasan" in os.environ.get("LD_PRELOAD", ""), reason="not the C library's malloc"
            ),
        ),
        (leak_a_reference_cycle_that_nobody_collects, "objects"),
    ],
)
def test_steady_growth_is_a_leak(leaky, measure):
    """An object, raw memory or an uncollectable cycle that stays behind each time is reported."""
    assert measure in find_leaks(leaky)


@pytest.mark.parametrize("clean", [make_garbage, fill_a_cache_now_and_then, int])
def test_noise_is_no_leak(clean):
    """Collectable garbage, and growth that is not in every round, are acquitted."""
    assert find_leaks(clean) == {}


@pytest.mark.leakcheck
@pytest.mark.fails_leakcheck
def test_a_test_marked_as_leaking_may_leak():
    """The marker fails_leakcheck turns the verdict round, so that a mended leak is noticed."""
    _kept.append([])
