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

__all__ = ["Edition", "classes_changed", "defined_as", "names_missing"]


_file = lru_cache(maxsize=4)(file_of)


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
    sources = (unit_in(_file(edition.text), code) or whole, whole)
    instrumented = (source._replace(instrument=edition.instrument) for source in sources)
    return next((source for source in instrumented if _gives(source, code)), None)


def _gives(source: Source, code: CodeType) -> bool:
    try:
        return find_in(source.compiled(""), code.co_qualname, fingerprint(code)) is not None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def defined_as(source: Source, code: CodeType) -> list[str]:
    r"""The decorators and defaults of the ``def`` that `code` is of: they were made into the function when that statement ran.

    >>> text = "@cached\ndef f(a, b=1): pass\n"
    >>> (code,) = (constant for constant in compile(text, "", "exec").co_consts if hasattr(constant, "co_code"))
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


def classes_changed(before: str, now: str) -> list[str]:
    r"""The classes of a script, outside of functions, that the new text would make otherwise; what its methods do may be another.

    >>> before = "class A:\n    x = 1\n    def f(self): return 1"
    >>> classes_changed(before, before.replace("return 1", "return 2")), classes_changed(before, before.replace("x = 1", "x = 2"))
    ([], ['A'])
    """
    old, new = _classes(before), _classes(now)
    return [name for name, made in old.items() if new.get(name, made) != made]


def _classes(text: str) -> dict[str, list[str]]:
    """By name how each class of a module is made, with the bodies of its methods left out."""
    outline = _Outline()
    outline.visit(ast.parse(text))
    return outline.classes


class _Outline(ast.NodeTransformer):
    def __init__(self) -> None:
        self.classes: dict[str, list[str]] = {}

    def _without_body(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        node.body, node.returns = [], None
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = _without_body  # noqa: N815 - so called by ast

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        self.classes.setdefault(node.name, []).append(ast.dump(node))
        return node


def names_missing(code: CodeType, names: Collection[str], offset: int) -> list[str]:
    r"""The globals that a script's code reads, but which neither it nor Python has got, and which it does not make behind `offset`.

    >>> names_missing(compile("print(a, b)\nb = c = 1", "s.py", "exec"), {"a"}, 0)
    []
    >>> names_missing(compile("print(a, b)", "s.py", "exec"), {"a"}, 0)
    ['b']
    """
    known = {*names, *names_bound_behind(code, offset)}
    return sorted(name for name in names_read(code) - known if not hasattr(builtins, name))
