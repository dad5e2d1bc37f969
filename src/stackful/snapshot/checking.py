"""Whether a snapshot would go on with the code that is here now, found out without building what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stackful.errors import CodeChangedError, SnapshotFormatError, SnapshotVersionError
from stackful.snapshot.scanning import Scan, Standing, scan

if TYPE_CHECKING:
    from types import CodeType

    from stackful.snapshot.codes import CodeReference
    from stackful.snapshot.following import Follower

__all__ = ["Finding", "check_body"]


class Finding(NamedTuple):
    """One reason why a snapshot would not go on: the function, its module, and the text of the error; `diff` has the lines that changed."""

    function: str
    module: str
    text: str
    diff: str = ""

    def __str__(self) -> str:
        return self.text


def _finding(reference: CodeReference, error: Exception) -> Finding:
    return Finding(reference.qualname, reference.module or "__main__", str(error), getattr(error, "diff", ""))


def _codes(references: list[CodeReference], follower: Follower) -> tuple[dict[CodeReference, CodeType], list[Finding]]:
    codes, found = {}, []
    for reference in dict.fromkeys(references):
        try:
            codes[reference] = follower.code(reference)
        except (CodeChangedError, SnapshotVersionError) as error:
            found.append(_finding(reference, error))
    return codes, found


def _place(frame: Standing, code: CodeType, follower: Follower) -> list[Finding]:
    try:
        follower.check_place(code, frame.offset, frame.slots, frame.stack, frame.waiting)
    except (CodeChangedError, SnapshotVersionError) as error:
        return [_finding(frame.code, error)]
    return []


def _scan(body: bytes) -> Scan:
    try:
        return scan(body)
    except Exception as error:
        raise SnapshotFormatError(f"the snapshot cannot be read: {error}") from error


def check_body(body: bytes, follower: Follower) -> list[Finding]:
    """A finding for each function that `follower` refuses, and for each frame that has no place."""
    scanned = _scan(body)
    codes, found = _codes(scanned.references, follower)
    for frame in scanned.frames:
        if frame.code in codes:
            found += _place(frame, codes[frame.code], follower)
    return list(dict.fromkeys(found))
