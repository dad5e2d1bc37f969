"""The text of a script as it was and as it is, and what of a run of the one could not go on in the other."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable, Collection
from functools import lru_cache
from types import CodeType
from typing import NamedTuple

from stackful.snapshot.fingerprints import fingerprint, names_bound_behind, names_read
from stackful.snapshot.sources import Source, file_of, find_in, unit_in

__all__ = ["Edition", "defined_as", "names_missing"]


class Edition(NamedTuple):
    """The whole text of a script, its code, and what is done to its tree before it is compiled."""

    text: str
    code: CodeType
    instrument: Callable[[ast.Module], ast.Module] | None = None

    def source_of(self, code: CodeType) -> Source | None:
        """The definition that `code` was compiled from, or else the whole text; None where neither gives that very code."""
        return _source_of(self, code)


@lru_cache(maxsize=128)
def _source_of(edition: Edition, code: CodeType) -> Source | None:
    whole = Source(edition.text, (), (), 0, 1)
    sources = (unit_in(file_of(edition.text), code) or whole, whole)
    instrumented = (source._replace(instrument=edition.instrument) for source in sources)
    return next((source for source in instrumented if _gives(source, code)), None)


def _gives(source: Source, code: CodeType) -> bool:
    try:
        return find_in(source.compiled(""), code.co_qualname, fingerprint(code)) is not None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def defined_as(source: Source, code: CodeType) -> list[str]:
    r"""The decorators and defaults of the ``def`` that `code` is of: they were made into the function when that statement ran.

    >>> text = "@cached\\ndef f(a, b=1): pass\\n"
    >>> code = compile(text, "", "exec").co_consts[0]
    >>> defined_as(Source(text, (), (), 0, 1), code)
    ["Name(id='cached', ctx=Load())", 'Constant(value=1)']
    """
    for node in ast.walk(source.tree()):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == code.co_name:
            lines = [node.lineno, *(decorator.lineno for decorator in node.decorator_list)]
            if min(lines) == code.co_firstlineno:
                values = [*node.decorator_list, *node.args.defaults, *node.args.kw_defaults]
                return ["" if value is None else ast.dump(value) for value in values]
    return []


def names_missing(code: CodeType, names: Collection[str], offset: int) -> list[str]:
    r"""The globals that a script's code reads, but which neither it nor Python has got, and which it does not make behind `offset`.

    >>> names_missing(compile("print(a, b)\\nb = c = 1", "s.py", "exec"), {"a"}, 0)
    []
    >>> names_missing(compile("print(a, b)", "s.py", "exec"), {"a"}, 0)
    ['b']
    """
    known = {*names, *names_bound_behind(code, offset)}
    return sorted(name for name in names_read(code) - known if not hasattr(builtins, name))
