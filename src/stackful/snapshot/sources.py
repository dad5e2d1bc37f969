"""The source text of code, as a snapshot carries it: enough to show what changed, to compile it again, and to find a position in it.

What travels is the text of the outermost function (or statement) that the code stands in, compressed, with the positions in it of
all calls and yields: of a call in bytecode that no other version of Python can read, this is what other versions understand. It is
made once for each definition in a process, and only where compiling it gives the code that runs: a file that was
edited since it was imported has no say.
"""

from __future__ import annotations
import __future__

import ast
import json
import linecache
import opcode
import re
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache, reduce
from itertools import accumulate
from operator import or_
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

from stackful import stackmap
from stackful.fibers.frames import slot_names
from stackful.fibers.portable import SCRIPTS
from stackful.snapshot.definitions import Module, definitions, imported_by
from stackful.snapshot.fingerprints import fingerprint, fits, tree_of

__all__ = [
    "File",
    "Place",
    "Source",
    "Waits",
    "decode",
    "encoded_source",
    "file_of",
    "find_in",
    "put_together",
    "source_of",
    "unit_in",
    "waits_of",
]

_FUTURE = reduce(or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
_YIELD = opcode.opmap["YIELD_VALUE"]
_MOST_TEXT = 1 << 20
_MOST_TOGETHER = 8 * _MOST_TEXT
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Place = tuple[int, int, int, int]
"""Line, last line, column, last column (of UTF-8, behind it), as ``co_positions`` tells them; lines count from 0, the first of the text."""


class Waits(NamedTuple):
    """A code object's qualified name and first line, the names of a frame's slots, and at which byte offset which call or yield stands."""

    name: str
    first: int
    slots: tuple[str, ...]
    places: dict[int, Place]


class Source(NamedTuple):
    """A definition as it was written.

    `classes` are those around it, `imports` the names in it that its module imports, `flags` the compiler's (``from __future__``), `line`
    its first line in the file, counted from 1. `waits` tells of each code object of it, in the order of
    `tree_of`, what the Python that made the record has made of it.
    """

    text: str
    classes: tuple[str, ...]
    imports: tuple[str, ...]
    flags: int
    line: int
    waits: tuple[Waits, ...] = ()
    instrument: Callable[[ast.Module], ast.Module] | None = None
    """What is done to the tree before it is compiled; it does not travel."""

    @property
    def bare(self) -> Source:
        """Without what a certain Python has made of it; this can be a key."""
        return self._replace(waits=())

    @property
    def prefix(self) -> str:
        """What must precede the text so that it compiles to what it was: imports, and the classes around it."""
        # v3.12.1 Python/compile.c, is_import_originated: a method call on what the module imports is compiled in a way of its own
        heads = [f"import {', '.join(self.imports)}\n"] if self.imports else []
        heads += [f"{' ' * depth}class {name}:\n" for depth, name in enumerate(self.classes)]
        if self.text[:1] in (" ", "\t") and not self.classes:
            heads.append("if 1:\n")
        return "".join(heads)

    def tree(self) -> ast.Module:
        """The syntax tree of the text with what precedes it; its lines are those of the file."""
        prefix = self.prefix
        return ast.increment_lineno(ast.parse(prefix + self.text), self.line - 1 - prefix.count("\n"))

    def compiled(self, file: str) -> CodeType:
        """The code of the text, made by this Python; `SyntaxError` where it has no such syntax."""
        made: ast.Module | str
        before = self.line - 1 - self.prefix.count("\n")
        if self.instrument is not None:
            made = self.instrument(self.tree())
        else:  # a tree takes twice as long
            made = self.tree() if before < 0 else "\n" * before + self.prefix + self.text
        code: CodeType = compile(made, file, "exec", flags=self.flags, dont_inherit=True)
        return code


class _Unit(NamedTuple):
    first: int
    last: int
    classes: tuple[str, ...]


File = tuple[str, tuple[_Unit, ...], frozenset[str]]
"""The text of a file, the definitions in it, and the names that it imports."""


def _first_line(node: ast.stmt) -> int:
    lines: list[int] = [node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))]
    return min(lines)


def _inner(node: ast.stmt) -> list[ast.stmt]:
    """The statements in a statement."""
    parts = [node, *getattr(node, "handlers", ()), *getattr(node, "cases", ())]
    return [child for part in parts for child in ast.iter_child_nodes(part) if isinstance(child, ast.stmt)]


