"""Which locals must be bound, which are read, and which must be cells, for a frame to go on after an instruction."""

import opcode
from collections.abc import Callable
from functools import lru_cache
from types import CodeType

from .effects import local_actions
from .flow import Flow, flow_of, state_after
from .instructions import instruction_start

__all__ = ["cells_needed", "locals_needed", "locals_read"]

_KILLS = frozenset({"store", "delete", "save", "load_checked", "make_cell"})


@lru_cache(maxsize=4096)
def _uses_and_kills(op: int, arg: int) -> tuple[int, int]:
    """Bit masks: the locals that an instruction loads unchecked, and those whose former state no longer matters after it."""
    uses = kills = 0
    for action, index in local_actions(op, arg):
        if action == "load":
            uses |= 1 << index & ~kills
        elif action in _KILLS:
            kills |= 1 << index
    return uses, kills


@lru_cache(maxsize=4096)
def _reads_and_kills(op: int, arg: int) -> tuple[int, int]:
    """The same for every read, checked or not; a closure counts as one of what it takes."""
    name = opcode.opname[op]
    reads = kills = 0
    for action, index in local_actions(op, arg):
        if action in {"load", "load_checked", "load_cell"} or (action == "cell" and name.startswith("LOAD")):
            reads |= 1 << index & ~kills
        elif action in {"store", "delete", "save", "make_cell", "cell"}:
            kills |= 1 << index
    return reads, kills


def _mask_after(flow: Flow, offset: int, before: dict[int, int]) -> int:
    """The locals needed on the ways out of the instruction at `offset`, the exception's included."""
    _, _, after, target = flow.listing[offset]
    mask = before.get(after, 0) if flow.goes_on(offset) else 0
    if target is not None:
        mask |= before.get(target, 0)
    handler = flow.handlers.get(offset)
    return mask | before.get(handler.target, 0) if handler else mask


@lru_cache(maxsize=512)
def _needed_before(code: CodeType, of: Callable[[int, int], tuple[int, int]]) -> dict[int, int]:
    """For every reachable instruction, a bit mask of the locals used on some path from it, before being assigned; `of` tells the uses."""
    flow = flow_of(code)
    before: dict[int, int] = {}
    if not any(of(flow.listing[offset].op, flow.listing[offset].arg)[0] for offset in flow.before):
        return before
    backwards = sorted(flow.before, reverse=True)
    changed = True
    while changed:  # once more for each level of nested loops
        changed = False
        for offset in backwards:
            op, arg, _, _ = flow.listing[offset]
            uses, kills = of(op, arg)
            handler = flow.handlers.get(offset)
            mask = uses | _mask_after(flow, offset, before) & ~kills | (before.get(handler.target, 0) if handler else 0)
            if mask != before.get(offset, 0):
                before[offset] = mask
                changed = True
    return before


def _indices(mask: int) -> frozenset[int]:
    return frozenset(index for index in range(mask.bit_length()) if mask >> index & 1)


def locals_needed(code: CodeType, offset: int) -> frozenset[int]:
    """The locals that must be bound for a frame to go on after the instruction at `offset`.

    Indices into the frame's fast locals that some path from there, exception handlers included, reads by an instruction
    that would crash on an unbound local, before it assigns to them. Always empty on 3.11, which checks every read. `offset`
    may be `frame.f_lasti` as it is. ValueError if it belongs to no reachable instruction.

    >>> code = compile("def f(x): g(); return x", "", "exec").co_consts[0]
    >>> import sys
    >>> locals_needed(code, 2) == (frozenset({0}) if sys.version_info >= (3, 12) else frozenset())
    True
    """
    start = instruction_start(code, offset)
    flow = flow_of(code)
    flow.state(start)
    return _indices(_mask_after(flow, start, _needed_before(code, _uses_and_kills)))


def locals_read(code: CodeType, offset: int) -> frozenset[int]:
    """The locals that some path after the instruction at `offset` reads before it assigns to them; checked reads and cells count.

    Arguments and errors as for `locals_needed`.

    >>> code = compile("def f(x): g(); return x", "", "exec").co_consts[0]
    >>> locals_read(code, 2)
    frozenset({0})
    """
    start = instruction_start(code, offset)
    flow = flow_of(code)
    flow.state(start)
    return _indices(_mask_after(flow, start, _needed_before(code, _reads_and_kills)))


def cells_needed(code: CodeType, offset: int) -> frozenset[int]:
    r"""The locals that must hold cells for a frame to go on after the instruction at `offset`.

    Indices into the frame's fast locals, of its own cells and of those of its closure; the interpreter follows them without a check
    in every version. Arguments as for `locals_needed`.

    >>> code = compile("def f(x):\n  def g(): return x\n  return x", "", "exec").co_consts[0]
    >>> cells_needed(code, len(code.co_code) - 2)
    frozenset({0})
    """
    start = instruction_start(code, offset)
    flow = flow_of(code)
    return _indices(state_after(flow, start, flow.state(start)).cells)
