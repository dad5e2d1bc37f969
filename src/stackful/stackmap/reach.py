"""Which instructions can still run when a frame goes on at one of them."""

import opcode
from collections.abc import Collection
from types import CodeType

from stackful.stackmap.instructions import handlers, instruction_start, instructions

__all__ = ["reachable"]

_ENDS = {"RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE"}
_ENDS |= {"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT"}


def reachable(code: CodeType, offset: int, ends: Collection[int] = ()) -> frozenset[int]:
    r"""The offsets of all instructions that can run from the one at `offset` on, itself included; no way leads past `ends`.

    >>> code = compile("a = 1\nwhile a: b = 2\nc = 3", "", "exec")
    >>> first, second, third = (i for i in range(0, len(code.co_code), 2) if opcode.opname[code.co_code[i]] == "STORE_NAME")
    >>> first in reachable(code, second), second in reachable(code, first)
    (False, True)
    """
    listing = instructions(code)
    handled = handlers(code, listing)
    found: set[int] = set()
    waiting = [instruction_start(code, offset)]
    while waiting:
        at = waiting.pop()
        if at in found or at not in listing:
            continue
        found.add(at)
        if at in ends:
            continue
        op, _, after, target = listing[at]
        waiting += [] if opcode.opname[op] in _ENDS else [after]
        waiting += [] if target is None else [target]
        waiting += [handled[at].target] if at in handled else []
    return frozenset(found)
