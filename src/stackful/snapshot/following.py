"""Following the references to code of one load: to the code itself, or, where that has changed, to what was asked for instead."""

from __future__ import annotations

import builtins
import importlib
import linecache
import sys
from types import CellType, CodeType, FunctionType
from typing import Any

from stackful import _core
from stackful.errors import SnapshotFormatError, SnapshotVersionError
from stackful.fibers.frames import slot_names
from stackful.fibers.portable import SCRIPTS
from stackful.fibers.stubs import with_gates
from stackful.snapshot.changes import (
    SCRIPT_WAY_OUT,
    Change,
    Stored,
    changed_error,
    program_error,
    stored_code,
    version_error,
)
from stackful.snapshot.codes import CodeReference, Program, function_with, look_up, look_up_in_program
from stackful.snapshot.editions import defined_as
from stackful.snapshot.fingerprints import fingerprint, fits, globals_read, tree_of
from stackful.snapshot.moves import Move, MoveError
from stackful.snapshot.sources import source_of, waits_of

__all__ = ["POLICIES", "Follower"]

POLICIES = ("refuse", "keep", "move")

_MADE = "its decorators or defaults are others now, and the function that exists was made with the old ones"

_modules: dict[int, tuple[CodeType, str]] = {}


def _file_of(module: str) -> str:
    return getattr(sys.modules.get(module), "__file__", None) or module


def _remember_text(file: str, stored: Stored) -> None:
    """Tracebacks show the lines that run, not what stands at these lines now."""
    lines = [*["\n"] * (stored.source.line - 1), *stored.source.text.splitlines(keepends=True)]
    known = linecache.cache.get(file)
    if known is not None and len(known) == 4:
        old = list(known[2])
        lines = [a if a != "\n" else b for a, b in _padded(old, lines)]
    linecache.cache[file] = (len("".join(lines)), None, lines, file)


def _padded(one: list[str], other: list[str]) -> list[tuple[str, str]]:
    size = max(len(one), len(other))
    return list(zip(one + ["\n"] * (size - len(one)), other + ["\n"] * (size - len(other)), strict=True))


def _is_ours(reference: CodeReference) -> bool:
    """Frames of Stackful's own functions go on as they were: an upgrade of Stackful is no change of the program."""
    return str(reference.module).partition(".")[0] == "stackful"


