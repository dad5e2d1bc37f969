"""A snapshot shown without loading it: nothing that it names is imported, called or made; a seal that does not fit is told, and no more.

`look` is what ``stackful show --raw`` prints.
"""

from __future__ import annotations

import io
import pickletools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

from stackful.errors import SealError, SnapshotError, SnapshotFormatError
from stackful.fibers.frames import line_of, slot_names
from stackful.snapshot.blobs import Blobs, History, Stored, history_of
from stackful.snapshot.codes import CodeReference, Program, look_up_in_program
from stackful.snapshot.format import HAS_PARTS, Opened, header, open_sealed, open_unchecked
from stackful.snapshot.keys import Keys, KeysGiven, keys_of
from stackful.snapshot.parts import Parts, parts_of
from stackful.snapshot.scanning import Carried, Scan, carried_code, scan
from stackful.snapshot.sources import decode

__all__ = ["Listing", "Place", "look"]


class Place(NamedTuple):
    """Where a frame stands, with the names of its variables; None for what the snapshot does not tell without being loaded."""

    function: str | None
    module: str
    line: int | None
    first_line: int | None
    offset: int
    variables: tuple[str, ...] | None
    stack: int
    """How many values are on its evaluation stack."""


class Listing(NamedTuple):
    """What a snapshot is and holds. `seal` says whether it was checked, and fits; `note` why there is no more to be seen."""

    header: dict[str, Any]
    seal: str
    note: str
    sizes: dict[str, int]
    frames: list[Place]
    names: list[str]
    blobs: list[str]
    pickle: bytes

    def instructions(self) -> Iterator[str]:
        """The operations of the pickle, one a line, as `pickletools` shows them."""
        text = io.StringIO()
        try:
            if self.pickle:
                pickletools.dis(self.pickle, text)
        except Exception as error:  # noqa: BLE001 - damaged bytes end in any of them
            text.write(f"... and no further: {error}\n")
        return iter(text.getvalue().splitlines())


def look(
    data: bytes, *, key: KeysGiven = None, blobs: Blobs | History | None = None, program: Program | None = None
) -> Listing:
    """What is in a snapshot.

    Args:
        data: the snapshot.
        key: the key that it is sealed with; without it nothing is said of the seal, and what is encrypted is not shown.
        blobs: where its large values were stored; where it is told by what it differs from another one, it is not shown without them.
        program: the script that it belongs to, for the lines of its frames.

    Raises:
        SnapshotFormatError: the bytes are no snapshot, or cut short.
        SnapshotVersionError: of a later schema.

    >>> from stackful import Fiber, snapshot, suspend
    >>> from stackful.snapshot.listing import look
    >>> fiber = Fiber(lambda: suspend())
    >>> fiber.resume()
    >>> [frame.offset > 0 for frame in look(snapshot.dumps(fiber)).frames]
    [True]
    """
    told = header(data)
    stored = None if blobs is None else Stored(history_of(blobs).blobs, keys_of(key))
    seal, note, opened = _opened(data, keys_of(key), stored)
    if opened is None:
        return Listing(told, seal, note, {"all": len(data)}, [], [], [], b"")
    parts = parts_of(opened.body) if opened.head.flags & HAS_PARTS else Parts([], [], memoryview(opened.body))
    pickle = bytes(parts.pickle)
    scanned, note = _scanned(pickle)
    sizes = {
        "all": len(data),
        "body": told["size"],
        "stored": told["stored"],
        "pickle": len(pickle),
        "buffers": sum(len(buffer) for buffer in parts.buffers if not isinstance(buffer, int)),
    }
    is_trusted = seal == "fits" and told["python"] == "{}.{}".format(*sys.version_info)
    frames = [_place(code, at, stack, program, is_trusted) for code, at, _, stack in scanned.all_frames]
    names = list(dict.fromkeys(f"{module}:{name}" for module, name in scanned.names))
    base = [opened.head.base] if opened.head.base else []
    return Listing(told, seal, note, sizes, frames, names, [digest.hex() for digest in base + parts.digests], pickle)


def _opened(data: bytes, keys: Keys | None, stored: Stored | None) -> tuple[str, str, Opened | None]:
    """What is to be said of the seal, why there is no more, and the body."""
    base_of = None if stored is None else stored.data
    try:
        return "fits", "", open_sealed(data, keys, base_of=base_of)
    except SealError as error:
        seal = "not checked: no key was given" if keys is None else str(error)
    except SnapshotFormatError as error:
        seal = ""
        if base_of is not None:
            raise
        note = str(error)
    if not seal:
        return "fits", note, None
    try:
        return seal, "", open_unchecked(data, base_of)
    except SnapshotError as error:
        return seal, str(error), None


def _scanned(pickle: bytes) -> tuple[Scan, str]:
    try:
        return scan(pickle), ""
    except Exception as error:  # noqa: BLE001 - damaged bytes end in any of them
        return Scan([], [], [], [], [], [], []), f"the pickle is damaged: {error}"


def _place(code: CodeReference | Carried, offset: int, stack: Any, program: Program | None, is_trusted: bool) -> Place:
    depth = len(stack) if isinstance(stack, tuple) else 0
    if isinstance(code, CodeReference) and code.module is not None:
        line, names = _told_by_source(code, offset)
        return Place(code.qualname, code.module, line, code.line, offset, names, depth)
    found = None
    if isinstance(code, Carried):
        found = carried_code(code) if is_trusted else None
        name, module = None, code.module or "__main__"
    else:
        found = None if program is None else look_up_in_program(program, code)[0]
        name, module = code.qualname, "__main__"
    if found is None:
        return Place(name, module, None, None if isinstance(code, Carried) else code.line, offset, None, depth)
    return Place(
        found.co_qualname, module, line_of(found, offset), found.co_firstlineno, offset, slot_names(found), depth
    )


def _told_by_source(reference: CodeReference, offset: int) -> tuple[int | None, tuple[str, ...] | None]:
    """The line, and the names of variables: the Python that saved has told them for each place where a frame can wait."""
    try:
        source = decode(reference.source, reference.part)
    except (ValueError, TypeError, SyntaxError):
        return None, None
    first = reference.line - source.line
    for waits in source.waits:
        if (waits.name, waits.first) == (reference.qualname, first):
            return (source.line + waits.places[offset][0] if offset in waits.places else None), waits.slots
    return None, None
