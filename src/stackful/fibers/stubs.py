"""Stubs: the small Python functions by which running code enters the core to leave the interpreter loop.

Deliberately Python functions: when one is called, every frame beneath it has called a Python function, and that is the one state in
which CPython has written a frame's stack pointer and position to memory. The core parks those frames (csrc/gates.c, csrc/suspend.c).
"""

from __future__ import annotations

from stackful import _core

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from types import CodeType, FunctionType
    from typing import TypeVar

    _F = TypeVar("_F")

__all__ = ["stub", "with_gates"]


def stub(function: _F) -> _F:
    """Make ``~"gate"`` in the function enter the core; and ``~"unmask"`` another gate, by its name.

    The constants become the core's gates: what loads a constant is the cheapest instruction there is, and ``~`` calls the core.
    """
    python: FunctionType = function  # type: ignore[assignment]
    python.__code__ = with_gates(python.__code__)
    _core.register(python.__name__, python)
    return function


def with_gates(code: CodeType) -> CodeType:
    """The same for the code of a function; itself, if that is none that has a gate."""
    if code.co_name not in _core.gates:
        return code
    gates = {**_core.gates, "gate": _core.gates[code.co_name]}
    constants = (gates.get(value, value) if type(value) is str else value for value in code.co_consts)
    return code.replace(co_consts=tuple(constants))
