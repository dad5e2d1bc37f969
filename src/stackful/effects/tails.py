"""Clauses that resume in tail position and do nothing else with the resumption: read off the bytecode, before any of them has run.

``return k.resume(value)`` and ``return k.tail_resume(value)`` need no capture when that is all that becomes of `k`: the clause can be
called where the program performs, and `perform` returns the value.
"""

from __future__ import annotations

import inspect
import opcode
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

from stackful.stackmap.effects import local_actions
from stackful.stackmap.flow import Flow, flow_of

__all__ = ["resumes_last"]

_OTHER_KINDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE
_METHODS = ("resume", "tail_resume")
_INSPECTING = frozenset(("locals", "vars", "eval", "exec", "_getframe", "currentframe", "breakpoint", "set_trace"))
_NAME_SHIFT = {"LOAD_METHOD": 0, "LOAD_ATTR": 1}
_BELOW_CALLEE = {"CALL": 2, "CALL_KW": 3}  # slots of such a call beside its arguments
_MOST = 1000

_known: dict[int, tuple[CodeType, bool]] = {}


def resumes_last(function: Callable[..., Any]) -> bool:
    """Whether all that becomes of the first argument is ``return k.resume(value)`` or ``return k.tail_resume(value)``, outside of any ``try`` and ``with``.

    What it comes to besides, other results and exceptions, makes no difference. False whenever that is not certain.

    >>> resumes_last(lambda k, x: k.resume(x + 1)), resumes_last(lambda k: [k.resume(1), k.resume(2)])
    (True, False)
    """
    if type(function) is not FunctionType:
        return False
    code = function.__code__
    known = _known.get(id(code))
    if known is None:
        if len(_known) >= _MOST:
            _known.clear()
        known = _known[id(code)] = code, _is_fit(code) and _uses_are_tails(code)  # held, so that no other has its id
    return known[1]


def _is_fit(code: CodeType) -> bool:
    return (
        code.co_argcount > 0
        and not code.co_flags & _OTHER_KINDS
        and code.co_varnames[0] not in code.co_cellvars
        and _INSPECTING.isdisjoint(code.co_names)
    )


def _uses_are_tails(code: CodeType) -> bool:
    try:
        flow = flow_of(code)
    except ValueError:  # no compiler has made this
        return False
    methods = set()
    for offset, (op, arg, after, _) in flow.listing.items():
        for step, (action, index) in enumerate(actions := local_actions(op, arg)):
            if index != 0 or offset not in flow.before:
                continue
            if not action.startswith("load") or step != len(actions) - 1 or not _loads_resume(flow, after):
                return False
            methods.add(after)
    return bool(methods) and methods == set(_tail_calls(flow, methods))


def _loads_resume(flow: Flow, offset: int) -> bool:
    """Whether the instruction there takes one of the two methods off what is on the stack."""
    op, arg, _, _ = flow.listing[offset]
    name = opcode.opname[op]
    is_method = name == "LOAD_METHOD" or (name == "LOAD_ATTR" and sys.version_info >= (3, 12) and arg & 1)
    return bool(is_method) and flow.code.co_names[arg >> _NAME_SHIFT[name]] in _METHODS


def _tail_calls(flow: Flow, methods: set[int]) -> Iterator[int]:
    """What is called where a result is returned at once; -1 for each call of a method that is not of this kind."""
    with_keywords = {_call_after(flow, at.after) for at in flow.listing.values() if opcode.opname[at.op] == "KW_NAMES"}
    for offset, (stack, _) in flow.before.items():
        op, arg, after, _ = flow.listing[offset]
        below = _BELOW_CALLEE.get(opcode.opname[op])
        origin = None if below is None else stack[-arg - below].origin
        if origin in methods:
            is_plain = opcode.opname[op] == "CALL" and arg <= 1 and offset not in with_keywords
            yield origin if is_plain and _returns(flow, after) and offset not in flow.handlers else -1


def _returns(flow: Flow, offset: int) -> bool:
    """Whether what is on the stack is returned, and nothing happens before."""
    op, _, after, target = flow.listing[offset]
    while opcode.opname[op] in ("NOP", "JUMP_FORWARD"):
        op, _, after, target = flow.listing[after if target is None else target]
    return opcode.opname[op] == "RETURN_VALUE"


def _call_after(flow: Flow, offset: int) -> int:
    while opcode.opname[flow.listing[offset].op] != "CALL":
        offset = flow.listing[offset].after
    return offset
