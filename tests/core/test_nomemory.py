"""Each allocation of each operation is made to fail in turn (nomemory.py), each operation in a process of its own."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

pytest.importorskip("_testcapi", reason="this Python comes without _testcapi, which lets allocations fail")

PROGRAM = Path(__file__).with_name("nomemory.py")
SOURCE = Path(stackful.__file__).parents[1]


# v3.11.2 Python/ceval.c, MAKE_CELL: without memory for the cell the stack pointer is read twice, and an assertion fails.
MAKES_CELLS = (
    {"frames", "deepcopy", "pickle_it"} if sys.version_info < (3, 12) and hasattr(sys, "gettotalrefcount") else set()
)


def operations():
    """The names of the functions of the program that are marked as an operation."""
    functions = [node for node in ast.parse(PROGRAM.read_text()).body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions for mark in f.decorator_list if ast.unparse(mark).startswith("operation")]


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("name", operations())
def test_every_allocation_may_fail(name):
    """Success or a MemoryError, never a signal, a wrong answer, or a fiber that is neither whole nor dead."""
    if name in MAKES_CELLS:
        pytest.skip("CPython 3.11's own assertions do not survive a cell for which there is no memory")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, PROGRAM, name], capture_output=True, text=True, env=environment, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 0
