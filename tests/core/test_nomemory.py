"""Each allocation of each operation is made to fail in turn (nomemory.py), each operation in a process of its own."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

pytest.importorskip("_testcapi", reason="this Python comes without _testcapi, which lets allocations fail")

PROGRAMS = [Path(__file__).with_name(name) for name in ("nomemory.py", "nomemory_control.py")]
SOURCE = Path(stackful.__file__).parents[1]


# Python code for which debug builds have no memory: some of their own assertions fail then.
ASSERTS = {
    # v3.11.2 Python/ceval.c, MAKE_CELL: the stack pointer is read twice.
    (3, 11): ({"frames", "deepcopy", "pickle_it"}, "for a cell"),
    # v3.14.0 and v3.15.0 Objects/listobject.c, _PyList_AppendTakeRefListResize: it runs destructors while no stack pointer is saved.
    (3, 14): ({"deepcopy", "pickle_it", "unpickle_it"}, "to append to a list"),
    (3, 15): ({"deepcopy", "pickle_it", "unpickle_it"}, "to append to a list"),
}
EXCUSED, WHAT = ASSERTS.get(sys.version_info[:2], (set(), "")) if hasattr(sys, "gettotalrefcount") else (set(), "")


def operations():
    """(program, name) of the functions that are marked as an operation."""
    for program in PROGRAMS:
        functions = [node for node in ast.parse(program.read_text()).body if isinstance(node, ast.FunctionDef)]
        for function in functions:
            if any(ast.unparse(mark).startswith("operation") for mark in function.decorator_list):
                yield pytest.param(program, function.name, id=function.name)


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("program, name", list(operations()))
def test_every_allocation_may_fail(program, name):
    """Success or a MemoryError, never a signal, a wrong answer, or a fiber that is neither whole nor dead."""
    if name in EXCUSED:
        pytest.skip(f"where this debug build of CPython finds no memory {WHAT}, an assertion of its own fails")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, program, name], capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 0
