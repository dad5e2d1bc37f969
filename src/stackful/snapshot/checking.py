"""Whether a snapshot would go on with the code that is here now, found out without building what it holds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from stackful.errors import CodeChangedError, NameRefusedError, SnapshotFormatError, SnapshotVersionError
from stackful.snapshot.changes import check_globals
from stackful.snapshot.scanning import Carried, Scan, carried_codes, scan

if TYPE_CHECKING:
    from types import CodeType

    from stackful.snapshot.allowed import Allowed
    from stackful.snapshot.codes import CodeReference, Program
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


def _refused(reference: CodeReference, check: Callable[..., object], *arguments: Any) -> list[Finding]:
    try:
        check(*arguments)
    except (CodeChangedError, SnapshotVersionError) as error:
        return [_finding(reference, error)]
    return []


def _scan(body: bytes) -> Scan:
    try:
        return scan(body)
    except Exception as error:
        raise SnapshotFormatError(f"the snapshot cannot be read: {error}") from error


def _names(scanned: Scan, allowed: Allowed, is_foreign: bool) -> list[Finding]:
    """Of names that lead nowhere; those of functions whose code the snapshot refers to are a matter of that code."""
    found = []
    known: set[Any] = {(reference.module, reference.qualname) for reference in scanned.references}
    known |= set() if is_foreign else set(carried_codes(scanned))
    for module, name in dict.fromkeys(scanned.names):
        is_ours = module.startswith("stackful.snapshot.") or (module, name) == (
            "builtins",
            "getattr",
        )  # see SnapshotUnpickler
        if (module, name) not in known and not is_ours:
            found += _unreachable(module, name, allowed)
    return found


def _unreachable(module: str, name: str, allowed: Allowed) -> list[Finding]:
    try:
        allowed.check(module, name)
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except NameRefusedError as error:
        return [Finding(name, module, str(error))]
    except (AttributeError, ImportError, SyntaxError) as error:
        return [Finding(name, module, f"the snapshot refers to something that is no longer there: {error}")]
    return []


def _foreign(carried: list[Carried], follower: Follower) -> list[Finding]:
    if not carried or not follower.is_foreign:
        return []
    module = carried[0].module
    return [Finding("", module, str(follower.bytecode_error(module)))]


def _globals(program: Program, state: Any, places: list[tuple[CodeType, int]]) -> list[Finding]:
    """Of globals that a script's new text needs."""
    names = state.get("globals") if isinstance(state, dict) else None
    offset = next((offset for code, offset in places if code is program.code), None)
    if not isinstance(names, dict) or offset is None:
        return []
    try:
        check_globals(program, {*names, *vars(program.module)}, offset)
    except CodeChangedError as error:
        return [Finding("<module>", "__main__", str(error), error.diff)]
    return []


def check_body(body: bytes, follower: Follower, allowed: Allowed) -> list[Finding]:
    """A finding for each function that `follower` refuses, for each frame that has no place, for each name that leads nowhere."""
    scanned = _scan(body)
    codes, found = _codes(scanned.references, follower)
    places: list[tuple[CodeType, int]] = []
    for reference, *place in scanned.frames:
        if reference in codes:
            found += _refused(reference, lambda *at: places.append(follower.check_place(*at)), codes[reference], *place)
    for reference, closure in scanned.functions:
        if reference in codes:
            found += _refused(reference, follower.fit_function, codes[reference], closure)
    if not found and follower.program is not None:
        found += _globals(follower.program, scanned.root[0], places)
    found += [*_foreign(scanned.carried, follower), *_names(scanned, allowed, follower.is_foreign)]
    return list(dict.fromkeys(found))
