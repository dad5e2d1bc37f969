"""What a snapshot calls to rebuild things, by these names: part of the format.

A pickle refers to these functions by name; `Rebuilder` binds them to the load at hand (SnapshotUnpickler.find_class).
"""

from __future__ import annotations

import importlib
import marshal
import sys
from itertools import repeat
from types import AsyncGeneratorType, CellType, CodeType, CoroutineType, FunctionType, GeneratorType, ModuleType
from typing import Any

from stackful import _core
from stackful.errors import SnapshotFormatError
from stackful.snapshot.allowed import EVERYTHING, Allowed
from stackful.snapshot.codes import CodeReference, Program
from stackful.snapshot.following import Follower

__all__ = ["WORDS", "Rebuilder", "words_of"]

WORDS = ("fiber", "fill_fiber", "code", "function", "fill_function", "cell", "fill_cell", "module_globals")
"""What snapshots refer to so often that each begins by putting it, found by its index, into the unpickler's memo."""


def words_of(rebuilder: Rebuilder | type[Rebuilder]) -> dict[int, Any]:
    """What `WORDS` stands for, and two objects of the core. The order is part of the format: what is new comes at the end."""
    # No generator: CPython 3.12 and 3.13 end in a segmentation fault where there is no memory for one.
    return dict(enumerate((*map(getattr, repeat(rebuilder), WORDS), _core.Fiber, _core.NULL)))


class Rebuilder:
    """The functions that a snapshot's pickle calls, for one load."""

    def __init__(
        self,
        program: Program | None,
        shared: list[Any] | None,
        allowed: Allowed = EVERYTHING,
        follower: Follower | None = None,
    ) -> None:
        self._program = program
        self._shared = shared
        self._allowed = allowed
        self.follower = follower or Follower(program)

    def shared(self, index: int) -> Any:
        """An immutable object of the same process (deepcopy)."""
        if self._shared is None:
            raise SnapshotFormatError("this snapshot refers to objects of the process that made it")
        return self._shared[index]

    def code(self, *fields: Any) -> CodeType:
        """Code by reference, checked."""
        reference = CodeReference(*fields)
        if reference.module is not None:
            self._allowed.check_module(reference.module)
        return self.follower.code(reference)

    def code_by_value(self, data: bytes, module: str = "") -> CodeType:
        """Code that the snapshot carries, of that module."""
        if self.follower.is_foreign:
            raise self.follower.bytecode_error(module)
        code = marshal.loads(data)
        if not isinstance(code, CodeType):
            raise SnapshotFormatError("a code object is damaged")
        self.follower.remember(code, module)
        return code

    def module_globals(self, name: str) -> dict[str, Any]:
        """The globals of a module of this process."""
        if name == "__main__" and self._program is not None:
            return vars(self._program.module)
        self._allowed.check_module(name)
        return vars(importlib.import_module(name))

    @staticmethod
    def fresh_globals(name: str) -> dict[str, Any]:
        """Globals of their own, for functions that travel by value."""
        return {"__name__": name, "__builtins__": vars(sys.modules["builtins"])}

    def module(self, name: str) -> ModuleType:
        """A module, by name."""
        if name == "__main__" and self._program is not None:
            return self._program.module
        self._allowed.check_module(name)
        return importlib.import_module(name)

    @staticmethod
    def cell() -> CellType:
        """An empty cell; its content comes later, for it may refer to the cell."""
        return CellType()

    @staticmethod
    def fill_cell(cell: CellType, state: tuple[Any]) -> None:
        """The content of a cell."""
        cell.cell_contents = state[0]

    def function(
        self, code: CodeType, namespace: dict[str, Any], name: str, closure: tuple[CellType, ...] | None
    ) -> FunctionType:
        """A function without its attributes."""
        code, closure = self.follower.fit_function(code, closure)
        return FunctionType(code, namespace, name, None, closure)

    @staticmethod
    def fill_function(function: FunctionType, state: tuple[Any, ...]) -> None:
        """The attributes of a function, and the globals that it refers to where it brings its own."""
        namespace, attributes, members = state
        for name, value in namespace.items():
            function.__globals__.setdefault(name, value)
        for name, value in attributes.items():
            setattr(function, name, value)
        function.__dict__.update(members)

    @staticmethod
    def fiber(kind: type[_core.Fiber]) -> _core.Fiber:
        """A fiber without frames."""
        return _core.blank(kind)

    def _fit(self, frames: list[Any]) -> None:
        """Frames as the code that is here wants them."""
        moves = self.follower.moves
        for at in range(len(frames)):  # no generator: see words_of
            state = frames[at]
            if getattr(state[0], "__code__", None) is not state[1] or moves:
                frames[at] = self.follower.fit(state)

    def fill_fiber(self, fiber: _core.Fiber, state: tuple[Any, ...]) -> None:
        """The frames of a fiber, all or nothing."""
        captured, members, levels = state
        self._fit(captured[-1])
        _core.reinstate(fiber, captured)
        if levels is not None:
            _core.reinstate_levels(fiber, levels)
        if type(members) is tuple:  # of a class with __slots__: those come second
            members, slots = members
            for name, value in slots.items():
                setattr(fiber, name, value)
        if members:
            fiber.__dict__.update(members)

    @staticmethod
    def continuation(count: int) -> _core.Continuation:
        """Captured frames, still without frames: so many pieces."""
        return _core.blank_continuation(count)

    def fill_continuation(self, captured: _core.Continuation, pieces: list[Any]) -> None:
        """The frames of a continuation, all or nothing."""
        for piece in pieces:
            self._fit(piece[-1])
        _core.reinstate_continuation(captured, pieces)

    def generator(self, function: FunctionType, kind: str, code: CodeType) -> Any:
        """A generator, coroutine or async generator that has not begun."""
        return self.follower.generator(function, code, _KINDS[kind])

    def fill_generator(self, generator: Any, state: tuple[Any, ...]) -> None:
        """The frame of a generator."""
        _core.reinstate_generator(generator, self.follower.fit_generator(generator, state))

    @staticmethod
    def finished_generator(kind: str, name: str, qualname: str) -> Any:
        """A generator that has ended: it has no code any more."""
        generator: Any = _ENDED[kind]()
        if kind == "async generator":
            _run_to_end(generator.aclose())
        else:
            generator.close()
        generator.__name__, generator.__qualname__ = name, qualname
        return generator


def _ended_generator() -> Any:
    yield


async def _ended_coroutine() -> None:
    pass


async def _ended_async_generator() -> Any:
    yield


def _run_to_end(awaitable: Any) -> None:
    """Advance what awaits nothing."""
    try:
        awaitable.send(None)
    except StopIteration:
        pass


_KINDS: dict[str, type] = {
    "generator": GeneratorType,
    "coroutine": CoroutineType,
    "async generator": AsyncGeneratorType,
}
_ENDED: dict[str, Any] = {
    "generator": _ended_generator,
    "coroutine": _ended_coroutine,
    "async generator": _ended_async_generator,
}
