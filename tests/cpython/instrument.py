"""Compiles a module of CPython's tests with a call of `point` before each statement of each function."""

import ast
import builtins
import sys
from importlib.machinery import PathFinder, SourceFileLoader

POINT = "__point__"
BLOCKS = ("body", "orelse", "finalbody")


def _call(statement):
    """A call of `point` that stands where the statement stands, so that line numbers stay."""
    call = ast.Expr(ast.Call(ast.Name(POINT, ast.Load()), [], []))
    return ast.fix_missing_locations(ast.copy_location(call, statement))


def _is_docstring(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _add_points(node, inside):
    """Add points to the blocks of `node` and of all below it, where they belong to a function."""
    for child in ast.iter_child_nodes(node):
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        _add_points(child, function or (inside and not isinstance(child, ast.ClassDef)))
    for name in BLOCKS:
        block = getattr(node, name, None)
        if inside and isinstance(block, list):
            docstring = block[:1] if block and _is_docstring(block[0]) else []
            points = [new for old in block[len(docstring) :] for new in (_call(old), old)]
            setattr(node, name, docstring + points)


def compiled(source, path):
    """The module's code, with points in its functions."""
    tree = ast.parse(source, path)
    _add_points(tree, False)
    return compile(tree, path, "exec", dont_inherit=True)


def compiled_example(source, path, mode, flags=0, dont_inherit=True):
    """The code of an example in a doctest, with points in all of it."""
    tree = compile(source, path, mode, flags | ast.PyCF_ONLY_AST, dont_inherit)
    _add_points(tree, True)
    return compile(tree, path, mode, flags, dont_inherit)


class _Loader(SourceFileLoader):
    """Compiles from source, whatever has been compiled before."""

    def get_code(self, fullname):
        return compiled(self.get_data(self.path), self.path)


class _Finder:
    """Gives one module to `_Loader`."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if isinstance(getattr(spec, "loader", None), SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def install(name, point):
    """From now on the module of this name calls `point` everywhere when it is imported."""
    setattr(builtins, POINT, point)
    sys.meta_path.insert(0, _Finder(name))
