"""Code identity: a code object as a reference that is checked when it is followed (D8).

A reference names the module and the qualified name, and carries a fingerprint of everything that a position in the bytecode depends
on. Line numbers and file names are no part of it: moving a function within its file changes nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import marshal
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import NamedTuple

from stackful.errors import CodeChangedError
from stackful.fibers.portable import SCRIPTS

__all__ = [
    "CodeReference",
    "Program",
    "by_value",
    "check_same_program",
    "find_code",
    "find_in_program",
    "fingerprint",
    "path_in_program",
    "reference_to",
    "tree_of",
]

_PARTS = ("bytecode", "constants", "names", "exception handlers", "signature")


class Program(NamedTuple):
    """The script that is being run: its ``__main__`` module and the code of the whole script.

    With it, functions of the script are saved as references into `code` and come back bound to `module`'s globals.
    """

    module: ModuleType
    code: CodeType


class CodeReference(NamedTuple):
    """Where a code object is found again. `module` is None and `path` leads through constants for a `Program`'s code."""

    module: str | None
    qualname: str
    path: tuple[int, ...]
    fingerprint: tuple[str, ...]
    line: int


_known: dict[int, tuple[CodeType, tuple[str, ...]]] = {}


def _short(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _constant(value: object) -> object:
    """A constant in a form whose repr is the same in every process: frozensets have an order of their own in each."""
    if isinstance(value, CodeType):
        return "code"  # checked on its own, where a frame or a function stands in it
    if isinstance(value, frozenset):
        return ("frozenset", sorted(map(repr, map(_constant, value))))
    if isinstance(value, tuple):
        return tuple(map(_constant, value))
    return (type(value).__name__, value)


def fingerprint(code: CodeType) -> tuple[str, ...]:
    """What a suspended frame depends on: bytecode, constants, names, exception handlers, signature; one hash each.

    Code nested in it is left out: frames and functions that stand in that carry a fingerprint of their own.

    >>> one, two = compile("a + 1000", "x.py", "eval"), compile("a + 2000", "x.py", "eval")
    >>> [same == other for same, other in zip(fingerprint(one), fingerprint(two))]
    [True, False, True, True, True]
    """
    known = _known.get(id(code))
    if known is not None:
        return known[1]
    names = (code.co_names, code.co_varnames, code.co_cellvars, code.co_freevars)
    signature = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags, code.co_qualname)
    constants = [_constant(value) for value in code.co_consts]
    found = tuple(map(_short, (code.co_code, constants, names, code.co_exceptiontable, signature)))
    if len(_known) >= 4096:
        _known.clear()
    _known[id(code)] = (code, found)  # the code is kept alive: its id cannot come to mean another
    return found


def tree_of(code: CodeType, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], CodeType]]:
    """`code` and all code among its constants, with the path of indices that leads there."""
    yield path, code
    for index, constant in enumerate(code.co_consts):
        if isinstance(constant, CodeType):
            yield from tree_of(constant, (*path, index))


def path_in_program(program: Program, code: CodeType) -> tuple[int, ...] | None:
    """Where `code` stands in the script, if it does."""
    return next((path for path, found in tree_of(program.code) if found is code or found == code), None)


def find_in_program(program: Program, reference: CodeReference) -> CodeType:
    """Follow a reference into the script; `CodeChangedError` where it leads to other code."""
    code = program.code
    for index in reference.path:
        found = code.co_consts[index] if index < len(code.co_consts) else None
        if not isinstance(found, CodeType):
            raise _changed(reference, program.code.co_filename, [])
        code = found
    if fingerprint(code) != reference.fingerprint:
        raise _changed(reference, program.code.co_filename, [code])
    return code


def check_same_program(before: CodeType, now: CodeType) -> None:
    r"""`CodeChangedError` naming the first function of a script that is not what it was, be it in use or only to be called later.

    Comments, blank lines and moved lines change nothing.

    >>> one, two = (compile(f"def f():\n    return {n}", "s.py", "exec") for n in (1000, 2000))
    >>> check_same_program(one, two)
    Traceback (most recent call last):
    stackful.errors.CodeChangedError: the code of "f" (s.py:1) has changed since the snapshot: constants; go back to the code of the snapshot, or start anew
    """
    for path, code in sorted(tree_of(before), key=_innermost_first):
        reference = CodeReference(None, code.co_qualname, path, fingerprint(code), code.co_firstlineno)
        find_in_program(Program(ModuleType("__main__"), now), reference)
    if len(list(tree_of(before))) != len(list(tree_of(now))):
        raise CodeChangedError(
            f"{now.co_filename} has functions now that it had not; go back to the code of the snapshot, or start anew"
        )


