"""A fiber's C stack and that of its resumer are one stack for debuggers, and for all else that unwinds by call frame information."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import stackful
from stackful import Fiber, suspend

SOURCE = Path(stackful.__file__).parents[1]

# Made once: ctypes keeps what it makes.
LIBC = ctypes.CDLL(None)
PLACES = ctypes.c_void_p * 1000
if hasattr(LIBC, "backtrace"):
    LIBC.backtrace_symbols.restype = ctypes.POINTER(ctypes.c_char_p)

PROGRAM = """
import signal
from stackful import Fiber, suspend

def key(item):
    suspend(item)
    signal.raise_signal(signal.SIGUSR1)  # the debugger stops here
    return item

fiber = Fiber(sorted, [1], key=key)
fiber.resume()
fiber.resume()
"""


def unwound():
    """The symbols of the C functions that have called this, innermost first."""
    places = PLACES()
    count = LIBC.backtrace(places, 1000)
    symbols = LIBC.backtrace_symbols(places, count)
    try:
        return [symbols[i].decode() for i in range(count)]
    finally:
        LIBC.free(symbols)


def ends_in_main(symbols):
    return any("libc_start" in symbol for symbol in symbols[-3:])


@pytest.mark.skipif(not hasattr(LIBC, "backtrace"), reason="this C library has no backtrace()")
def test_unwinding_goes_on_from_the_fibers_stack_to_its_resumers():
    """In the first run, after the stack was kept, and in a run within another, whoever unwinds gets to the first function."""
    if not ends_in_main(unwound()):
        pytest.skip("backtrace() does not get to main() here even without fibers: this Python has no unwind tables")
    seen = []

    def key(item):
        seen.append(unwound())
        suspend(item)
        seen.append(unwound())
        return item

    fiber = Fiber(sorted, [1], key=key)
    fiber.resume()
    Fiber(lambda: fiber.resume()).resume()
    assert [ends_in_main(symbols) for symbols in seen] == [True, True]
    assert any("_core" in symbol for symbol in seen[1])


@pytest.mark.no_leakcheck("the program runs in another process")
def test_gdb_shows_one_stack(tmp_path):
    """A backtrace leads from the C code in the fiber through the resume to main(), and no frame is called corrupt."""
    if shutil.which("gdb") is None:
        pytest.skip("needs gdb")
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    commands = ["set debuginfod enabled off", "set confirm off", "handle SIGUSR1 stop", "run", "backtrace"]
    arguments = [word for command in commands for word in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *arguments, "--args", sys.executable, path],
        env={"PYTHONPATH": str(SOURCE), "LC_ALL": "C"}, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    if "SIGUSR1" not in done.stdout:
        pytest.skip(f"gdb cannot trace a process here: {done.stderr[-300:]}")
    frames = [line for line in done.stdout.splitlines() if line.startswith("#")]
    assert "corrupt" not in done.stdout + done.stderr
    assert any("main" in line for line in frames[-5:]), done.stdout
    names = "\n".join(frames)
    assert "sort" in names
    assert "fiber" in names
    assert names.index("sort") < names.index("fiber"), names
