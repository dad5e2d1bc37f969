"""Pickling of what the standard pickler leaves out: fibers, frames, functions by code identity, cells, generators, exceptions whole."""

from __future__ import annotations

import builtins
import importlib
import pickle
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO, TextIOWrapper
from itertools import islice
from types import (
    AsyncGeneratorType,
    BuiltinFunctionType,
    CellType,
    CodeType,
    CoroutineType,
    FunctionType,
    GeneratorType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any, NamedTuple

from stackful import _core
from stackful.errors import FiberError, SnapshotFormatError
from stackful.fibers.portable import SCRIPTS, Portable
from stackful.snapshot import codecs, codes, rebuild, reconnectors, scanning
from stackful.snapshot.allowed import EVERYTHING, Allowed
from stackful.snapshot.codecs import exceptions, files, names, streams, views, wrappers
from stackful.snapshot.preludes import LOOPS, PROTOCOL, WORDS_ONLY, Prelude, prelude_from, prelude_of
from stackful.snapshot.rebuild import Rebuilder
from stackful.snapshot.sources import put_together

if TYPE_CHECKING:
    from stackful.snapshot.following import Follower

__all__ = ["Attached", "Outside", "SnapshotPickler", "SnapshotUnpickler", "generators_saved"]

_GUEST = 5  # of FiberPhase in csrc/core.h: its frames are on another fiber's stack
# Kind in the format, and where the code is, of each of CPython's generators.
_GENERATORS = {
    GeneratorType: ("generator", "gi_code"),
    CoroutineType: ("coroutine", "cr_code"),
    AsyncGeneratorType: ("async generator", "ag_code"),
}
_LARGE_BUFFER = 65536  # bytes; smaller ones stand in the pickle
_MADE_IN_C = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE
# Most states hold one of these: nobody but the standard pickler has anything to say of them, unless a reconnector does.
_STANDARD = {BuiltinFunctionType, range, *map(type, (iter(range(0)), iter(range(1 << 70)), iter([]), iter(())))}
_REDUCERS: dict[type, codecs.Reducer] = {**codecs.REDUCERS}  # and those of the pickler itself, see below
_REBUILD = rebuild.__name__
_CODECS = f"{codecs.__name__}."


@lru_cache(maxsize=1)
def _dispatch_table() -> dict[type, Any]:
    """cloudpickle's, without its way with files: it reads them whole and makes them io.StringIO."""
    return {
        kind: reducer for kind, reducer in _cloudpickle().Pickler.dispatch_table.items() if kind is not TextIOWrapper
    }


generators_saved = [0]
"""So many generators and coroutines has this process saved so far: CPython closes them when they are dropped, which not everybody wants."""


class _Code:
    """A code object, and in which module to look for it; `beside` are those of modules that have entered the snapshot along with it."""

    __slots__ = ("beside", "code", "module", "reference")

    def __init__(self, code: CodeType, module: str) -> None:
        self.code = code
        self.module = module
        self.beside: list[_Code] | None = None
        self.reference: tuple[Any, ...] | None = None


class _Globals:
    """The globals of a module that the loading process has."""

    def __init__(self, name: str) -> None:
        self.name = name


class _Namespace:
    """Stands for the globals of functions that travel by value: one object for each namespace of the original."""

    def __init__(self, name: str) -> None:
        self.name = name


@lru_cache(maxsize=1)
def _cloudpickle() -> Any:
    """Cloudpickle where it is installed: it carries classes that no module can give back."""
    try:
        return importlib.import_module("cloudpickle")
    except ImportError:
        return None


# Both are immutable, and kept alive: their ids cannot come to mean others.
_in_programs: dict[tuple[int, int], tuple[CodeType, CodeType, Any]] = {}


def _reduced_in_program(program: CodeType, code: CodeType) -> Any:
    """How code of a script is saved; None where it is none of it."""
    known = _in_programs.get((id(program), id(code)))
    if known is None:
        path = codes.path_in_program(program, code)
        reduced = None if path is None else (Rebuilder.code, codes.reference_in_program(code, path)[:6])
        if len(_in_programs) >= 4096:
            _in_programs.clear()
        known = _in_programs[id(program), id(code)] = (program, code, reduced)
    return known[2]


class Outside(NamedTuple):
    """Asked for what is kept outside of the pickle: for the number of a value, or None, and whether a buffer stays in it."""

    persistent_id: Callable[[Any], int | None]
    buffer_callback: Callable[[pickle.PickleBuffer], bool]


class Attached(list[memoryview]):
    """Large buffers that are to stand behind the pickle as they are: what takes them out of it."""

    __slots__ = ()

    def __call__(self, buffer: pickle.PickleBuffer) -> bool:
        """Whether a buffer stays in the pickle."""
        try:
            raw = buffer.raw()
        except BufferError:  # not in one piece
            return True
        if len(raw) < _LARGE_BUFFER:
            return True
        self.append(raw)
        return False


class SnapshotPickler(pickle.Pickler):
    """A pickler for one snapshot.

    `shared` is a list for a copy within this process: code and classes are put there and referred to by index. `by_value` has all code
    travel along.
    """

    # Most snapshots need few of these: what is in the class costs nothing.
    _program: codes.Program | None = None
    _shared: list[Any] | None = None
    _by_value = False
    _is_by_name = True
    _captured: tuple[_core.Fiber | None, Any] = (None, None)
    _prelude: Prelude = WORDS_ONLY
    _own_codes: dict[int, _Code] | None = None
    _own_sources: dict[bytes, tuple[Any, ...]] | None = None
    _namespaces: dict[int, tuple[dict[str, Any], _Namespace]] | None = None
    _globals: dict[str, _Globals] | None = None
    _guests: dict[int, _core.Fiber] | None = None
    _hosted: frozenset[int] = frozenset()

    def __init__(
        self,
        file: BytesIO,
        program: codes.Program | None = None,
        shared: list[Any] | None = None,
        outside: Outside | Attached | None = None,
        *,
        by_value: bool = False,
    ) -> None:
        if shared is not None:
            self._shared, self._is_by_name = shared, False
        elif _cloudpickle() is not None:
            self.dispatch_table = _dispatch_table()
        if isinstance(outside, Outside):
            self.persistent_id = outside.persistent_id  # type: ignore[method-assign]
            super().__init__(file, PROTOCOL, buffer_callback=outside.buffer_callback)
            self._is_by_name = False
        else:
            super().__init__(file, PROTOCOL, buffer_callback=outside)
        self._file = file
        if program is not None:
            self._program = program
        if by_value:
            self._by_value, self._is_by_name = True, False

    def _reduce_other(self, obj: Any) -> Any:
        """How to save `obj`, which is of no type that has a reducer; NotImplemented leaves it to the standard pickler."""
        if isinstance(obj, _core.Fiber):
            return self._reduce_fiber(obj)
        if isinstance(obj, Portable):
            return obj.reduce_within_snapshot()
        if isinstance(obj, type):
            return self._reduce_class(obj)
        for base, reduce in codecs.BASES:
            if isinstance(obj, base):
                return reduce(self, obj)
        connected = reconnectors.find_reconnector(type(obj))
        if connected is not None:
            return reconnectors.reduce_connected(connected, obj)
        late = codecs.find_late(obj)
        return NotImplemented if late is None else late(self, obj)

    # In C, since most values are of types that the first two know: a call of Python's for each would be most of what a small snapshot costs.
    reducer_override = _core.reducing(_REDUCERS, _STANDARD, reconnectors.REGISTERED, _reduce_other)

    def share(self, obj: Any) -> Any:
        """How a copy within this process refers to what both have; None for bytes that go elsewhere."""
        if self._shared is None:
            return None
        self._shared.append(obj)
        return Rebuilder.shared, (len(self._shared) - 1,)

    def dump(self, obj: Any) -> None:
        """Write `obj`; `FiberError` where a fiber is in it without the stack that its frames are on."""
        prelude = self._prelude_for(obj)
        self._prelude = prelude
        self._file.write(prelude.data)
        self.memo = prelude.memo
        super().dump(obj)
        for guest in self._guests.values() if self._guests else ():
            if id(guest) not in self._hosted:
                raise FiberError(
                    f"{guest!r} cannot be saved by itself: its frames are on the stack of the fiber that resumed it, by resume();"
                    " save that one"
                )

    def _prelude_for(self, obj: Any) -> Prelude:
        """What to begin with: of a fiber, or a tuple that ends with one, what its frames refer to by name."""
        fiber = obj[-1] if type(obj) is tuple and obj else obj
        program = self._program
        if type(fiber) is not _core.Fiber or not self._is_by_name or (program is not None and not program.is_there):
            return WORDS_ONLY
        captured = _core.capture(fiber)
        self._captured = fiber, captured
        absent = SCRIPTS if program is None else {name for name in SCRIPTS if not self._is_there(name)}
        return prelude_of(_core.named(captured[-1], LOOPS, absent), self._write_names)

    def _write_names(self, names: tuple[Any, ...]) -> Prelude:
        """A prelude that has these functions and their code; without them where their code has to travel by value."""
        file = BytesIO()
        pickler = SnapshotPickler(file, self._program)
        functions = [name for name in names if type(name) is FunctionType]
        marked = list(dict.fromkeys([pickler._marked(function.__code__, function) for function in functions]))
        pickler._put_beside(marked)
        if not all(map(pickler._is_found_by_module, marked)):
            return WORDS_ONLY
        pickler.dump((*names, *marked))
        return prelude_from(file.getvalue(), pickler.memo, pickler._codes, pickler._sources)

    def _is_found_by_module(self, marked: _Code) -> bool:
        """Whether code is referred to by its module's name: the same in all snapshots, whatever script they are of."""
        program = self._program
        if program is not None and not self._is_there(marked.module) and _reduced_in_program(program.code, marked.code):
            return False
        return self._reference(marked) is not None

    def _reduce_fiber(self, fiber: _core.Fiber) -> Any:
        known, captured = self._captured
        if known is not fiber:
            captured = _core.capture(fiber)
        if captured[0] == _GUEST:
            self._guests = {**(self._guests or {}), id(fiber): fiber}
        levels = _core.capture_levels(fiber)
        if levels is not None:
            self._hosted |= {id(marks[0]) for _, marks, _ in levels[0]}  # no generator, see rebuild.words_of
        members = None if type(fiber) is _core.Fiber else object.__getstate__(fiber)
        state = ((*captured[:-1], self._frames(captured[-1])), members, levels)
        return Rebuilder.fiber, (type(fiber),), state, None, None, Rebuilder.fill_fiber

    @property
    def _codes(self) -> dict[int, _Code]:
        """By id: what stands for each code object in the pickle."""
        if self._own_codes is None:
            self._own_codes = self._prelude.codes.copy()
        return self._own_codes

    @property
    def _sources(self) -> dict[bytes, tuple[Any, ...]]:
        """Where each source stands in the pickle."""
        if self._own_sources is None:
            self._own_sources = self._prelude.sources.copy()
        return self._own_sources

    def _frames(self, frames: list[Any]) -> list[Any]:
        """The states of frames, with their code by identity."""
        known, count = self._codes, len(self._codes)
        states = [
            (function, known.get(id(code)) or self._marked(code, function), offset, namespace, slots, stack)
            for function, code, offset, namespace, slots, stack in frames
        ]
        if len(known) > count + 1:
            self._put_beside(list(islice(known.values(), count, None)))
        return states

    @staticmethod
    def _put_beside(entered: list[_Code]) -> None:
        """Code of modules that enters the snapshot together: its sources travel as one."""
        fresh = [marked for marked in entered if marked.module not in SCRIPTS]
        for marked in fresh if len(fresh) > 1 else ():
            marked.beside = fresh

    def _reduce_continuation(self, captured: _core.Continuation) -> Any:
        pieces = [(*rest, self._frames(frames)) for *rest, frames in _core.capture_continuation(captured)]
        self._hosted |= {id(marks[0]) for marks, _, _ in pieces}
        return Rebuilder.continuation, (len(pieces),), pieces, None, None, Rebuilder.fill_continuation

    def _marked(self, code: CodeType, function: FunctionType) -> _Code:
        """One marker for each code object, so that the pickle holds it once."""
        known = self._codes.get(id(code))
        if known is None:
            known = self._codes[id(code)] = _Code(code, str(function.__globals__.get("__name__") or ""))
        return known

    def is_importable(self, function: Any) -> bool:
        """Whether the module gives this very function back under its own name."""
        module, name = function.__module__, function.__qualname__
        if module in SCRIPTS and self._shared is None and not self._is_there(module):
            return False
        found: Any = sys.modules.get(module or "")
        for part in name.split(".") if "." in name else (name,):
            found = getattr(found, part, None)
        return found is function

    def _is_there(self, module: str | None) -> bool:
        """Whether the script is there where the snapshot is loaded."""
        program = self._program
        return program is not None and program.is_there and sys.modules.get(module or "") is program.module

    def _reduce_function(self, function: FunctionType) -> Any:
        if function.__module__ == _REBUILD or self.is_importable(function):
            return NotImplemented
        namespace, referenced = self._globals_of(function)
        attributes = {name: value for name in _attributes_of(function) if (value := getattr(function, name, None))}
        state = (referenced, attributes, dict(function.__dict__))
        arguments = (self._marked(function.__code__, function), namespace, function.__name__, function.__closure__)
        return Rebuilder.function, arguments, state, None, None, Rebuilder.fill_function

    def _globals_of(self, function: FunctionType) -> tuple[Any, dict[str, Any]]:
        """The namespace of a function, and the values in it that must travel with the function."""
        namespace = function.__globals__
        name = namespace.get("__name__")
        if self._program is not None and namespace is vars(self._program.module):
            return self._of_module("__main__"), {}
        module = sys.modules.get(name) if isinstance(name, str) else None
        if module is not None and vars(module) is namespace and (name not in SCRIPTS or self._shared is not None):
            return self._of_module(str(name)), {}
        if self._namespaces is None:
            self._namespaces = {}
        _, marker = self._namespaces.setdefault(id(namespace), (namespace, _Namespace(str(name))))
        names = {n for _, code in codes.tree_of(function.__code__) for n in code.co_names}
        return marker, {n: namespace[n] for n in sorted(names) if n in namespace}

    def _of_module(self, name: str) -> _Globals:
        if self._globals is None:
            self._globals = {}
        return self._globals.setdefault(name, _Globals(name))

    def _reduce_marked_code(self, marked: _Code) -> Any:
        code, module = marked.code, marked.module
        if self._shared is not None:
            self._shared.append(code)
            return Rebuilder.shared, (len(self._shared) - 1,)
        is_there = self._is_there(module)
        if self._program is not None and not is_there:
            reduced = _reduced_in_program(self._program.code, code)
            if reduced is not None:
                return reduced
        found = None if self._by_value else self._reference(marked)
        if found is None:
            return Rebuilder.code_by_value, (codes.by_value(code), module)
        return Rebuilder.code, found

    def _reference(self, marked: _Code) -> tuple[Any, ...] | None:
        """How the code is referred to, by its module's name; None where it is not to be found there."""
        if marked.beside is None:
            return (
                self._with_source(codes.reference_to(marked.code, marked.module, self._is_there(marked.module))) or None
            )
        if marked.reference is None:
            self._refer_together(marked.beside)
        return marked.reference or None

    def _with_source(self, found: codes.CodeReference | None) -> tuple[Any, ...]:
        return () if found is None else (*found[:5], *self._sources.setdefault(found.source, (found.source,)))

    def _refer_together(self, fresh: list[_Code]) -> None:
        """The same for all code that has entered the snapshot together: its sources travel as one, in as far as they are not there yet."""
        referred = [codes.reference_to(other.code, other.module) for other in fresh]
        known = self._sources
        parts = tuple({found.source: None for found in referred if found is not None and found.source not in known})
        together = put_together(parts) if len(parts) > 1 else b""
        if together:
            known.update({source: (together, at) for at, source in enumerate(parts)})
        for other, found in zip(fresh, referred, strict=True):
            other.reference = self._with_source(found)

    def _reduce_code(self, code: CodeType) -> Any:
        return self._reduce_marked_code(_Code(code, ""))

    def _reduce_cell(self, cell: CellType) -> Any:
        try:
            state = (cell.cell_contents,)
        except ValueError:
            return Rebuilder.cell, ()
        return Rebuilder.cell, (), state, None, None, Rebuilder.fill_cell

    def _reduce_generator(self, generator: Any) -> Any:
        generators_saved[0] += 1
        state = _core.capture_generator(generator)
        kind, code_of = _GENERATORS[type(generator)]
        function = state[0]
        if function is None:
            return Rebuilder.finished_generator, (kind, generator.__name__, generator.__qualname__)
        code = self._marked(getattr(generator, code_of), function)
        return Rebuilder.generator, (function, kind, code), (None, *state[1:]), None, None, Rebuilder.fill_generator

    def _reduce_module(self, module: ModuleType) -> Any:
        if sys.modules.get(module.__name__) is module or (self._program is not None and module is self._program.module):
            return Rebuilder.module, (module.__name__,)
        if getattr(module, "__spec__", None) is not None:
            raise pickle.PicklingError(f"module {module.__name__!r} cannot be imported by its name")
        return names.made_module, (module.__name__,), dict(vars(module)), None, None, names.fill_made_module

    def _reduce_namespace(self, marker: _Namespace) -> Any:
        return Rebuilder.fresh_globals, (marker.name,)

    def _reduce_globals(self, marker: _Globals) -> Any:
        return Rebuilder.module_globals, (marker.name,)

    def _reduce_class(self, cls: type) -> Any:
        if self._shared is not None:
            self._shared.append(cls)
            return Rebuilder.shared, (len(self._shared) - 1,)
        if vars(builtins).get(cls.__name__) is cls:
            return NotImplemented
        hidden = names.reduce_hidden_type(cls)
        if hidden is not NotImplemented:
            return hidden
        if cls.__module__ in SCRIPTS and self._is_there(cls.__module__) and self.is_importable(cls):
            return NotImplemented
        cloud = _cloudpickle()
        # What C has made of a module that nobody has imported (t-strings: string.templatelib) cloudpickle would take for the script's own.
        is_only_named = cls.__flags__ & _MADE_IN_C and cls.__module__ not in sys.modules
        if cloud is not None and not is_only_named:
            return cloud.Pickler.reducer_override(self, cls)
        if self._program is not None and cls.__module__ == "__main__":
            raise pickle.PicklingError(
                "a class of the script travels with its run: install cloudpickle, or stackful[durable]"
            )
        return NotImplemented


_ATTRIBUTES = (
    "__defaults__",
    "__kwdefaults__",
    "__annotations__",
    "__doc__",
    "__qualname__",
    "__module__",
    "__type_params__",
)


def _attributes_of(function: FunctionType) -> tuple[str, ...]:
    """What travels of a function. From 3.14 on annotations are computed when they are first asked for: not by us (PEP 649)."""
    if getattr(function, "__annotate__", None) is None:
        return _ATTRIBUTES
    return (*(name for name in _ATTRIBUTES if name != "__annotations__"), "__annotate__")


_REDUCERS |= {
    _core.Fiber: SnapshotPickler._reduce_fiber,
    FunctionType: SnapshotPickler._reduce_function,
    CodeType: SnapshotPickler._reduce_code,
    CellType: SnapshotPickler._reduce_cell,
    _core.Continuation: SnapshotPickler._reduce_continuation,
    GeneratorType: SnapshotPickler._reduce_generator,
    CoroutineType: SnapshotPickler._reduce_generator,
    AsyncGeneratorType: SnapshotPickler._reduce_generator,
    ModuleType: SnapshotPickler._reduce_module,
    _Code: SnapshotPickler._reduce_marked_code,
    _Globals: SnapshotPickler._reduce_globals,
    _Namespace: SnapshotPickler._reduce_namespace,
}


_PLAIN = Rebuilder(None, None), rebuild.words_of(Rebuilder(None, None))

# What stands in codecs/ now was named as a part of `Rebuilder` in schema 1.
_OF_SCHEMA_1 = {
    "awaited": wrappers.awaited,
    "closed_file": files.closed_file,
    "fill_exception": exceptions.fill_exception,
    "stream": streams.stream,
    "view": views.view,
}


class SnapshotUnpickler(pickle.Unpickler):
    """Reads what `SnapshotPickler` wrote; the functions of `rebuild` are bound to this load.

    `values` is made of the words that a snapshot may use: what its numbers stand for, `buffers` what it keeps outside.
    """

    def __init__(
        self,
        file: BytesIO,
        program: codes.Program | None = None,
        shared: list[Any] | None = None,
        allowed: Allowed = EVERYTHING,
        values: Callable[[dict[int, Any]], dict[int, Any]] | None = None,
        buffers: Iterable[Any] = (),
        follower: Follower | None = None,
    ) -> None:
        if program is None and shared is None and allowed is EVERYTHING and follower is None:
            self._rebuilder, words = _PLAIN
        else:
            self._rebuilder = Rebuilder(program, shared, allowed, follower)
            words = rebuild.words_of(self._rebuilder)
        self._allowed = allowed
        self._file = file
        numbers = words if values is None else values(words)
        self.persistent_load = numbers.__getitem__  # type: ignore[method-assign]  # no Python call for each word
        super().__init__(file, buffers=buffers)

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle means; the names of `rebuild` mean the functions of this load. `NameRefusedError`."""
        if module == _REBUILD:
            return self._rebuilder_of(sys.intern(name.removeprefix("Rebuilder.")))
        if module.startswith(_CODECS):
            return codecs.find_rebuilder(module, name)
        if name == "getattr" and module == "builtins":
            return self._allowed.getter()
        return self._named(module, name)

    def _named(self, module: str, name: str) -> Any:
        try:
            self._allowed.check(module, name)
            # Interned, because CPython's method cache keeps each new string that is looked up in a type.
            return super().find_class(module, sys.intern(name))
        except AttributeError:
            return self._missing(module, name)

    def _missing(self, module: str, name: str) -> Any:
        """What takes the place of a name that is gone: a function that frames stand in, if the snapshot is to keep its code."""
        found = scanning.code_named(self._file.getvalue(), module, name, self._rebuilder.follower.is_foreign)
        if found is None:
            raise AttributeError(f"module {module} has no {name} any more")
        self._allowed.check_module(module)
        return self._rebuilder.follower.missing(module, found)

    def _rebuilder_of(self, name: str) -> Any:
        moved = _OF_SCHEMA_1.get(name)
        if moved is not None:
            return moved
        if name.startswith("_") or name == "follower":
            raise SnapshotFormatError(f"the snapshot calls {name}, which is not for snapshots to call")
        return getattr(self._rebuilder, name)
