"""The house's rules, each a small test: floors, names, exported symbols, sizes, docstrings."""

import ast
import dis
import importlib
import inspect
import os
import re
import shutil
import subprocess
import sys
import types
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "stackful"
CSRC = ROOT / "csrc"

# The floors of ARCHITECTURE.md, those to come included: imports point to lower floors only.
FLOORS = {
    "errors": 0, "_core": 0, "stackmap": 0,
    "keyfiles": 0.5,
    "executors": 0,
    "interpreter": 0.5,  # asks the core whether it fits
    "fibers": 1,
    "continuations": 2,
    "generators": 3, "coroutines": 3, "effects": 3, "search": 3, "tail": 3,
    "snapshot": 4,
    "tasks": 5, "aio": 5, "compat": 5,
    "durable": 6,
    "__init__": 6.5,  # the public face gathers what is below; commands use it as any program does
    "viewer": 6.8,  # `stackful serve` starts it
    "cli": 7,
    "__main__": 8,
}  # fmt: skip

# Everybody raises the errors, their neighbours on floor 0 too.
OPEN_TO_NEIGHBOURS = {"errors"}

# Where a function may import from the package, and why.
LAZY_IMPORTS = {
    "cli": "a command loads what it needs, so that `stackful --help` answers at once",
    "durable": "sqlite3, rich and cloudpickle are loaded by the run that uses them",
    "interpreter": "whether the core can be imported at all is the question",
    "__init__": "checkpoint() finds floor 6 when it is first called; `import stackful` must not load it",
}

# Loaded by nobody who only says `import stackful`.
HEAVY = {
    "sqlite3", "asyncio", "http", "rich", "click", "cloudpickle", "pickle", "typing", "pathlib", "re", "stackful.cli",
}  # fmt: skip

MAX_LINES = {"C file": 600, "C function": 60, "Python file": 800, "Python function": 60}

PYTHON_FILES = sorted(PACKAGE.rglob("*.py"))
C_FILES = sorted([*CSRC.rglob("*.c"), *CSRC.rglob("*.h")])
TEST_FILES = sorted((ROOT / "tests").rglob("test_*.py"))


def each(files):
    """Parametrise a test with files, named by their path in the project."""
    return pytest.mark.parametrize("file", files, ids=[str(f.relative_to(ROOT)) for f in files])


@cache
def tree(file):
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def unit(file):
    """The entry of FLOORS that a file of the package belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_units(node, file):
    """The entries of FLOORS that an import statement reaches; none for other packages."""
    if isinstance(node, ast.Import):
        paths = [alias.name.split(".") for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        home = ["stackful", *file.relative_to(PACKAGE).parts[:-1]]
        start = home[: len(home) - node.level + 1] if node.level else []
        start += node.module.split(".") if node.module else []
        paths = [[*start, alias.name] for alias in node.names]
    else:
        return set()
    inside = [path[1:] for path in paths if path[0] == "stackful"]
    return {path[0] if path and path[0] in FLOORS else "__init__" for path in inside}


def functions_of(node):
    return [n for n in ast.walk(node) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


# --- rule 1: floors ---------------------------------------------------------------------------------------------------


@each(PYTHON_FILES)
def test_imports_point_to_lower_floors_only(file):
    """A module imports its own parts and lower floors; neighbours on a floor do not know each other."""
    here = unit(file)
    assert here in FLOORS, f"{here} has no floor: give it one in FLOORS and in ARCHITECTURE.md"
    for node in ast.walk(tree(file)):
        for there in imported_units(node, file) - {here}:
            down = FLOORS[there] < FLOORS[here] or there in OPEN_TO_NEIGHBOURS
            assert down, (
                f"{file.name}:{node.lineno}: {here} (floor {FLOORS[here]}) imports {there} (floor {FLOORS[there]})"
            )


@each(PYTHON_FILES)
def test_own_modules_are_imported_at_the_top(file):
    """An import inside a function hides an edge between floors; only LAZY_IMPORTS may, for the reason given there."""
    if unit(file) in LAZY_IMPORTS:
        return
    for function in functions_of(tree(file)):
        for node in ast.walk(function):
            assert not imported_units(node, file), f"{file.name}:{node.lineno}: move this import to the top"


# --- rule 2: versions of CPython --------------------------------------------------------------------------------------


@each([f for f in C_FILES if CSRC / "cpython" not in f.parents])
def test_cpython_versions_are_known_to_one_folder(file):
    """Code outside csrc/cpython/ asks by meaning and never names a version or an internal header."""
    for number, line in enumerate(file.read_text().splitlines(), 1):
        assert not re.search(r"PY_VERSION_HEX|pycore_", line), f"{file.name}:{number}: {line.strip()}"


# --- rule 3: symbols --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("nm") is None, reason="nm is not installed")
def test_the_extension_exports_its_init_function_only():
    """A second exported symbol could clash with another extension's."""
    core = importlib.import_module("stackful._core")
    listing = subprocess.run(
        ["nm", "-D", "--defined-only", core.__file__], capture_output=True, text=True, check=True
    ).stdout
    symbols = {line.split()[-1] for line in listing.splitlines()}
    assert symbols - {"_init", "_fini", "__bss_start", "_edata", "_end"} == {"PyInit__core"}


