"""Whether a snapshot would go on with the code that is here now, found out without building what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stackful.errors import CodeChangedError, SnapshotFormatError
from stackful.snapshot.scanning import scan

if TYPE_CHECKING:
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


def _finding(reference: CodeReference, error: CodeChangedError) -> Finding:
    return Finding(reference.qualname, reference.module or "__main__", str(error), error.diff)


def check_body(body: bytes, follower: Follower) -> list[Finding]:
    """A finding for each function that `follower` refuses, and for each frame that has no place."""
    try:
        scanned = scan(body)
    except Exception as error:
        raise SnapshotFormatError(f"the snapshot cannot be read: {error}") from error
    found: dict[CodeReference, Finding] = {}
    codes = {}
    for reference in scanned.references:
        try:
            codes[reference] = follower.code(reference)
        except CodeChangedError as error:
            found.setdefault(reference, _finding(reference, error))
    for frame in scanned.frames:
        try:
            if frame.code in codes:
                follower.check_place(codes[frame.code], frame.offset, frame.slots, frame.stack, frame.waiting)
        except CodeChangedError as error:
            found.setdefault(frame.code, _finding(frame.code, error))
    return list(found.values())
