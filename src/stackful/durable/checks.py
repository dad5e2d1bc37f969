"""Put checks into a script's syntax tree, wherever the program may stay for long.

A check stands only where it can lead to a checkpoint. Generators, coroutines and class bodies are driven by C code, which
nothing can be suspended across, so their own loops have none; functions defined inside them do. A function
that calls nothing ends by itself, and whoever called it has a check.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any, TypeVar

__all__ = ["parse_with_checks", "with_checks"]

_Loop = TypeVar("_Loop", ast.For, ast.While)
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def parse_with_checks(source: bytes, filename: str, due: str, check: str) -> ast.Module:
    """The tree of a script, with checks in it.

    Args:
        source: the file's bytes.
        filename: what tracebacks call the file.
        due: the global that is None as long as no checkpoint is due.
        check: the global to be called when one is.

    Returns:
        A tree whose compiled code has the positions of the original's.

    Raises:
        SyntaxError: as under plain ``python``.

    Example:
        >>> print(ast.unparse(parse_with_checks(b"while 1: pass", "x", "d", "c")))
        global d, c
        while 1:
            if d is not None:
                c()
            pass
    """
    return with_checks(ast.parse(source, filename), due, check)


def with_checks(tree: ast.Module, due: str, check: str) -> ast.Module:
    """The tree itself, with checks in it; ``due`` and ``check`` as for :func:`parse_with_checks`.

    Example:
        >>> print(ast.unparse(with_checks(ast.parse("x = 1"), "d", "c")))
        global d, c
        x = 1
    """
    _Checks(due, check).visit(tree)
    # Without this line the module's own loops would look the names up with LOAD_NAME, at three times the cost.
    if tree.body:
        declaration = ast.copy_location(ast.Global([due, check]), tree.body[0])
        tree.body.insert(_after_prologue(tree.body), declaration)
    return tree


def _after_prologue(body: list[ast.stmt]) -> int:
    """The place behind a docstring and the imports from ``__future__``, which must come first."""
    index = 1 if _has_docstring(body) else 0
    while index < len(body) and _is_future(body[index]):
        index += 1
    return index


def _has_docstring(body: list[ast.stmt]) -> bool:
    return (
        bool(body)
        and isinstance(body[0], ast.Expr)
        and isinstance(body[0].value, ast.Constant)
        and isinstance(body[0].value.value, str)
    )


def _is_declaration(node: ast.stmt) -> bool:
    """Whether a statement only tells the compiler something."""
    return isinstance(node, ast.Global | ast.Nonlocal) or (isinstance(node, ast.AnnAssign) and node.value is None)


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


class _Checks(ast.NodeTransformer):
    """Inserts the checks; ``_suspendable`` says whether the scope at hand can be suspended at all."""

    def __init__(self, due: str, check: str) -> None:
        self._due = due
        self._check = check
        self._suspendable = True

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Walk statements only: no expression holds one."""
        return node if isinstance(node, ast.expr) else super().generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        suspendable = not _is_generator(node)
        calls = any(isinstance(inner, ast.Call) for statement in node.body for inner in ast.walk(statement))
        self._visit_scope(node, suspendable)
        if suspendable and calls:
            self._insert_check(node.body, 1 if _has_docstring(node.body) else 0)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return self._visit_scope(node, suspendable=False)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._visit_scope(node, suspendable=False)

    def visit_For(self, node: ast.For) -> ast.AST:
        return self._visit_loop(node)

    def visit_While(self, node: ast.While) -> ast.AST:
        return self._visit_loop(node)

    def _visit_loop(self, node: _Loop) -> _Loop:
        self.generic_visit(node)
        if self._suspendable:
            self._insert_check(node.body, 0)
        return node

    def _visit_scope(self, node: ast.AST, suspendable: bool) -> ast.AST:
        outer, self._suspendable = self._suspendable, suspendable
        self.generic_visit(node)
        self._suspendable = outer
        return node

    def _insert_check(self, body: list[ast.stmt], index: int) -> None:
        """Put a check before the first statement from ``index`` on that makes code; declarations make none."""
        while index + 1 < len(body) and _is_declaration(body[index]):
            index += 1
        due = ast.Compare(ast.Name(self._due, ast.Load()), [ast.IsNot()], [ast.Constant(None)])
        call = ast.Call(ast.Name(self._check, ast.Load()), [], [])
        check = ast.If(due, [ast.Expr(call)], [])
        for node in ast.walk(check):
            if isinstance(node, ast.expr | ast.stmt):
                vars(node).update(_place(body[index]))
        body.insert(index, check)


def _place(statement: ast.stmt) -> dict[str, Any]:
    """Where a check before a statement stands: at its very place, so that no reader of positions will notice."""
    place = {key: getattr(statement, key) for key in ("lineno", "col_offset", "end_lineno", "end_col_offset")}
    decorators = getattr(statement, "decorator_list", [])
    if decorators:  # such a statement starts at its first decorator
        place["lineno"], place["col_offset"] = decorators[0].lineno, decorators[0].col_offset
    return place


def _is_generator(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for statement in function.body for node in _own(statement))


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """A node and those below it that run in the same scope."""
    yield node
    for name, field in ast.iter_fields(node):
        if name == "body" and isinstance(node, _SCOPES):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST):
                yield from _own(child)
