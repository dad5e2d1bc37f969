"""What code a snapshot refers to, and where its frames stand in it, read without building anything that the snapshot names."""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, NamedTuple, Self

from stackful import _core
from stackful.snapshot import rebuild
from stackful.snapshot.codes import CodeReference

__all__ = ["Scan", "Standing", "reference_named", "scan"]


class Standing(NamedTuple):
    """A frame: the code that it runs, where it stands in it, its locals and evaluation stack as far as they matter here."""

    code: CodeReference
    offset: int
    slots: tuple[Any, ...]
    stack: tuple[Any, ...]
    waiting: str


class Scan(NamedTuple):
    """All code references of a snapshot, and its frames."""

    references: list[CodeReference]
    frames: list[Standing]


class _Inert:
    """Stands for whatever the snapshot would build, and takes everything that a pickle does to it."""

    def __new__(cls, *_: Any, **__: Any) -> Self:
        return object.__new__(cls)

    def __call__(self, *_: Any, **__: Any) -> _Inert:
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, item: Any) -> None:
        """As to a list."""

    extend = add = append


class _Scanner(pickle.Unpickler):
    """An unpickler to which every name means the same, but for a few of our own."""

    def __init__(self, data: bytes) -> None:
        super().__init__(BytesIO(data), buffers=_Buffers())
        self.scan = Scan([], [])
        known = {
            "code": self._code,
            "fill_fiber": self._fill_fiber,
            "fill_continuation": self._fill_continuation,
            "generator": _Generator,
            "fill_generator": self._fill_generator,
        }
        self._known = {f"Rebuilder.{name}": function for name, function in known.items()}
        self._words = [known.get(word, _Inert) for word in rebuild.WORDS]

    def find_class(self, module: str, name: str) -> Any:
        """Nothing is imported."""
        return self._known.get(name, _Inert) if module == rebuild.__name__ else _Inert

    def persistent_load(self, index: Any) -> Any:
        """A word, or one of what is kept elsewhere."""
        if isinstance(index, int) and 0 <= index < len(self._words):
            return self._words[index]
        return _core.NULL if index == len(self._words) + 1 else _Inert()

    def _code(self, *fields: Any) -> Any:
        self.scan.references.append(CodeReference(*fields))
        return self.scan.references[-1]

    def _fill_fiber(self, _: Any, state: Any) -> None:
        self._frames(state[0][-1])

    def _fill_continuation(self, _: Any, pieces: Any) -> None:
        for piece in pieces:
            self._frames(piece[-1])

    def _frames(self, frames: list[Any]) -> None:
        for _, code, offset, _, slots, stack in frames:
            if isinstance(code, CodeReference):
                self.scan.frames.append(Standing(code, offset, slots, stack, "call"))

    def _fill_generator(self, generator: Any, state: Any) -> None:
        _, kind, offset, slots, stack, *_ = state
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
    scanner.load()
    return scanner.scan


def reference_named(body: bytes, module: str, name: str) -> CodeReference | None:
    """The reference to the code of that function, if there is one."""
    try:
        found = scan(body).references
    except Exception:  # noqa: BLE001 - what comes of damaged bytes; whoever asks has an error of his own
        return None
    return next((one for one in found if (one.module, one.qualname) == (module, name)), None)
