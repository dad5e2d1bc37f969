"""Where the definition of a function stands in its file, as the compiled module tells it: nobody parses the whole file for one function.

The bytecode that Python has cached says at which line a definition begins, which classes are around it, and what the module imports. Where it ends
the indentation says. That is a guess as long as nobody has compiled the text and compared.
"""

from __future__ import annotations

import opcode
import re
from collections.abc import Iterator
from itertools import islice
from types import CodeType
from typing import NamedTuple

__all__ = ["Definition", "Module", "definitions", "imported_by"]

_IMPORTS = frozenset({opcode.opmap["IMPORT_NAME"], opcode.opmap["IMPORT_FROM"]})
_STORES = frozenset({opcode.opmap["STORE_NAME"], opcode.opmap["STORE_GLOBAL"]})
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
# What may stand between the import of a module of a package and the name that it gets.
_BETWEEN = frozenset({opcode.opmap["SWAP"], opcode.opmap["POP_TOP"], opcode.opmap["CACHE"], _EXTENDED_ARG})
_IS_FUNCTION = 0x02  # CO_NEWLOCALS: not of a class or module
_HEAD = re.compile(r"([ \t]*)(?:@|def\b|async\b)")
_MOST_GUESSES = 8


class Module(NamedTuple):
    """What is known of a module without parsing it: the lines of its file, its code, and the names that it imports."""

    lines: list[str]
    code: CodeType
    imports: frozenset[str]


class Definition(NamedTuple):
    """Its lines, from `first` on, which counts from 1, and the classes around it."""

    lines: list[str]
    first: int
    classes: tuple[str, ...]


def imported_by(code: CodeType) -> frozenset[str]:
    r"""The names that a module's own code imports.

    >>> sorted(imported_by(compile("import a.b, c.d as e\nfrom f import g as h, i\nj = 1", "", "exec")))
    ['a', 'e', 'h', 'i']
    """
    units, found = code.co_code, set()
    is_import, extended = False, 0
    for at in range(0, len(units), 2):
        op, argument = units[at], units[at + 1] | extended
        extended = argument << 8 if op == _EXTENDED_ARG else 0
        if op in _STORES and is_import:
            found.add(code.co_names[argument])
        is_import = op in _IMPORTS or (is_import and op in _BETWEEN)
    return frozenset(found)


def definitions(module: Module, code: CodeType) -> Iterator[Definition]:
    """What may be the outermost function that `code` stands in: where its lines end is tried at each line that may be the first one behind it."""
    way = _way_to(module.code, code)
    at = next((at for at, found in enumerate(way) if found.co_flags & _IS_FUNCTION), None)
    if at is None:
        return
    function, lines = way[at], module.lines
    first = function.co_firstlineno
    head = _HEAD.match(lines[first - 1]) if first <= len(lines) else None
    # Unlike a lambda, the type parameters of a class, and what 3.14 computes annotations with: that begins behind the decorators.
    has_its_lines = not function.co_name.startswith("<") and function.co_name != "__annotate__"
    if head is None or not has_its_lines:
        return
    classes = tuple(found.co_name for found in way[:at])
    for end in islice(_ends(lines, len(head[1]), _last_line(function)), _MOST_GUESSES):
        yield Definition(lines[first - 1 : end], first, classes)


def _way_to(module: CodeType, code: CodeType) -> list[CodeType]:
    """From the module's own code, which is left out, to this: each stands in the one before it. Empty if it is not there."""
    name = code.co_qualname
    for found in module.co_consts:
        if isinstance(found, CodeType) and name.startswith(found.co_qualname):
            if found == code:
                return [found]
            way = _way_to(found, code)
            if way:
                return [found, *way]
    return []


def _last_line(code: CodeType) -> int:
    """The last line that any code of a function stands at: it ends there or behind it."""
    last = max((line for _, _, line in code.co_lines() if line), default=code.co_firstlineno)
    return max(last, *(_last_line(found) for found in code.co_consts if isinstance(found, CodeType)), 0)


def _ends(lines: list[str], depth: int, last: int) -> Iterator[int]:
    """After which lines a block may end whose first line is indented by `depth`: what comes then is not indented any more than that."""
    end = last
    for at in range(last, len(lines)):
        text = lines[at].strip()
        if not text or text[0] == "#":
            continue
        if len(lines[at]) - len(lines[at].lstrip()) <= depth:
            yield end
        end = at + 1
    yield end