def _units(body: list[ast.stmt], classes: tuple[str, ...] = ()) -> Iterator[_Unit]:
    """The outermost functions and simple statements, in classes too."""
    for node in body:
        inner = _inner(node)
        if isinstance(node, _DEFINITIONS) or not inner:
            yield _Unit(_first_line(node), int(node.end_lineno or node.lineno), classes)
        else:
            yield from _units(inner, (*classes, node.name) if isinstance(node, ast.ClassDef) else classes)


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    """The names that a module's own code imports."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
        elif not isinstance(node, (*_DEFINITIONS, ast.ClassDef)):
            yield from _imports(_inner(node))


@lru_cache(maxsize=64)
def _file(name: str, module: str, version: tuple[int, int]) -> File:
    """The file of a module; `version` is another one when the file has been written."""
    return file_of(_text_from_loader(name, module) or "".join(_lines(name)))


@lru_cache(maxsize=16)
def _module(name: str, module: str, version: tuple[int, int]) -> Module | None:
    """What is known of a module from the bytecode that Python has cached of it; None where its loader has none."""
    loader = _loader_of(name, module)
    try:
        code = loader.get_code(module)
        text = loader.get_source(module)
    except (AttributeError, ImportError, OSError, SyntaxError, ValueError, EOFError):
        return None
    return Module(text.split("\n"), code, imported_by(code)) if text and code else None


def file_of(text: str) -> File:
    """A text, the definitions in it, and what it imports."""
    body = _parsed(text)
    return (text, tuple(_units(body)), frozenset(_imports(body))) if body else ("", (), frozenset())


def _lines(name: str) -> list[str]:
    linecache.checkcache(name)
    return linecache.getlines(name)


def _version(name: str) -> tuple[int, int]:
    try:
        status = Path(name).stat()
    except (OSError, ValueError):
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _loader_of(name: str, module: str) -> Any:
    """The loader of the module that has this file, if that is there."""
    known = sys.modules.get(module)
    return getattr(known, "__loader__", None) if getattr(known, "__file__", None) == name else None


def _text_from_loader(name: str, module: str) -> str | None:
    """What the module's loader has read, from an archive too."""
    get_source = getattr(_loader_of(name, module), "get_source", None)
    if get_source is None:
        return None
    try:
        return str(get_source(module) or "")
    except (ImportError, OSError, SyntaxError, UnicodeError):
        return None


