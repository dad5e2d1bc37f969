"""Code identity: a code object as a reference that is checked when it is followed (D8).

A reference names the module and the qualified name, and carries a fingerprint of everything that a position in the bytecode depends
on. Line numbers and file names are no part of it: moving a function within its file changes nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import marshal
import sys
from types import CellType, CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

from stackful.errors import CodeChangedError
from stackful.fibers.portable import SCRIPTS
from stackful.snapshot.fingerprints import fingerprint, fits, tree_of
from stackful.snapshot.sources import encoded_source

if TYPE_CHECKING:
    from stackful.snapshot.editions import Edition

__all__ = [
    "CodeReference",
    "Program",
    "by_value",
    "function_with",
    "look_up",
    "look_up_in_program",
    "path_in_program",
    "reference_in_program",
    "reference_to",
    "tree_of",
]


class Program(NamedTuple):
    """The script that is being run: its ``__main__`` module and the code of the whole script.

    With it, functions of the script are saved as references into `code` and come back bound to `module`'s globals. With `is_there`, the
    script has been run where the snapshot is loaded: it is a module like others, and its code, functions and classes are saved by name.
    Where `before`, the text that the snapshot was made with, is given besides `now`, loading with ``on_change="move"`` goes on in `code`, that of `now`.
    """

    module: ModuleType
    code: CodeType
    is_there: bool = False
    before: Edition | None = None
    now: Edition | None = None


class CodeReference(NamedTuple):
    """Where a code object is found again, and (`source`, `part`: see `sources.decode`) what it was compiled from, if that is known.

    `module` is None and `path` leads through constants for a `Program`'s code.
    """

    module: str | None
    qualname: str
    path: tuple[int, ...]
    fingerprint: bytes | tuple[str, ...]
    line: int
    source: bytes = b""
    part: int = 0

    def __repr__(self) -> str:
        return f"CodeReference({self.module}:{self.qualname})"


_references: dict[int, tuple[CodeType, str, CodeReference]] = {}


def path_in_program(program: CodeType, code: CodeType) -> tuple[int, ...] | None:
    """Where `code` stands in the code of the script, if it does."""
    return next((path for path, found in tree_of(program) if found is code or found == code), None)


def reference_in_program(code: CodeType, path: tuple[int, ...]) -> CodeReference:
    """A reference to code of the script."""
    return CodeReference(None, code.co_qualname, path, fingerprint(code), code.co_firstlineno)


def look_up_in_program(program: Program, reference: CodeReference) -> tuple[CodeType | None, list[CodeType]]:
    """As `look_up`, for a reference into the script."""
    code = program.code
    for index in reference.path:
        found = code.co_consts[index] if index < len(code.co_consts) else None
        if not isinstance(found, CodeType):
            return None, []
        code = found
    return (code, []) if fits(code, reference.fingerprint) else (None, [code])


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
    except Exception as error:  # whatever its code raises
        raise CodeChangedError(
            f'the snapshot needs the function "{reference.qualname}" of module {reference.module}, which cannot be imported: {error}'
        ) from error


def look_up(reference: CodeReference) -> tuple[CodeType | None, list[CodeType]]:
    """Follow a reference into a module, which is imported: the code; or None, and all code of that name.

    `CodeChangedError` where the module cannot be imported.
    """
    module = _import(reference)
    code = getattr(_named(str(reference.module), reference.qualname), "__code__", None)
    if isinstance(code, CodeType) and fits(code, reference.fingerprint):
        return code, []
    candidates: list[CodeType] = []
    for search in (_live_codes, _compiled_codes):
        for code in search(module, reference.qualname):
            if fits(code, reference.fingerprint):
                return code, []
            candidates.append(code)
    return None, candidates


def _is_found(code: CodeType, module: str) -> bool:
    """Whether the module gives this very code back."""
    if getattr(_named(module, code.co_qualname), "__code__", None) is code:
        return True
    reference = CodeReference(module, code.co_qualname, (), fingerprint(code), code.co_firstlineno)
    try:
        return look_up(reference)[0] is not None
    except CodeChangedError:
        return False


def reference_to(code: CodeType, module: str, is_there: bool = False) -> CodeReference | None:
    """A reference by module and name, if it leads back to this very code; into a script only if that `is_there` when the snapshot is loaded."""
    if (module in SCRIPTS and not is_there) or module not in sys.modules:
        return None
    known = _references.get(id(code))
    if known is not None and known[1] == module:
        return known[2]  # found once, perhaps by a search
    if known is None and not _is_found(code, module):
        return None
    reference = CodeReference(
        module,
        code.co_qualname,
        (),
        fingerprint(code),
        code.co_firstlineno,
        encoded_source(code, module),
    )
    if len(_references) >= 4096:
        _references.clear()
    _references[id(code)] = (code, module, reference)  # the code is kept alive: its id cannot come to mean another
    return reference


def function_with(code: CodeType, module: str, value: object, cells: tuple[CellType, ...]) -> FunctionType:
    """The function that `code` is the code of: in `value`, behind decorators, or made anew with the module's globals."""
    function = _unwrapped(value)
    if isinstance(function, FunctionType) and (
        function.__code__ is code or (module and function.__globals__.get("__name__") == module)
    ):
        return function
    if not module and isinstance(function, FunctionType):
        return function
    namespace = vars(importlib.import_module(module))
    return FunctionType(code, namespace, code.co_name, None, cells or None)


def by_value(code: CodeType) -> bytes:
    """The code itself; only this Python version can read it."""
    return marshal.dumps(code)
