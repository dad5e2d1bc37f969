"""A code object's instructions and exception table, decoded as far as the analysis needs them."""

import opcode
from collections.abc import Iterator
from types import CodeType
from typing import NamedTuple

__all__ = ["Handler", "Instruction", "exception_table", "handlers", "instruction_start", "instructions", "local_names"]

_CACHE = opcode.opmap["CACHE"]
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
# v3.14.0 Lib/dis.py, _is_backward_jump: END_ASYNC_FOR only tells where the loop begins
_JUMPS = frozenset(opcode.hasjrel) - {opcode.opmap["END_ASYNC_FOR"]}
_BACKWARD = frozenset(op for op in _JUMPS if "BACKWARD" in opcode.opname[op])


class Instruction(NamedTuple):
    """One instruction; `after` is the offset of the next one, `target` that of a jump or None."""

    op: int
    arg: int
    after: int
    target: int | None


class Handler(NamedTuple):
    """A row of the exception table: [start, end) is covered by the handler at `target`, which keeps `depth` slots."""

    start: int
    end: int
    target: int
    depth: int
    lasti: bool


def instructions(code: CodeType) -> dict[int, Instruction]:
    """All instructions by byte offset, without specialisation or instrumentation, inline caches left out.

    >>> list(instructions(compile("pass", "", "exec")))[0]
    0
    """
    units = code.co_code
    starts = [i for i in range(0, len(units), 2) if units[i] != _CACHE]
    found = {}
    extended = 0
    for start, after in zip(starts, [*starts[1:], len(units)], strict=True):
        op, arg = units[start], units[start + 1] | extended
        extended = arg << 8 if op == _EXTENDED_ARG else 0
        target = None
        if op in _JUMPS:
            target = after - 2 * arg if op in _BACKWARD else after + 2 * arg
        found[start] = Instruction(op, arg, after, target)
    return found


def instruction_start(code: CodeType, offset: int) -> int:
    """The offset of the instruction that the code unit at `offset` belongs to.

    While a frame calls another one, CPython 3.11 and 3.12 leave `f_lasti` at the last inline cache of the call
    (v3.12.1 Python/ceval.c, DISPATCH_INLINED). ValueError if `offset` is no code unit of `code`.

    >>> instruction_start(compile("pass", "", "exec"), 0)
    0
    """
    units = code.co_code
    if offset % 2 or not 0 <= offset < len(units):
        raise ValueError(f"offset {offset} is not in the bytecode of {code.co_qualname}, which has {len(units)} bytes")
    while units[offset] == _CACHE and offset:
        offset -= 2
    return offset


def local_names(code: CodeType) -> tuple[str, ...]:
    """The names of a frame's fast locals, by index: variables, then cells that are none of these, then the closure's.

    >>> local_names(compile("def f(x): y = 1; return lambda: x", "", "exec").co_consts[0])
    ('x', 'y')
    """
    variables = code.co_varnames
    return (*variables, *(name for name in code.co_cellvars if name not in variables), *code.co_freevars)


def _numbers(table: bytes) -> Iterator[int]:
    # v3.11.7 Objects/exception_table_notes.txt: big-endian groups of six bits, bit 6 set on all but the last of a number
    value = 0
    for byte in table:
        value = value << 6 | byte & 63
        if not byte & 64:
            yield value
            value = 0


def exception_table(code: CodeType) -> list[Handler]:
    """The exception table, its offsets in bytes.

    >>> exception_table(compile("pass", "", "exec"))
    []
    """
    numbers = _numbers(code.co_exceptiontable)
    rows = zip(numbers, numbers, numbers, numbers, strict=True)
    return [Handler(2 * start, 2 * (start + size), 2 * to, how >> 1, bool(how & 1)) for start, size, to, how in rows]


def handlers(code: CodeType, listing: dict[int, Instruction]) -> dict[int, Handler]:
    """For each covered instruction of `listing`, the handler that receives what it raises."""
    rows = exception_table(code)
    return {offset: row for row in rows for offset in range(row.start, row.end, 2) if offset in listing} if rows else {}
