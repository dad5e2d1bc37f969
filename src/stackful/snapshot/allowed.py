"""What loading a snapshot may reach by name: the program's own, data types, and what was allowed by configuration.

The seal says who made a snapshot; this list is a second fence, for snapshots without one and for keys in wrong hands: no module is
imported, and no function called, that neither the program nor this list has a use for. It is no prison: a snapshot brings code along
that runs when it is resumed.

*The program's own* are modules that are neither of the standard library nor installed packages, and what the program itself imports:
packages, and functions of the standard library that its modules have among their globals. Of the rest, `_WHOLE` and `_TYPES` list
what is harmless.
"""

from __future__ import annotations

import contextlib
import dis
import enum
import importlib
import importlib.util
import inspect
import os
import re
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from stackful.errors import NameRefusedError
from stackful.fibers.portable import SCRIPTS
from stackful.snapshot.codes import Program, tree_of
from stackful.snapshot.reconnectors import registered

__all__ = ["ALLOW_VARIABLE", "EVERYTHING", "Allowed", "allowed_of", "installed_folders"]

ALLOW_VARIABLE = "STACKFUL_ALLOW"

# Modules of the standard library that compute and hold, and do nothing else.
_WHOLE = frozenset(
    "abc array base64 binascii bisect calendar cmath collections collections_abc colorsys contextlib contextvars copy csv dataclasses"
    " datetime decimal difflib enum errno fnmatch fractions functools graphlib hashlib heapq hmac html ipaddress itertools json keyword math"
    " ntpath numbers operator posixpath pprint queue random re reprlib secrets shlex sre statistics string struct textwrap time"
    " traceback types typing unicodedata uuid warnings weakref weakrefset zlib zoneinfo urllib.parse".split()
)
# Those of which the classes do no harm.
_TYPES = frozenset(
    "argparse asyncio ast concurrent configparser email http inspect numpy pandas pathlib unittest xml".split()
)
_NAMES = {
    "copyreg": {"_reconstructor", "__newobj__", "__newobj_ex__"},
    "io": set(
        "StringIO BytesIO IOBase RawIOBase BufferedIOBase TextIOBase _IOBase _RawIOBase _BufferedIOBase _TextIOBase"
        " BufferedReader BufferedWriter BufferedRandom BufferedRWPair TextIOWrapper IncrementalNewlineDecoder UnsupportedOperation".split()
    ),
    "logging": {
        "getLogger",
        "LogRecord",
        "Logger",
        "Formatter",
        "PercentStyle",
        "StrFormatStyle",
        "StringTemplateStyle",
    },
    "thread": {"allocate_lock", "lock", "RLock", "_local"},  # _thread
    "cloudpickle": {"subimport", "dynamic_subimport"},
}
_RECONSTRUCTORS = re.compile(r"_\w*(unpickle|reconstruct|_ctor|frombuffer)\w*|_new_\w+|new_block|scalar")
_HARMFUL_BUILTINS = frozenset(
    "eval exec compile __import__ open input breakpoint globals locals vars setattr delattr getattr exit quit help".split()
)
_OWN_REFUSED = ("stackful.snapshot", "stackful.durable.runs", "stackful.cli", "stackful.keyfiles")
_OWN_NAMES = {("stackful.snapshot.reconnectors", name) for name in ("Reconnector", "reconnect")}
_SIDE_EFFECTS = frozenset("antigravity this idlelib turtledemo test lib2to3 __hello__ __phello__".split())
_SUSPENDED_AT_FIRST = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_WAYS_OUT = frozenset({"__subclasses__", "__getattribute__", "__reduce__", "__reduce_ex__"})
_METHODS = (
    MethodType, BuiltinFunctionType, FunctionType, type, enum.Enum,
    MethodWrapperType, MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType,
)  # fmt: skip
_NAMED = type | FunctionType | BuiltinFunctionType
_ENTRY = re.compile(r"\*|[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.\w+)*)?")