# --- rule 4: public names ---------------------------------------------------------------------------------------------


def statements(body):
    """Those of a module, with those that run unless a type checker reads it."""
    for node in body:
        yield node
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from node.orelse


def public_names(file):
    """(what a module defines, what it could pass on from the package, at once or when asked for by PEP 562)."""
    names, passed_on = set(), set()
    for node in statements(tree(file).body):
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            passed_on |= {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
        elif imported_units(node, file):
            passed_on |= {alias.asname or alias.name for alias in node.names}
            if file == PACKAGE / "__init__.py":  # the public face: what it gathers, it offers
                names |= {alias.asname or alias.name for alias in node.names}
    names.discard("TYPE_CHECKING")  # as typing.TYPE_CHECKING, which type checkers know by its name
    return {name for name in names if not name.startswith("_")}, passed_on


def declared_names(file):
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def reading_order(name):
    """CONSTANTS, then Classes, then functions, each by name."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@each([f for f in PYTHON_FILES if f.name == "__init__.py" or declared_names(f) is not None])
def test_all_lists_the_public_names_in_order(file):
    """`__all__` is sorted and true; on a floor's own module or package nothing public is missing from it."""
    declared = declared_names(file) or []
    assert declared == sorted(declared, key=reading_order)
    names, passed_on = public_names(file)
    assert set(declared) <= names | passed_on
    if file.name == "__init__.py" or file.parent == PACKAGE:
        assert names <= set(declared)


def test_names_that_are_loaded_late_are_listed_from_the_start():
    """`dir` shows a newcomer, and the interactive interpreter's completion, all that there is."""
    program = "import stackful; print(set(stackful.__all__) - set(dir(stackful)), 'stackful.effects' in __import__('sys').modules)"
    built = Path(importlib.import_module("stackful").__file__).parents[
        1
    ]  # with the extension: not always the source tree
    environment = {**os.environ, "PYTHONPATH": str(built)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set() False"


def test_public_names_say_where_they_live():
    """`__module__` of each public name is a public module in which the name is found again."""
    stackful = importlib.import_module("stackful")
    for name in stackful.__all__:
        value = getattr(stackful, name)
        if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
            home = value.__module__
            assert not any(part.startswith("_") for part in home.split(".")), f"{name} says it lives in {home}"
            assert getattr(importlib.import_module(home), value.__name__) is value, f"{name} is not found in {home}"


def test_public_names_have_docstrings():
    """help() answers for every public name."""
    stackful = importlib.import_module("stackful")
    assert [name for name in stackful.__all__ if not inspect.getdoc(getattr(stackful, name))] == []


# --- rule 5: what an import loads -------------------------------------------------------------------------------------


def test_importing_the_package_loads_nothing_heavy():
    """`import stackful` starts and patches nothing, and leaves stores, loops and terminals alone."""
    program = "import sys; before = set(sys.modules); import stackful; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "stackful" in loaded.split()
    assert HEAVY & set(loaded.split()) == set()


# --- rule 6: what is taken is given back ------------------------------------------------------------------------------

# Between the first call and the second, no way out of the function: the thread would keep a fiber's data stack, or the
# recursion count would drift. The first of them may fail, and then needs no undoing.
PAIRS = {
    "Py_EnterRecursiveCall": "Py_LeaveRecursiveCall",
    "enter": "come_out",
    "PyGILState_Ensure": "PyGILState_Release",
}
MAY_FAIL = {"Py_EnterRecursiveCall"}

# A signature that starts in column 0, and a body up to the brace in column 0 (or a body on the same line).
C_FUNCTION = re.compile(
    r"^[A-Za-z_][^;{}#=]*?\b(?P<name>\w+)\s*\([^;{}]*\)\s*(?:\{[^\n]*\}$|\{.*?^\})", re.MULTILINE | re.DOTALL
)


def c_functions(file):
    """(name, first line, text) of each function in a C file."""
    source = file.read_text()
    return [(m["name"], source.count("\n", 0, m.start()) + 1, m[0]) for m in C_FUNCTION.finditer(source)]


@each(C_FILES)
def test_paired_calls_are_undone_on_every_path(file):
    """No function returns between an operation and its undoing."""
    for name, line, text in c_functions(file):
        for opening, closing in PAIRS.items():
            for between in re.findall(rf"\b{opening}\((.*?)(?:\b{closing}\(|\Z)", text.partition("{")[2], re.DOTALL):
                ways_out = between.count("return") - (opening in MAY_FAIL)
                assert ways_out <= 0, f"{file.name}:{line}: {name} returns between {opening} and {closing}"


# --- rule 8: tests say what they state --------------------------------------------------------------------------------


@each(TEST_FILES)
def test_every_test_has_a_docstring(file):
    """A test's docstring is the sentence that it proves."""
    tests = [f for f in functions_of(tree(file)) if f.name.startswith("test")]
    assert [f.name for f in tests if not ast.get_docstring(f)] == []


# --- sizes ------------------------------------------------------------------------------------------------------------


@each(C_FILES + PYTHON_FILES)
def test_files_stay_short(file):
    """A file that outgrows the limit holds two subjects."""
    kind = "Python file" if file.suffix == ".py" else "C file"
    assert len(file.read_text(encoding="utf-8").splitlines()) <= MAX_LINES[kind]


@each(C_FILES)
def test_c_functions_stay_short(file):
    """No function of the core is longer than one screen."""
    long = [
        f"{name} (line {line})"
        for name, line, text in c_functions(file)
        if text.count("\n") + 1 > MAX_LINES["C function"]
    ]
    assert long == []


@each(PYTHON_FILES)
def test_python_functions_stay_short(file):
    """A function over the limit has a comment `# long: why` on its `def` line."""
    lines = file.read_text(encoding="utf-8").splitlines()
    for function in functions_of(tree(file)):
        length = function.end_lineno - function.lineno + 1
        excused = "# long:" in lines[function.lineno - 1]
        assert length <= MAX_LINES["Python function"] or excused, f"{function.name}: {length} lines"


@each([f for f in PYTHON_FILES if FLOORS[unit(f)] <= 4])
def test_no_handler_is_far_from_its_functions_beginning(file):
    """Where all memory is gone, CPython never ends: it has no number above 256 for where the error was, and looks for a handler again.

    v3.11.2 and v3.13.0 Python/ceval.c, _PyEval_EvalFrameDefault, exception_unwind: PyLong_FromLong(frame_lasti).
    """
    far = [
        code.co_qualname
        for code in codes_of(compile(file.read_text(encoding="utf-8"), str(file), "exec"))
        if not code.co_flags & inspect.CO_GENERATOR  # 3.12 puts a handler around the whole of it
        and any(entry.lasti and entry.end // 2 > 256 for entry in dis._parse_exception_table(code))
    ]
    assert far == []


def codes_of(code):
    """It, and those within it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from codes_of(inner)