def _innermost_first(entry: tuple[tuple[int, ...], CodeType]) -> int:
    """The function that was changed, not the one around it, is to be named."""
    return -len(entry[0])


def _unwrapped(value: object) -> object:
    """The function behind a property, a static or class method, or a decorator that used functools.wraps."""
    while not isinstance(value, FunctionType):
        inner = next(
            (v for name in ("__wrapped__", "__func__", "fget", "func") if (v := getattr(value, name, None))), None
        )
        if inner is None:
            return value
        value = inner
    return value


def _named(module: str, qualname: str) -> object:
    """What the module has under this name."""
    value: object = sys.modules[module]
    for name in qualname.split("."):
        value = getattr(value, name, None)
    return value


def _live_codes(module: ModuleType, qualname: str) -> list[CodeType]:
    """The code that stands under this name in the module now: functions first, then what is nested in them."""
    value: object = module
    for name in qualname.split(".<locals>.", maxsplit=1)[0].split("."):
        value = getattr(value, name, None)
    function = _unwrapped(value)
    if not isinstance(function, FunctionType):
        return []
    return [code for _, code in tree_of(function.__code__) if code.co_qualname == qualname]


def _compiled_codes(module: ModuleType, qualname: str) -> list[CodeType]:
    """The same in the module's compiled source: reaches what decorators hide and what was deleted."""
    get_code = getattr(getattr(module, "__loader__", None), "get_code", None)
    code = get_code(module.__name__) if get_code else None
    return [found for _, found in tree_of(code) if found.co_qualname == qualname] if code else []


def _import(reference: CodeReference) -> ModuleType:
    assert reference.module is not None
    if reference.module in sys.modules:
        return sys.modules[reference.module]
    try:
        return importlib.import_module(reference.module)
    except ImportError as error:
        raise CodeChangedError(
            f'the snapshot needs the function "{reference.qualname}" of module {reference.module}, which cannot be imported: {error}'
        ) from error


def find_code(reference: CodeReference) -> CodeType:
    """Follow a reference into a module, which is imported; `CodeChangedError` where the code is another one now."""
    module = _import(reference)
    code = getattr(_named(str(reference.module), reference.qualname), "__code__", None)
    if isinstance(code, CodeType) and fingerprint(code) == reference.fingerprint:
        return code
    candidates: list[CodeType] = []
    for search in (_live_codes, _compiled_codes):
        for code in search(module, reference.qualname):
            if fingerprint(code) == reference.fingerprint:
                return code
            candidates.append(code)
    raise _changed(reference, getattr(module, "__file__", None) or module.__name__, candidates)


def _changed(reference: CodeReference, file: str, candidates: list[CodeType]) -> CodeChangedError:
    name = f'"{reference.qualname}" ({file}:{reference.line})'
    if not candidates:
        return CodeChangedError(
            f"the snapshot has a frame of {name}, which is no longer there; restore it, or start anew"
        )
    now = fingerprint(candidates[0])
    parts = [part for part, old, new in zip(_PARTS, reference.fingerprint, now, strict=True) if old != new]
    return CodeChangedError(
        f"the code of {name} has changed since the snapshot: {', '.join(parts)}; go back to the code of the snapshot, or start anew"
    )


def reference_to(code: CodeType, module: str) -> CodeReference | None:
    """A reference by module and name, if it leads back to this very code."""
    if module in SCRIPTS or module not in sys.modules:
        return None
    reference = CodeReference(module, code.co_qualname, (), fingerprint(code), code.co_firstlineno)
    if getattr(_named(module, code.co_qualname), "__code__", None) is code:
        return reference
    try:
        find_code(reference)
    except CodeChangedError:
        return None
    return reference


def by_value(code: CodeType) -> bytes:
    """The code itself; only this Python version can read it."""
    return marshal.dumps(code)
