"""What the evaluation stack of a frame holds at each instruction, and what the interpreter takes for granted about it.

CPython trusts its compiler: LIST_APPEND does not look whether it appends to a list, FOR_ITER calls a slot of a type that may be
empty. A frame that is built from stored data must therefore satisfy what the compiler would have guaranteed. This package
computes that from the bytecode, for code that has not run, too.

`kinds` names what a slot can hold, `effects` is the table of all instructions, `instructions` decodes a code object, `flow` finds the
stack before each instruction, `liveness` the locals that must be bound, `reach` what can still run, and `names` puts an instruction into words.
"""

from .flow import is_call, local_kinds, name_kinds, stack_before, stack_during_call, stack_when_fresh
from .instructions import instruction_start
from .kinds import MANY, Kind, Slot
from .liveness import cells_needed, locals_needed, locals_read
from .names import describe_call
from .reach import reachable

__all__ = [
    "MANY",
    "Kind",
    "Slot",
    "cells_needed",
    "describe_call",
    "instruction_start",
    "is_call",
    "local_kinds",
    "locals_needed",
    "locals_read",
    "name_kinds",
    "reachable",
    "stack_before",
    "stack_during_call",
    "stack_when_fresh",
]
