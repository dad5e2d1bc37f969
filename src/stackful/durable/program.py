"""A script as ``python`` would run it: its code, its ``__main__`` module, its fiber."""

from __future__ import annotations

import builtins
import os
import sys
import types
from importlib.machinery import SourceFileLoader

from stackful.durable.checkpoints import check
from stackful.durable.instrument import CHECK, DUE, compile_script
from stackful.errors import StackfulError
from stackful.fibers import Fiber

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["Script", "ScriptError", "absolute_path", "read_script"]


class ScriptError(StackfulError):
    """The script of a run cannot be read."""


def absolute_path(script: str) -> str:
    """The name that ``python`` gives a script in tracebacks and ``__file__``: absolute, but not tidied up.

    Example:
        >>> absolute_path("/a/../b.py")
        '/a/../b.py'
    """
    return script if script.startswith("/") else f"{os.getcwd()}/{script}"


def read_script(filename: str) -> bytes:
    """The bytes of a script.

    Raises:
        ScriptError: there is no such file, or it cannot be read.
    """
    try:
        with open(filename, "rb") as file:
            return file.read()
    except OSError as error:
        raise ScriptError(f"the script {filename} cannot be read: {error.strerror}; check the path") from error


class Script:
    """A script, compiled, with a ``__main__`` module of its own.

    Args:
        filename: the absolute path.
        source: the bytes of the file.
        argv: ``sys.argv``, the script's name first.
        every: whether the code must notice that a checkpoint is due.
        on_change: what loading does where code has changed: see `snapshot.loads`.
        before: the text that the run's checkpoints belong to, where it is another one; None where not.

    Raises:
        SyntaxError: as under plain ``python``.

    Example:
        >>> script = Script("/tmp/one.py", b"x = 1", ("one.py",), every=False)
        >>> script.fiber().resume()
        >>> script.globals()["x"]
        1
    """

    def __init__(
        self,
        filename: str,
        source: bytes,
        argv: tuple[str, ...],
        every: bool,
        on_change: str = "refuse",
        before: bytes | None = None,
    ) -> None:
        self.on_change = on_change
        self.before = before
        self.every = every
        self.filename = filename
        self.source = source
        self.argv = argv
        self.code = compile_script(source, filename, every)
        self.module = _main_module(filename)
        if every:
            vars(self.module).update({DUE: None, CHECK: check})
        # __annotations__ is filled in place: that it is the same object does not say that it is the same.
        self._given = {name: value for name, value in vars(self.module).items() if name != "__annotations__"}

    def install(self) -> None:
        """Make this the process's program: ``__main__``, ``sys.argv`` and the script's folder on ``sys.path``."""
        sys.modules["__main__"] = self.module
        if self.on_change == "keep":
            self._remember_text()
        sys.argv = list(self.argv)
        if not sys.flags.safe_path:
            sys.path[0] = os.path.dirname(os.path.realpath(self.filename))  # as python does

    def _remember_text(self) -> None:
        """Tracebacks show the lines that run, whatever the file says now."""
        import importlib.util
        import linecache

        text = importlib.util.decode_source(self.source)
        linecache.cache[self.filename] = (len(text), None, text.splitlines(keepends=True), self.filename)

    def fiber(self) -> Fiber:
        """A fresh fiber for the script; module code runs with its globals as locals."""
        return Fiber(types.FunctionType(self.code, vars(self.module)))

    def globals(self) -> dict[str, Any]:
        """The globals that the script made or changed; what Python itself provides is provided again."""
        return {
            name: value
            for name, value in vars(self.module).items()
            if name != DUE and not (name in self._given and self._given[name] is value)
        }

    def set_globals(self, saved: Mapping[str, Any]) -> None:
        """Put back what :meth:`globals` returned."""
        vars(self.module).update(saved)


def _main_module(filename: str) -> types.ModuleType:
    """``__main__`` as v3.13.0 Python/pylifecycle.c (add_main_module) and Python/pythonrun.c (pyrun_simple_file) make it.

    3.14 no longer provides ``__annotations__`` there, 3.15 no ``__cached__``.
    """
    module = types.ModuleType("__main__")
    module.__loader__ = SourceFileLoader("__main__", filename)
    if sys.version_info < (3, 14):
        module.__annotations__ = {}
    vars(module).update({"__builtins__": builtins, "__file__": filename})
    if sys.version_info < (3, 15):
        vars(module)["__cached__"] = None
    return module
