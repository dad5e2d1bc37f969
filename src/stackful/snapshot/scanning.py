"""What code a snapshot refers to, and where its frames stand in it, read without building anything that the snapshot names."""

from __future__ import annotations

import marshal
import pickle
from io import BytesIO
from types import CodeType
from typing import Any, NamedTuple

from stackful import _core
from stackful.snapshot import rebuild
from stackful.snapshot.codes import CodeReference

__all__ = ["Carried", "Scan", "Standing", "carried_code", "carried_codes", "code_named", "scan"]


class Standing(NamedTuple):
    """A frame: the code that it runs, where it stands in it, its locals and evaluation stack as far as they matter here."""

    code: CodeReference
    offset: int
    slots: tuple[Any, ...]
    stack: tuple[Any, ...]
    waiting: str


class Carried(NamedTuple):
    """Code that travels along, as marshal writes it, and the module that it is of."""

    data: bytes
    module: str


class Scan(NamedTuple):
    """What a snapshot has of code: references, what it carries, frames, functions (each with its closure), and all names of modules.

    `frames` are those whose code is referred to, `all_frames` those of code that travels along as well.
    """

    references: list[CodeReference]
    carried: list[Carried]
    frames: list[Standing]
    all_frames: list[tuple[CodeReference | Carried, int, tuple[Any, ...], Any]]
    functions: list[tuple[CodeReference, tuple[Any, ...] | None]]
    names: list[tuple[str, str]]
    root: list[Any]
    """The value itself in a list, in as far as it is made of dicts, lists and the like."""


class _Taking(type):
    """A class that takes everything that a pickle does to an object."""

    def __setstate__(cls, state: Any) -> None:
        pass

    def __setitem__(cls, key: Any, value: Any) -> None:
        pass

    def append(cls, item: Any) -> None:
        """As to a list."""

    extend = add = append


class _Inert(metaclass=_Taking):
    """Stands for whatever the snapshot would build, be it called or made an instance of: that is this class again, for classes travel, too."""

    def __new__(cls, *_: Any, **__: Any) -> type[_Inert]:  # type: ignore[misc]
        return cls


class _Scanner(pickle.Unpickler):
    """An unpickler to which every name means the same, but for a few of our own."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesIO(data), buffers=_Buffers())
        self.scan = Scan([], [], [], [], [], [], [])
        known = {
            "code": self._code,
            "code_by_value": self._code_by_value,
            "function": self._function,
            "fill_fiber": self._fill_fiber,
            "fill_continuation": self._fill_continuation,
            "generator": _Generator,
            "fill_generator": self._fill_generator,
        }
        self._known = {f"Rebuilder.{name}": function for name, function in known.items()}
        self._words = [known.get(word, _Inert) for word in rebuild.WORDS]

    def find_class(self, module: str, name: str) -> Any:
        """Nothing is imported."""
        if module == rebuild.__name__:
            return self._known.get(name, _Inert)
        self.scan.names.append((module, name))
        return _Inert

    def persistent_load(self, index: Any) -> Any:
        """A word, or one of what is kept elsewhere."""
        if isinstance(index, int) and 0 <= index < len(self._words):
            return self._words[index]
        return _core.NULL if index == len(self._words) + 1 else _Inert()

    def _code(self, *fields: Any) -> Any:
        self.scan.references.append(CodeReference(*fields))
        return self.scan.references[-1]

    def _code_by_value(self, data: bytes, module: str = "") -> Any:
        self.scan.carried.append(Carried(data, module))
        return self.scan.carried[-1]

    def _function(self, code: Any, _: Any, __: Any, closure: tuple[Any, ...] | None) -> Any:
        if isinstance(code, CodeReference):
            self.scan.functions.append((code, closure))
        return _Inert()

    def _fill_fiber(self, _: Any, state: Any) -> None:
        self._frames(state[0][-1])

    def _fill_continuation(self, _: Any, pieces: Any) -> None:
        for piece in pieces:
            self._frames(piece[-1])

    def _frames(self, frames: list[Any]) -> None:
        for _, code, offset, _, slots, stack in frames:
            if isinstance(code, CodeReference | Carried):
                self.scan.all_frames.append((code, offset, slots, stack))
            if isinstance(code, CodeReference):
                self.scan.frames.append(Standing(code, offset, slots, stack, "call"))

    def _fill_generator(self, generator: Any, state: Any) -> None:
        _, kind, offset, slots, stack, *_ = state
        if isinstance(generator, _Generator) and isinstance(generator.code, CodeReference | Carried):
            self.scan.all_frames.append((generator.code, offset, slots, stack))
        if isinstance(generator, _Generator) and isinstance(generator.code, CodeReference):
            waiting = "fresh" if kind == "fresh" else "yield"
            self.scan.frames.append(Standing(generator.code, offset, slots, stack, waiting))


class _Generator:
    def __init__(self, _: Any, __: str, code: Any) -> None:
        self.code = code


class _Buffers:
    """As many empty ones as anybody asks for."""

    def __iter__(self) -> _Buffers:
        return self

    def __next__(self) -> bytearray:
        return bytearray()


def scan(body: bytes) -> Scan:
    """The code references and the frames in the body of a snapshot, whose seal has been checked."""
    scanner = _Scanner(body)
    scanner.scan.root.append(scanner.load())
    return scanner.scan


def code_named(body: bytes, module: str, name: str, is_foreign: bool) -> CodeReference | CodeType | None:
    """The code of that function, or the reference to it, if the snapshot has one; `is_foreign`: of another version of Python."""
    try:
        found = scan(body)
    except Exception:  # noqa: BLE001 - what comes of damaged bytes; whoever asks has an error of his own
        return None
    for reference in found.references:
        if (reference.module, reference.qualname) == (module, name):
            return reference
    return None if is_foreign else carried_codes(found).get((module, name))


def carried_codes(found: Scan) -> dict[tuple[str, str], CodeType]:
    """The code that a snapshot of this version of Python carries, by module and qualified name."""
    codes = [(carried.module, carried_code(carried)) for carried in found.carried]
    return {(module, code.co_qualname): code for module, code in codes if code is not None}


def carried_code(carried: Carried) -> CodeType | None:
    """Code that a snapshot of this version of Python carries."""
    code = marshal.loads(carried.data)
    return code if isinstance(code, CodeType) else None