def _top(module: str) -> str:
    return module.partition(".")[0]


@cache
def installed_folders() -> tuple[str, ...]:
    """The folders of the standard library and of installed packages; found out once."""
    paths = sysconfig.get_paths()
    return tuple(f"{os.path.realpath(paths[name])}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def _is_installed(path: str) -> bool:
    real = os.path.realpath(path)
    return real.startswith(installed_folders()) or not {"site-packages", "dist-packages"}.isdisjoint(Path(real).parts)


@cache
def _is_standard(top: str) -> bool:
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def _is_own(module: str) -> bool:
    """Whether a module is the program's: no standard one, and not in a folder of installed packages."""
    top = _top(module)
    return top in SCRIPTS or (top != "stackful" and not _is_standard(top) and _is_elsewhere(top))


@cache
def _is_elsewhere(top: str) -> bool:
    try:
        spec = importlib.util.find_spec(top)  # imports nothing
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return True  # made by the program as it runs, or nowhere
    places = [spec.origin] if spec.has_location and spec.origin else list(spec.submodule_search_locations or ())
    return not any(map(_is_installed, places))


def _entries(text: Iterable[str], source: str) -> list[tuple[str, str | None]]:
    """(module, name or None for all) of each entry."""
    found: list[tuple[str, str | None]] = []
    for entry in text:
        if not isinstance(entry, str):
            raise TypeError(f"{source} takes a list of texts, as 'package' or 'module:name', and {entry!r} is none")
        if not _ENTRY.fullmatch(entry):
            raise ValueError(f"{source}: {entry!r} is neither a package or module, nor MODULE:NAME, nor *")
        module, _, name = entry.partition(":")
        found.append((module, name or None))
    return found


def _of_environment() -> list[tuple[str, str | None]]:
    text = os.environ.get(ALLOW_VARIABLE, "")
    return _entries(filter(None, map(str.strip, text.split(","))), ALLOW_VARIABLE)


def _of_project() -> list[tuple[str, str | None]]:
    """``[tool.stackful] allow`` in the pyproject.toml of the working directory, or of the nearest folder above that has one."""
    try:
        here = Path.cwd()
    except OSError:
        return []
    path = next((path for folder in (here, *here.parents) if (path := folder / "pyproject.toml").is_file()), None)
    if path is None:
        return []
    entries = _allowed_by(path)
    if not isinstance(entries, list):
        raise ValueError(f"{path}: [tool.stackful] allow is a list of texts, not {entries!r}")
    return _entries(map(str, entries), f"{path}, [tool.stackful] allow")


def _allowed_by(path: Path) -> object:
    tomllib = importlib.import_module("tomllib")
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read, and it may allow what the snapshot names: {error}") from error
    return tables.get("tool", {}).get("stackful", {}).get("allow", [])


def _fits(entries: list[tuple[str, str | None]], module: str, name: str | None) -> bool:
    return any(
        entry == "*" or (f"{module}.".startswith(f"{entry}.") and (name is None or which in (None, name)))
        for entry, which in entries
    )


def _is_configured(module: str, name: str | None, refusal: NameRefusedError) -> bool:
    """Only asked when something would be refused otherwise."""
    try:
        return _fits([*_of_environment(), *_of_project()], module, name)
    except ValueError as error:
        raise NameRefusedError(f"{refusal}; what may allow it is wrong: {error}", refusal.name) from error


def _of_reconnectors() -> Iterator[Any]:
    """Functions that the program has named to us."""
    for connected in registered():
        yield from (connected.kind, connected.save, connected.reopen)


def _imports_of(code: CodeType) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(module, names) of each import statement."""
    for _, part in tree_of(code):
        names: tuple[str, ...] = ()
        for instruction in dis.get_instructions(part):
            if instruction.opname == "LOAD_CONST":
                names = instruction.argval if isinstance(instruction.argval, tuple) else ()
            elif instruction.opname == "IMPORT_NAME":
                yield instruction.argval, names


def _says(code: CodeType, name: str) -> bool:
    """Whether a name, or each part of one with dots, stands in some code."""
    said = {said for _, part in tree_of(code) for said in part.co_names}
    return said.issuperset(name.split("."))


def _home(module: str, name: str, value: Any) -> tuple[str, str]:
    """What a module has from another one is that one's."""
    home = getattr(value, "__module__", None)
    if isinstance(home, str) and _top(home) != _top(module) and isinstance(value, _NAMED):
        return home, name.rpartition(".")[2]
    return module, name


class Allowed:
    """Answers whether a name may be reached; remembers what it has answered.

    Args:
        entries: what is allowed besides the default: ``package`` or ``package.module`` with all that is in it, ``module:name``, or ``*``.

    Raises:
        TypeError: they are no list of texts.
        ValueError: an entry is none of these.
    """

    def __init__(self, entries: Iterable[str] = (), program: Program | None = None) -> None:
        if isinstance(entries, str):
            raise TypeError(f"allow= takes a list of texts: [{entries!r}]")
        if not isinstance(entries, Iterable):
            raise TypeError(f"allow= takes a list of texts, as ['package', 'module:name'], not {entries!r}")
        if not isinstance(program, Program | None):
            raise TypeError(f"program= is a snapshot.Program(module, code), not {program!r}")
        self._given = _entries(entries, "allow=")
        self._program = program
        self._known: set[tuple[str, str]] = set()

    def check(self, module: str, name: str) -> None:
        """`NameRefusedError` where a name may not be reached; ImportError and AttributeError where it means nothing."""
        if (module, name) in self._known:
            return
        if not _fits(self._given, module, name):
            try:
                self.check_module(module)
                self._check_value(module, name)
            except NameRefusedError as refusal:
                if not _is_configured(module, name, refusal):
                    raise
        self._known.add((module, name))

    def check_module(self, module: str) -> None:
        """`NameRefusedError` where a module may not be imported, to be held or for the code in it."""
        top = _top(module)
        if module in sys.modules or _is_own(module) or top in _TYPES or top in _NAMES or top == "stackful":
            return
        if _is_standard(top) and top not in _SIDE_EFFECTS:
            return
        if not (_fits(self._given, module, None) or self._is_imported(module)):
            refusal = self._refusal(module, None)
            if not _is_configured(module, None, refusal):
                raise refusal

    def getter(self) -> Any:
        """What ``getattr`` means in a snapshot: for methods only, unless it is allowed by its name."""
        return getattr if _fits(self._given, "builtins", "getattr") else self._attribute

    def _attribute(self, value: Any, name: str) -> Any:
        """There is no way from one value to everything that there is."""
        found = getattr(value, name)
        if isinstance(value, ModuleType):
            self.check(value.__name__, name)
        elif name in _WAYS_OUT or not isinstance(found, _METHODS):
            raise self._refusal("builtins", "getattr")
        elif isinstance(found, FunctionType | type):
            self.check(found.__module__, found.__qualname__)
        return found

    def _check_value(self, module: str, name: str) -> None:
        value: Any = importlib.import_module(module) if module not in sys.modules else sys.modules[module]
        for part in name.split("."):
            value = getattr(value, part)
            if isinstance(value, ModuleType):
                raise self._refusal(module, name)
        home, its_name = _home(module, name, value)
        if not (self._is_harmless(home, its_name, value) or self._is_among_imports(home, its_name, value)):
            raise self._refusal(module, name)

    def _is_harmless(self, module: str, name: str, value: Any) -> bool:
        """By default."""
        top = _top(module)
        if top == "stackful":
            return not module.startswith(_OWN_REFUSED) or (module, name) in _OWN_NAMES
        if _is_own(module):
            return True
        if module == "builtins":
            return name not in _HARMFUL_BUILTINS
        plain = module.lstrip("_") if _is_standard(top) else module
        if plain in _WHOLE or _top(plain) in _WHOLE or name in _NAMES.get(_top(plain), ()):
            return True
        if isinstance(value, type):
            is_harmless = issubclass(value, BaseException | enum.Enum | tuple)
            return (is_harmless and _is_standard(top)) or _top(plain) in _TYPES
        if top == "cloudpickle":
            return name.startswith("_")
        if isinstance(value, FunctionType) and value.__code__.co_flags & _SUSPENDED_AT_FIRST:
            return _is_standard(top) or top in _TYPES  # calling it runs nothing of it
        return top in _TYPES and _RECONSTRUCTORS.fullmatch(name) is not None

    def _own_globals(self) -> Iterator[Any]:
        for name, module in list(sys.modules.items()):
            if _is_own(name):
                yield from list(getattr(module, "__dict__", {}).values())

    @cached_property
    def _imported_by_script(self) -> list[tuple[str, tuple[str, ...]]]:
        return [] if self._program is None else list(_imports_of(self._program.code))

    def _is_imported(self, module: str) -> bool:
        """Whether the program itself imports the package."""
        top = _top(module)
        if any(_top(name) == top for name, _ in self._imported_by_script):
            return True
        return any(
            _top(value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", ""))) == top
            for value in self._own_globals()
            if isinstance(value, ModuleType | type | FunctionType | BuiltinFunctionType | MethodType)
        )

    def _is_among_imports(self, module: str, name: str, value: Any) -> bool:
        """An installed package that the program imports; of the standard library, what it has among its globals or says by name."""
        if not _is_standard(_top(module)):
            return _top(module) != "stackful" and self._is_imported(module)
        if any(value is held for held in (*self._own_globals(), *_of_reconnectors())):
            return True
        for imported, names in self._imported_by_script:
            holder = sys.modules.get(imported)
            if any(which == "*" or getattr(holder, which, None) is value for which in names):
                return True
            if (
                imported in (module, module.lstrip("_"))
                and self._program is not None
                and _says(self._program.code, name)
            ):
                return True
        return any(_says(code, name) for code in self._codes_that_import(module))

    def _codes_that_import(self, module: str) -> Iterator[CodeType]:
        """The code of each of the program's modules that has this one among its globals."""
        wanted = sys.modules.get(module.lstrip("_")) or sys.modules.get(module)
        for own, itself in list(sys.modules.items()):
            if _is_own(own) and any(held is wanted for held in list(getattr(itself, "__dict__", {}).values())):
                get_code = getattr(getattr(itself, "__loader__", None), "get_code", None)
                if get_code is None or own in SCRIPTS:
                    continue
                with contextlib.suppress(
                    ImportError, SyntaxError
                ):  # it stands there under another's name, or its file changed
                    if (code := get_code(own)) is not None:
                        yield code

    def _refusal(self, module: str, name: str | None) -> NameRefusedError:
        what = f"{module}:{name}" if name else module
        kind = "names" if name else "needs the module"
        return NameRefusedError(
            f"the snapshot {kind} {what}, which is neither the program's own nor on the list of what is harmless; if it is to be"
            f' loaded, allow it: loads(..., allow=["{what}"]), or {ALLOW_VARIABLE}={what}, or in pyproject.toml'
            f' [tool.stackful] allow = ["{what}"]',
            what,
        )


class _Everything(Allowed):
    """No list at all: for copies within a process."""

    def check(self, module: str, name: str) -> None:
        """Any."""

    def check_module(self, module: str) -> None:
        """Any."""

    def getter(self) -> Any:
        """Any."""
        return getattr


EVERYTHING = _Everything()
"""Whatever the snapshot names: as trusting as `pickle`."""

_DEFAULT = Allowed()


def allowed_of(given: Allowed | Iterable[str] | None, program: Program | None = None) -> Allowed:
    """The list that a caller has asked for. `ValueError`, `TypeError`."""
    if isinstance(given, Allowed):
        return given
    if given is None:
        return _DEFAULT if program is None else Allowed((), program)
    return Allowed(given, program)