class Follower:
    """Follows the code references of one load.

    `on_change` is one of `POLICIES`; `made_by` the version of Python that saved, whose positions must be mapped if it is another one.
    """

    def __init__(
        self, program: Program | None, on_change: str = "refuse", made_by: tuple[int, int] = sys.version_info[:2]
    ) -> None:
        self.program = program
        self._on_change = on_change
        self._made_by = made_by
        self.is_foreign = made_by != sys.version_info[:2]
        self.moves: dict[int, Move] = {}
        self._generators: dict[int, tuple[object, Move]] = {}
        self._made_otherwise: dict[int, Change] = {}

    def code(self, reference: CodeReference) -> CodeType:
        """The code that a reference means; `CodeChangedError` where there is none that frames can go on in.

        Frames and functions of it go through `fit` and `fit_function` before they are used.
        """
        if reference.module is None:
            return self._code_of_program(reference)
        found, candidates = look_up(reference)
        if found is None or self.is_foreign:
            found = self._follow_change(reference, candidates)
        self.remember(found, reference.module, True)
        return found

    def remember(self, code: CodeType, module: str, is_there: bool = False) -> None:
        """In which module code stands: where a function has gone, this tells what a frame's globals are."""
        if len(_modules) >= 4096:
            _modules.clear()
        if module and (is_there or module not in SCRIPTS):
            _modules[id(code)] = (code, module)

    def bytecode_error(self, module: str) -> SnapshotVersionError:
        """The error for code that travels as bytecode of another Python."""
        return version_error(f"a function of {module or '__main__'}", self._made_by, "its code travels as bytecode")

    def _code_of_program(self, reference: CodeReference) -> CodeType:
        if self.program is None:
            raise SnapshotFormatError("this snapshot belongs to a script's run: it is loaded by `stackful resume`")
        if self.is_foreign:
            raise version_error(
                reference.qualname, self._made_by, "the code of a script is bound to the version of Python"
            )
        if self._on_change == "move" and self.program.before is not None:
            return self._code_of_edition(self.program, reference)
        found, candidates = look_up_in_program(self.program, reference)
        if found is None:
            raise program_error(self.program, reference, candidates)
        return found

    def _code_of_edition(self, program: Program, reference: CodeReference) -> CodeType:
        """The same code in the new text of the script; or else the old one, with the move to what has its name now."""
        assert program.before is not None
        assert program.now is not None
        old, _ = look_up_in_program(program._replace(code=program.before.code), reference)
        found = [code for _, code in tree_of(program.code) if code.co_qualname == reference.qualname]
        same = next((code for code in found if fits(code, reference.fingerprint)), None)
        now = same or (found[0] if found else None)
        source = None if old is None else program.before.source_of(old)
        new = None if now is None else program.now.source_of(now)
        change = Change(reference, program.code.co_filename, now, source, new)
        if now is None or old is None or source is None or new is None:
            raise changed_error(change, "the text that it was compiled from is not known", SCRIPT_WAY_OUT)
        if same is None and len({fingerprint(code) for code in found}) > 1:
            raise changed_error(change, "several functions have its name now", SCRIPT_WAY_OUT)
        code = same or old
        if defined_as(source, old) != defined_as(new, now):
            self._made_otherwise[id(code)] = change
        if same is None:
            self.moves[id(old)] = Move(Stored(source, old, waits_of(old, source.line)), now, change)
        return code

    def _follow_change(self, reference: CodeReference, candidates: list[CodeType]) -> CodeType:
        """The code for a reference that leads to no code with its fingerprint, or comes from another Python."""
        module = str(reference.module)
        file = _file_of(module)
        stored = stored_code(reference, f"{file} (as in the snapshot)", self._made_by)
        if stored is None and self.is_foreign:
            why = "it is no function of its own here" if reference.source else "the snapshot does not carry its source"
            raise version_error(reference.qualname, self._made_by, why)
        if stored is None:
            change = Change(reference, file, candidates[0] if candidates else None)
            raise changed_error(change, "", "go back to the code of the snapshot, or start anew")
        if stored.is_foreign:
            same, candidates = look_up(reference._replace(fingerprint=fingerprint(stored.code)))
            if same is not None:
                self.moves[id(same)] = Move(stored, same)
                return same
        now = candidates[0] if candidates else None
        return self._change(Change(reference, file, now, stored.source), stored, candidates)

    def _change(self, change: Change, stored: Stored, candidates: list[CodeType]) -> CodeType:
        if change.now is not None:
            change = change._replace(new=source_of(change.now, str(change.reference.module)))
        if _is_ours(change.reference):
            stored = stored._replace(code=with_gates(stored.code))
        if self._on_change == "keep" or _is_ours(change.reference):
            _check_globals(change, stored.code)
            _remember_text(stored.code.co_filename, stored)
            if stored.is_foreign:
                self.moves[id(stored.code)] = Move(stored, stored.code)
        elif self._on_change == "move" and len({fingerprint(code) for code in candidates}) > 1:
            raise changed_error(change, "several functions have its name now")
        elif self._on_change == "move" and change.now is not None:
            self.moves[id(stored.code)] = Move(stored, change.now, change)
        else:
            raise changed_error(change)
        return stored.code

    def missing(self, module: str, found: CodeReference | CodeType) -> FunctionType:
        """A function that frames stand in, and whose name is gone; `CodeChangedError` unless its code travels, or is to be kept."""
        code = found if isinstance(found, CodeType) else self.code(found)
        return FunctionType(
            code,
            vars(importlib.import_module(module)),
            code.co_name,
            None,
            tuple(CellType() for _ in code.co_freevars) or None,
        )

    def fit(self, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """The state of a frame, fitted to the code that is here."""
        function, code, offset, namespace, slots, stack = state
        move = self.moves.get(id(code))
        if move is not None:
            code, offset, slots, stack = _moved(move, offset, slots, stack, "call")
        return self._function(function, code, slots), code, offset, namespace, slots, stack

    def generator(self, function: object, code: CodeType, kind: type) -> Any:
        """A blank generator of a function whose code this is, and of the kind; `fit_generator` has what is to be filled in."""
        move = self.moves.get(id(code))
        new = code if move is None else move.code
        if not isinstance(function, FunctionType) or function.__code__ != new:
            cells = tuple(CellType() for _ in new.co_freevars)
            module = _modules[id(code)][1] if id(code) in _modules else ""
            namespace = function_with(new, module, function, cells).__globals__
            function = FunctionType(new, namespace, new.co_name, None, cells or None)
        blank = _core.blank_generator(function, kind)
        if move is not None:
            self._generators[id(blank)] = blank, move
        return blank

    def fit_generator(self, generator: object, state: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a blank generator is to be filled with, fitted to the code that it has."""
        known = self._generators.get(id(generator))
        if known is None or known[0] is not generator:
            return state
        function, kind, offset, slots, stack, *rest = state
        _, offset, slots, stack = _moved(known[1], offset, slots, stack, "fresh" if kind == "fresh" else "yield")
        return function, kind, offset, slots, stack, *rest

    def check_place(
        self, code: CodeType, offset: int, slots: tuple[Any, ...], stack: tuple[Any, ...], waiting: str
    ) -> tuple[CodeType, int]:
        """The code and offset of a frame of `code` in the code that is here, `CodeChangedError` where it has none; its values need not be the true ones."""
        move = self.moves.get(id(code))
        return (code, offset) if move is None else _moved(move, offset, slots, stack, waiting)[:2]

    def _function(self, function: object, code: CodeType, slots: tuple[Any, ...]) -> FunctionType:
        """Not what a decorator that was added since has made of it: that has the globals of another module."""
        if isinstance(function, FunctionType) and function.__code__ is code:
            return function
        known = _modules.get(id(code))
        cells = tuple(
            cell if isinstance(cell, CellType) else CellType()
            for name, cell in zip(slot_names(code), slots, strict=False)
            if name in code.co_freevars
        )
        return function_with(code, known[1] if known else "", function, cells)

    def fit_function(self, code: CodeType, closure: tuple[CellType, ...] | None) -> tuple[CodeType, Any]:
        """Code and closure for a function object of `code`, which the snapshot holds by value."""
        made_otherwise = self._made_otherwise.get(id(code))
        if made_otherwise is not None:
            raise changed_error(made_otherwise, _MADE, SCRIPT_WAY_OUT)
        move = self.moves.get(id(code))
        return (code, closure) if move is None else move.function(closure)


def _moved(
    move: Move, offset: int, slots: tuple[Any, ...], stack: tuple[Any, ...], waiting: str
) -> tuple[CodeType, int, tuple[Any, ...], tuple[Any, ...]]:
    try:
        return move.code, *move.frame(offset, slots, stack, waiting)
    except MoveError as error:
        raise error.as_refusal(move) from None


def _check_globals(change: Change, code: CodeType) -> None:
    """That what kept code calls is still there: it is looked up by name in the module."""
    namespace = vars(sys.modules[str(change.reference.module)])
    for name in sorted(globals_read(code)):
        if name not in namespace and not hasattr(builtins, name):
            raise changed_error(change, f'its code as it was needs "{name}", which the module has not got any more')
