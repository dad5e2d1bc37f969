"""What a position in bytecode depends on, as a few hashes."""

from __future__ import annotations

import hashlib
import opcode
from collections.abc import Iterator
from types import CodeType

from stackful import _core, stackmap
from stackful.stackmap.instructions import instructions

__all__ = [
    "differences",
    "fingerprint",
    "fits",
    "globals_read",
    "names_bound_behind",
    "names_read",
    "reads_unbound",
    "tree_of",
]

_PARTS = ("bytecode", "constants", "names", "exception handlers", "signature")
_SIZE = 8  # bytes of each hash
_GATES = {id(gate): name for name, gate in _core.gates.items()}

_LOAD_GLOBAL = opcode.opmap["LOAD_GLOBAL"]

_known: dict[int, tuple[CodeType, bytes]] = {}


def tree_of(code: CodeType, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], CodeType]]:
    """`code` and all code among its constants, with the path of indices that leads there."""
    yield path, code
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from tree_of(constant, (*path, index))


def _short(value: object) -> bytes:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).digest()[:_SIZE]


def _constant(value: object, code: CodeType) -> object:
    """A constant of `code` in a form whose repr is the same in every process: frozensets have an order of their own in each."""
    if isinstance(value, CodeType):
        return "code" if code.co_name == "<module>" else fingerprint(value)
    if isinstance(value, frozenset):
        return ("frozenset", sorted(repr(_constant(item, code)) for item in value))
    if isinstance(value, tuple):
        return tuple(_constant(item, code) for item in value)
    gate = _GATES.get(id(value))  # what stands for it in the text of a stub (fibers/stubs.py)
    if gate is not None:
        value = "gate" if gate == code.co_name else gate
    return (type(value).__name__, value)


def fingerprint(code: CodeType) -> bytes:
    """What a suspended frame depends on: bytecode, constants, names, exception handlers, signature; one hash of each.

    The functions and comprehensions that are written inside of a function count among its constants. Those of a whole module do not: it
    has made them already, and frames and functions that stand in them carry a fingerprint of their own.

    >>> one, two = compile("a + 1000", "x.py", "eval"), compile("a + 2000", "x.py", "eval")
    >>> differences(fingerprint(one), fingerprint(two))
    ['constants']
    """
    known = _known.get(id(code))
    if known is not None:
        return known[1]
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_qualname)
    constants = [_constant(value, code) for value in code.co_consts]
    found = b"".join(map(_short, (code.co_code, constants, names, code.co_exceptiontable, signature)))
    if len(_known) >= 4096:
        _known.clear()
    _known[id(code)] = (code, found)  # the code is kept alive: its id cannot come to mean another
    return found


def globals_read(code: CodeType) -> set[str]:
    """The globals that a function reads, and those that the functions and comprehensions in it do."""
    shift = 1  # of the argument: the lowest bit asks for a NULL (v3.11.7 Python/ceval.c, LOAD_GLOBAL)
    found = set()
    for _, part in tree_of(code):
        for op, arg, _, _ in instructions(part).values():
            if op == _LOAD_GLOBAL:
                found.add(part.co_names[arg >> shift])
    return found


def names_read(code: CodeType) -> set[str]:
    """The globals that the code of a script reads, its own and that of all functions in it.

    >>> sorted(names_read(compile("a + (lambda x: x + b)(1)", "s.py", "exec")))
    ['a', 'b']
    """
    return globals_read(code) | {name for _, part in tree_of(code) for name in _named(part, "LOAD_NAME")}


def names_bound_behind(code: CodeType, offset: int) -> set[str]:
    """The globals that the code of a script can still make when it goes on at `offset`, and those that functions in it can.

    >>> code = compile("a = 1; b = 2", "s.py", "exec")
    >>> sorted(names_bound_behind(code, 0)), sorted(names_bound_behind(code, len(code.co_code) - 2))
    (['a', 'b'], [])
    """
    here = stackmap.reachable(code, offset)
    found = {name for made in ("STORE_NAME", "STORE_GLOBAL") for name in _named(code, made, here)}
    return found | {name for _, part in tree_of(code) if part is not code for name in _named(part, "STORE_GLOBAL")}


def reads_unbound(code: CodeType, name: str, offset: int) -> bool:
    """Whether the code of a script, going on at `offset`, can come to read a global before it has made it.

    >>> code = compile("print(a); a = 1; print(a)", "s.py", "exec")
    >>> reads_unbound(code, "a", 0)
    True
    """
    listing = instructions(code)
    reads, makes = (
        {at for at, (op, arg, _, _) in listing.items() if op == opcode.opmap[what] and code.co_names[arg] == name}
        for what in ("LOAD_NAME", "STORE_NAME")
    )
    return not reads.isdisjoint(stackmap.reachable(code, offset, makes))


def _named(code: CodeType, name: str, where: frozenset[int] | None = None) -> Iterator[str]:
    """The names that the instructions of one kind have."""
    wanted = opcode.opmap[name]
    for at, (op, arg, _, _) in instructions(code).items():
        if op == wanted and (where is None or at in where):
            yield code.co_names[arg]


def _of_schema_1(code: CodeType) -> tuple[str, ...]:
    """The same as snapshots of schema 1 have it, in which nested code did not count."""
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_qualname)
    constants = [_constant_of_schema_1(value) for value in code.co_consts]
    parts = (code.co_code, constants, names, code.co_exceptiontable, signature)
    return tuple(_short(part).hex() for part in parts)


def _constant_of_schema_1(value: object) -> object:
    if isinstance(value, CodeType):
        return "code"
    if isinstance(value, frozenset):
        return ("frozenset", sorted(map(repr, map(_constant_of_schema_1, value))))
    if isinstance(value, tuple):
        return tuple(map(_constant_of_schema_1, value))
    return (type(value).__name__, value)


def fits(code: CodeType, wanted: bytes | tuple[str, ...]) -> bool:
    """Whether code has this fingerprint, as a snapshot of any schema has it."""
    return fingerprint(code) == wanted if isinstance(wanted, bytes) else _of_schema_1(code) == wanted


def differences(one: bytes | tuple[str, ...], other: bytes) -> list[str]:
    """Which of the parts that a fingerprint is made of are not the same; none where nobody can tell."""
    if isinstance(one, tuple):
        return []
    starts = range(0, len(_PARTS) * _SIZE, _SIZE)
    return [part for part, at in zip(_PARTS, starts, strict=True) if one[at : at + _SIZE] != other[at : at + _SIZE]]
