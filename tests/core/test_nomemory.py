"""Each allocation of each operation is made to fail in turn (nomemory.py), each operation in a process of its own."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

pytest.importorskip("_testcapi", reason="this Python comes without _testcapi, which lets allocations fail")

PROGRAMS = [Path(__file__).with_name(name) for name in ("nomemory.py", "nomemory_control.py", "nomemory_await.py")]
SOURCE = Path(stackful.__file__).parents[1]


CELLS = {
    "frames",
    "look_at_kept",
    "deepcopy",
    "pickle_it",
    "pickle_levels",
    "write_a_prelude",
    "pickle_what_has_grown",
    "unpickle_levels",
    "deepcopy_a_continuation",
}
LISTS = {
    "deepcopy",
    "pickle_it",
    "unpickle_it",
    "capture_in_winders",
    "jump_into_winders",
    "pickle_levels",
    "write_a_prelude",
    "pickle_what_has_grown",
    "deepcopy_a_continuation",
}
# Python code for which debug builds have no memory: some of their own assertions fail then.
ASSERTS = {
    # v3.11.2 Python/ceval.c, MAKE_CELL: the stack pointer is read twice. Modules/_pickle.c, _Unpickler_SetInputStream: where the method
    # `read` of the file is not found for lack of memory, `readline` is looked up all the same.
    (3, 11): ({*CELLS, "operation_with_cells", "unpickle_it"}, "for a cell, or the method of a file"),
    # v3.13.0 Python/frame.c, take_ownership: the exception is lost, here that of a destructor.
    (3, 13): ({"lose_the_last_frames_of_a_segment"}, "for the frame object of a caller"),
    # v3.14.0 and v3.15.0 Objects/listobject.c, _PyList_AppendTakeRefListResize: it runs destructors while no stack pointer is saved.
    (3, 14): (LISTS, "to append to a list"),
    (3, 15): (LISTS, "to append to a list"),
}
EXCUSED, WHAT = ASSERTS.get(sys.version_info[:2], (set(), "")) if hasattr(sys, "gettotalrefcount") else (set(), "")


def operations():
    """(program, name, mark) of the functions that are marked as an operation."""
    for program in PROGRAMS:
        functions = [node for node in ast.parse(program.read_text()).body if isinstance(node, ast.FunctionDef)]
        for function in functions:
            for mark in function.decorator_list:
                yield pytest.param(program, function.name, ast.unparse(mark), id=function.name)


@pytest.mark.no_leakcheck("the program runs in another process")
@pytest.mark.parametrize("program, name, mark", list(operations()))
def test_every_allocation_may_fail(program, name, mark):
    """Success or a MemoryError, never a signal, a wrong answer, or a fiber that is neither whole nor dead."""
    if {name, mark} & EXCUSED:
        pytest.skip(f"where this debug build of CPython finds no memory {WHAT}, an assertion of its own fails")
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONFAULTHANDLER": "1"}
    done = subprocess.run(
        [sys.executable, program, name], capture_output=True, text=True, env=environment, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 0
