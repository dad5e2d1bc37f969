"""The corpus is worth its tests: deterministic programs, with points in them, over the whole language."""

import dis
import inspect
import sys
import types

import pytest

import corpus
from corpus import BARRIERS, PROGRAMS
from laws import harness

ALL = sorted(PROGRAMS)
# What the compiler emits in no function: interactive input, `from x import *`, `del` in a class body, and its own inventions.
ELSEWHERE = {"CACHE", "PRINT_EXPR", "IMPORT_STAR", "DELETE_NAME", "RESERVED", "INTERPRETER_EXIT", "EXIT_INIT_CHECK"}
ELSEWHERE |= {"ENTER_EXECUTOR", "LOAD_FROM_DICT_OR_GLOBALS", "TRACE_RECORD"}
if sys.version_info >= (3, 14):
    ELSEWHERE |= {"SETUP_ANNOTATIONS"}  # only under `from __future__ import annotations`


def instructions(code):
    """The names of all instructions in a code object and those that it holds."""
    names = {instruction.opname for instruction in dis.get_instructions(code)}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= instructions(constant)
    return names


@pytest.mark.parametrize("name", ALL)
def test_a_program_is_deterministic(name):
    """Two plain runs come to the same, over the same number of points, of which there is at least one."""
    first, count = harness.plain_outcome(PROGRAMS[name]), harness.count_points(name)
    harness.count_points.cache_clear()
    assert (harness.plain_outcome(PROGRAMS[name]), harness.count_points(name)) == (first, count)
    assert count > 0


def test_programs_are_found_by_their_names():
    """A program is a function of its module, under the name that it is registered by: pickles refer to it so."""
    for name, function in {**PROGRAMS, **BARRIERS}.items():
        module, _, attribute = name.partition(".")
        assert getattr(getattr(corpus, module), attribute) is function


def test_every_instruction_occurs():
    """The corpus contains every instruction that CPython's compiler emits in functions."""
    names = {name for name, number in dis.opmap.items() if number < 256 and not name.startswith("INSTRUMENTED_")}
    modules = [module for module in vars(corpus).values() if inspect.ismodule(module)]
    sources = [(inspect.getsource(module), module.__file__) for module in modules if module.__package__ == "corpus"]
    used = set().union(*(instructions(compile(source, file, "exec")) for source, file in sources))
    assert names - used - ELSEWHERE == set(), sys.version