def _parsed(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _places(code: CodeType, first: int) -> dict[int, Place]:
    """Where the calls and yields of `code` stand; `first` is the line in the file that becomes 0."""
    units, found = code.co_code, {}
    places = list(code.co_positions())
    for offset in range(0, len(units), 2):
        is_wait = units[offset] == _YIELD or stackmap.is_call(code, offset)
        line, last, column, end = places[offset // 2]
        if is_wait and offset == stackmap.instruction_start(code, offset) and line is not None and last is not None:
            found[offset] = (line - first, last - first, column or 0, end or 0)
    return found


def waits_of(code: CodeType, first: int) -> Waits:
    """What this Python has made of `code`; `first` is the line that becomes 0."""
    return Waits(code.co_qualname, code.co_firstlineno - first, slot_names(code), _places(code, first))


def find_in(compiled: CodeType, code_name: str, prints: bytes | tuple[str, ...]) -> CodeType | None:
    """The code of that qualified name and fingerprint in `compiled`."""
    for _, code in tree_of(compiled):
        if code.co_qualname == code_name and fits(code, prints):
            return code
    return None


def _units_of(code: CodeType, module: str) -> Iterator[Source]:
    """The definitions that the code seems to stand in, still without a look at whether they give this code: the whole file is parsed at last."""
    version = _version(code.co_filename)
    known = None if module in SCRIPTS else _module(code.co_filename, module, version)
    if known is not None:
        for lines, first, classes in definitions(known, code):
            yield _source("\n".join(lines) + "\n", classes, known.imports, code.co_flags & _FUTURE, first)
    unit = unit_in(_file(code.co_filename, module, version), code)
    if unit is not None:
        yield unit


def unit_in(file: File, code: CodeType) -> Source | None:
    """The definition in a file that the code seems to stand in, still without a look at whether it gives this code."""
    text, units, imports = file
    flags, line = code.co_flags & _FUTURE, code.co_firstlineno
    if code.co_name == "<module>":
        return Source(text, (), (), flags, 1) if text else None
    for first, last, classes in units:
        if first <= line <= last:
            return _source("\n".join(text.split("\n")[first - 1 : last]) + "\n", classes, imports, flags, first)
    return None


def _source(text: str, classes: tuple[str, ...], imports: frozenset[str], flags: int, first: int) -> Source:
    used = imports.intersection(re.findall(r"\w+", text))
    return Source(text, classes, tuple(sorted(used)), flags, first)


class _Made(NamedTuple):
    """What has been made of a definition: its source, its code as compiled anew, and what goes into snapshots."""

    source: Source
    compiled: CodeType
    data: bytes


_made: dict[Source, _Made | None] = {}
_known: dict[int, tuple[CodeType, _Made | None]] = {}


def _make(source: Source) -> _Made | None:
    if len(source.text) > _MOST_TEXT:
        return None
    try:
        compiled = source.compiled("")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    waits = tuple(waits_of(code, source.line) for _, code in tree_of(compiled))
    source = source._replace(waits=waits)
    return _Made(source, compiled, _encode(source))


def _made_from(unit: Source, code: CodeType) -> _Made | None:
    """What has been made of a definition, if compiling it gives this code."""
    if unit not in _made:
        _made[unit] = _make(unit)
    made = _made[unit]
    return made if made and find_in(made.compiled, code.co_qualname, fingerprint(code)) else None


def _made_of(code: CodeType, module: str) -> _Made | None:
    known = _known.get(id(code))
    if known is not None:
        return known[1]
    made = next((made for unit in _units_of(code, module) if (made := _made_from(unit, code))), None)
    if len(_known) >= 4096:
        _known.clear()
        _made.clear()
    _known[id(code)] = (code, made)  # the code is kept alive: its id cannot come to mean another
    return made


def source_of(code: CodeType, module: str) -> Source | None:
    """The definition that `code`, which stands in that module, was compiled from; None where it is not known for certain."""
    made = _made_of(code, module)
    return made.source if made else None


def encoded_source(code: CodeType, module: str) -> bytes:
    """The same as bytes, which `decode` understands; the same object for all code of one definition. Empty where it is not known."""
    made = _made_of(code, module)
    return made.data if made else b""


@lru_cache(maxsize=1024)
def put_together(parts: tuple[bytes, ...]) -> bytes:
    """Several encoded sources as one, which is much less, as they resemble each other; empty where it would be too long to be read."""
    texts = [_decompressed(part) for part in parts]
    return _compressed(b"[%s]" % b",".join(texts)) if sum(map(len, texts)) < _MOST_TOGETHER else b""


def _compressed(text: bytes) -> bytes:
    packer = zlib.compressobj(9, wbits=-15, zdict=_COMMON)
    return packer.compress(text) + packer.flush()


def _decompressed(data: bytes) -> bytes:
    return zlib.decompressobj(wbits=-15, zdict=_COMMON).decompress(data, _MOST_TOGETHER)


def _encode(source: Source) -> bytes:
    words = {word: at for at, word in enumerate(_words(source.text))}
    waits = [
        [words.get(name, name), first, [words.get(slot, slot) for slot in slots], _columns(places)]
        for name, first, slots, places in source.waits
    ]
    fields = [source.text, source.classes, source.imports, source.flags, source.line, waits]
    return _compressed(json.dumps(fields, separators=(",", ":")).encode())


def decode(data: bytes, part: int = 0) -> Source:
    """What `encoded_source` made, or one of those that were `put_together`; `ValueError` for other bytes."""
    try:
        fields = json.loads(_decompressed(data))
        return _source_from(*(fields[part] if fields and type(fields[0]) is list else fields))
    except (zlib.error, LookupError, TypeError) as error:
        raise ValueError(f"not a definition's source: {error}") from None


def _words(text: str) -> list[str]:
    """The words of a text, each once. What letters there are besides ASCII's is not the same in every version of Python."""
    return list(dict.fromkeys(re.findall(r"\w+", text, re.ASCII)))


def _columns(places: dict[int, Place]) -> list[int]:
    """Places as numbers that compress well: all offsets, each by its distance from the one before and halved; lines likewise; heights; columns; widths."""
    told, last_offset, last_line = [], 0, 0
    for offset, (line, end_line, column, end) in places.items():
        told.append(((offset - last_offset) // 2, line - last_line, end_line - line, column, end - column))
        last_offset, last_line = offset, line
    return [number for numbers in zip(*told, strict=True) for number in numbers]


def _places_in(told: list[Any]) -> dict[int, Place]:
    """What `_columns` has told; before schema 3, rows of an offset and its place."""
    if told and type(told[0]) is list:
        return {at: (line, end_line, column, end) for at, line, end_line, column, end in told}
    size = len(told) // 5
    offsets, lines, heights, columns, widths = (told[at * size : (at + 1) * size] for at in range(5))
    rows = zip(accumulate(offsets), accumulate(lines), heights, columns, widths, strict=True)
    return {2 * at: (line, line + height, column, column + width) for at, line, height, column, width in rows}


def _source_from(text: str, classes: list[str], imports: list[str], flags: int, line: int, waits: list[Any]) -> Source:
    words = _words(text)

    def name_of(word: Any) -> str:
        return words[word] if type(word) is int else str(word)

    told = tuple(
        Waits(name_of(name), int(first), tuple(map(name_of, slots)), _places_in(places))
        for name, first, slots, places in waits
    )
    return Source(str(text), tuple(map(str, classes)), tuple(map(str, imports)), int(flags) & _FUTURE, int(line), told)


# What most definitions have in common, so that it need not travel. Part of the format: it stays as it is.
_COMMON = (
    rb"import from lambda yield await async with open(global nonlocal assert continue break pass del except Exception as error:\n finally:"
    rb" elif else:\n try:\n raise ValueError(f\None True False isinstance(, not in range(len(self, is not None:\n while True:\n for in "
    rb"enumerate(.append(self.print(\n    return \n        return \n            suspend(checkpoint()\n    if \n        if "
    rb'["def (self, ):\n    \"\"\"\n    \n        \n            ",[],0,[["<module>",[[["<lambda>",["<genexpr>",[[.<locals>.'
)
