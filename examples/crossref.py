"""A cross-reference of the standard library of the Python that runs this: an ordinary script.

    python examples/crossref.py [MODULES]                      the plain way
    stackful run --every 0.5 examples/crossref.py [MODULES]    the same, and it survives kill -9

Parses every module, notes which names are defined, called and used where and which modules import which, and prints
the figures. Nothing in it knows of Stackful, but for the option --ask: it calls stackful.checkpoint() after each module.
"""

import argparse
import ast
import hashlib
import os
import sys
from collections import Counter
from pathlib import Path

TESTS = {"test", "tests", "idle_test"}


class Bar:
    """A progress bar on stderr, for a terminal only."""

    def __init__(self, total, width=40):
        self.total = total
        self.width = width

    def show(self, done, label=""):
        if sys.stderr.isatty():
            filled = self.width * done // max(self.total, 1)
            bar = "█" * filled + "░" * (self.width - filled)
            sys.stderr.write(f"\r  {bar} {done:4}/{self.total} {label[:24]:24}")
            sys.stderr.flush()

    def end(self):
        self.show(self.total)
        if sys.stderr.isatty():
            sys.stderr.write("\n")


class CrossReference:
    """Who defines, calls, uses and imports what, over all modules read so far."""

    def __init__(self):
        self.defined = {}  # name -> ["module:line", ...]
        self.used = {}  # name -> {module, ...}
        self.calls = Counter()  # name -> how often it is called
        self.imports = {}  # module -> {module, ...}
        self.lines = 0
        self.nodes = 0
        self.deepest = (0, "")
        self.package = ""
        self.unreadable = []

    def read(self, module, path):
        """Parse one module and walk through its tree."""
        source = path.read_bytes()
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            self.unreadable.append(module)
            return
        self.lines += source.count(b"\n")
        self.imports[module] = set()
        self.package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self.visit(tree, module, 1)

    def visit(self, node, module, depth):
        """Note what a node says, then visit those below it: recursion, as deep as the source is nested."""
        self.nodes += 1
        self.note(node, module)
        if depth > self.deepest[0]:
            self.deepest = (depth, module)
        for child in ast.iter_child_nodes(node):
            self.visit(child, module, depth + 1)

    def note(self, node, module):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            self.defined.setdefault(node.name, []).append(f"{module}:{node.lineno}")
        elif isinstance(node, ast.Name):
            self.used.setdefault(node.id, set()).add(module)
        elif isinstance(node, ast.Call):
            self.calls[name_of(node.func)] += 1
        elif isinstance(node, ast.Import):
            self.imports[module].update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            self.imports[module].add(imported_module(node, self.package))


def name_of(function):
    """The name by which a call calls: open in open(), read in file.read()."""
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute):
        return function.attr
    return "(an expression)"


def imported_module(node, package):
    """The full name of the module that a `from ... import` names, dots resolved."""
    if not node.level:
        return node.module
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def standard_library():
    """Name and path of every module that is written in Python, tests left out, in a fixed order."""
    root = Path(os.__file__).parent
    found = []
    for name in sorted(sys.stdlib_module_names):
        paths = [root / f"{name}.py"] if (root / f"{name}.py").exists() else sorted((root / name).rglob("*.py"))
        for path in paths:
            parts = path.relative_to(root).with_suffix("").parts
            if not TESTS & set(parts):
                found.append((".".join(part for part in parts if part != "__init__"), path))
    return found


def print_table(title, rows):
    print(f"\n{title}")
    for name, number in rows:
        print(f"  {name:30} {number:9,}")


def most(counts, number=8):
    """The largest counts; equal ones in the order of their names."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:number]


def report(modules, reference):
    importers = Counter(name for names in reference.imports.values() for name in names)
    places = {name: len(where) for name, where in reference.defined.items()}
    spread = {name: len(modules) for name, modules in reference.used.items()}
    depth, deepest = reference.deepest
    print(f"Standard library of Python {sys.version_info.major}.{sys.version_info.minor}")
    rows = [
        ("modules", len(modules)),
        ("of which do not parse", len(reference.unreadable)),
        ("lines", reference.lines),
        ("syntax nodes", reference.nodes),
        ("functions and classes", sum(places.values())),
        ("different names of these", len(places)),
        ("names used", len(spread)),
        ("calls", sum(reference.calls.values())),
        ("imports between modules", sum(importers.values())),
        (f"deepest nesting ({deepest})", depth),
    ]
    print_table("In all", rows)
    print_table("Imported by most modules", most(importers))
    print_table("Called most often", most(reference.calls))
    print_table("Defined most often", most(places))
    print_table("Used in most modules", most(spread))
    print(f"\nDigest of the whole cross-reference: {digest(reference)}")


def digest(reference):
    """All that was found, as one number: two runs that agree in it agree in every entry."""
    used = sorted((name, sorted(modules)) for name, modules in reference.used.items())
    imports = sorted((name, sorted(modules)) for name, modules in reference.imports.items())
    everything = (sorted(reference.defined.items()), used, sorted(reference.calls.items()), imports)
    return hashlib.sha256(repr(everything).encode()).hexdigest()[:16]


def main():
    parser = argparse.ArgumentParser(description="Cross-reference the standard library.")
    parser.add_argument("modules", nargs="?", type=int, help="how many modules to read; by default all")
    parser.add_argument("--ask", action="store_true", help="call stackful.checkpoint() after each module")
    options = parser.parse_args()

    modules = standard_library()[: options.modules]
    reference = CrossReference()
    bar = Bar(len(modules))
    for done, (module, path) in enumerate(modules):
        bar.show(done, module)
        reference.read(module, path)
        if options.ask:
            from stackful import checkpoint  # without --ask, Stackful need not be installed

            checkpoint()
    bar.end()
    report(modules, reference)


if __name__ == "__main__":
    main()
