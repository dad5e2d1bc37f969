"""What is not as it was: the code that a snapshot refers to, and the code that is here now."""

from __future__ import annotations

import builtins
import difflib
import sys
from collections.abc import Collection, Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple

from stackful.errors import CodeChangedError, SnapshotVersionError
from stackful.snapshot.codes import CodeReference, Program, look_up_in_program, reference_in_program
from stackful.snapshot.editions import classes_changed, names_missing
from stackful.snapshot.fingerprints import differences, fingerprint, names_read, reads_unbound, tree_of
from stackful.snapshot.sources import Source, Waits, decode, find_in

if TYPE_CHECKING:
    from stackful.snapshot.editions import Edition

__all__ = [
    "SCRIPT_WAY_OUT",
    "Change",
    "Stored",
    "changed_error",
    "check_globals",
    "check_same_program",
    "diff",
    "program_error",
    "stored_code",
    "version_error",
]

_MOST_LINES = 24
_WAY_OUT = (
    'go back to the code of the snapshot, or load it with on_change="keep", which runs the code that it carries,'
    ' or "move", which goes on in the new code'
)
_PROGRAM_WAY_OUT = "go back to the code of the snapshot, resume with --on-change keep or move, or start anew"
SCRIPT_WAY_OUT = "go back to the script as it was, or resume with --on-change keep, which runs it as it was"
"""What can be done where a script cannot go on in its new text."""


class Stored(NamedTuple):
    """The code that a snapshot refers to, made of the source that it carries; `waits` is what the Python that saved made of it.

    `made_by` is that Python's version; (0, 0) where its bytecode is that of `code`, so that positions are the same.
    """

    source: Source
    code: CodeType
    waits: Waits
    made_by: tuple[int, int] = (0, 0)

    @property
    def is_foreign(self) -> bool:
        """Whether positions must be mapped to `code`."""
        return self.made_by != (0, 0)


class Change(NamedTuple):
    """A code object of a snapshot, and what has become of it: `now` is None where nothing has its name any more."""

    reference: CodeReference
    file: str
    now: CodeType | None
    old: Source | None = None
    new: Source | None = None


@lru_cache(maxsize=256)
def _compiled(data: bytes, part: int, file: str) -> tuple[Source, CodeType]:
    source = decode(data, part)
    return source, source.compiled(file)


def stored_code(reference: CodeReference, file: str, made_by: tuple[int, int] = sys.version_info[:2]) -> Stored | None:
    """What the snapshot, which that version of Python has made, carries of the code that a reference means; None where it carries too little.

    >>> from stackful.snapshot.codes import reference_to
    >>> reference = reference_to(stored_code.__code__, __name__)
    >>> stored_code(reference, "before.py").code.co_name
    'stored_code'
    """
    known = _known_source(reference, file)
    if known is None:
        return None
    source, compiled = known
    first, name = reference.line - source.line, reference.qualname
    waits = [told for told in source.waits if told.name == name and told.first == first]
    if len(waits) != 1:
        return None
    code = find_in(compiled, name, reference.fingerprint)
    if code is not None and made_by == sys.version_info[:2]:
        return Stored(source, code, waits[0])
    found = [c for _, c in tree_of(compiled) if c.co_qualname == name and c.co_firstlineno == reference.line]
    return Stored(source, found[0], waits[0], made_by) if len(found) == 1 else None


def _known_source(reference: CodeReference, file: str) -> tuple[Source, CodeType] | None:
    try:
        return _compiled(reference.source, reference.part, file)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def diff(change: Change) -> list[str]:
    """The lines that changed, as ``diff -u`` shows them; none where the snapshot does not carry the old ones."""
    if change.old is None or change.new is None:
        return []
    return _diff(change.old.text, change.new.text, change.file, change.reference.qualname)


def _diff(old: str, new: str, file: str, name: str) -> list[str]:
    heads = (f"{file} {name} (in the snapshot)".rstrip(), f"{file} {name} (now)")
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), *heads, lineterm="", n=1))
    more = len(lines) - _MOST_LINES
    return lines if more <= 1 else [*lines[:_MOST_LINES], f"... {more} more lines"]


def _similar(reference: CodeReference) -> Iterator[str]:
    """Functions of the module that do the same under another name."""
    old = stored_code(reference, "")
    if old is None:
        return
    for name, value in list(vars(sys.modules[str(reference.module)]).items()):
        if isinstance(value, FunctionType) and value.__module__ == reference.module:
            parts = differences(fingerprint(value.__code__), fingerprint(old.code))
            if parts in ([], ["signature"]):  # the name is part of it
                yield name


def _gone(change: Change) -> str:
    reference = change.reference
    name = f'"{reference.qualname}" ({change.file}:{reference.line})'
    similar = list(_similar(reference)) if reference.module in sys.modules else []
    hint = f" (is it {similar[0]}() now?)" if similar else ""
    if reference.module is None:
        return (
            f"the run uses {name}, which the script has not got any more; restore it, or resume with --on-change keep"
        )
    keep = (
        ', or load the snapshot with on_change="keep", which runs the code that it carries' if reference.source else ""
    )
    return f"the snapshot has a frame of {name}, which is no longer there{hint}; restore it{keep}"


def changed_error(change: Change, why: str = "", way_out: str = _WAY_OUT) -> CodeChangedError:
    """The error that refuses a change; `why` says what else speaks against going on."""
    reference = change.reference
    if change.now is None:
        return CodeChangedError(_gone(change), reference.qualname)
    lines = diff(change)
    parts = ", ".join(differences(reference.fingerprint, fingerprint(change.now))) or "the version of Python"
    name = f'"{reference.qualname}" ({change.file}:{reference.line})'
    why = f"; {why}" if why else ""
    text = f"the code of {name} has changed since the snapshot: {parts}{why}; {way_out}"
    return CodeChangedError("\n".join((text, *lines)), reference.qualname, "\n".join(lines))


def version_error(name: str, made_by: tuple[int, int], why: str) -> SnapshotVersionError:
    """The error that refuses what another version of Python has saved; it says how to get it across all the same."""
    python, here = (".".join(map(str, version)) for version in (made_by, sys.version_info[:2]))
    return SnapshotVersionError(
        f'this snapshot was made by Python {python}, this is Python {here}, and "{name}" cannot go on here: {why}; let it run on under'
        f" Python {python} until it saves again at a place that maps: a call in a statement of its own, in a function of a module,"
        " outside of comprehensions"
    )


def check_same_program(before: CodeType, now: CodeType, texts: tuple[bytes, bytes] | None = None) -> None:
    r"""`CodeChangedError` naming the first function of a script that is not what it was, be it in use or only to be called later.

    Comments, blank lines and moved lines change nothing. With both texts the error shows the lines that changed.

    >>> one, two = (compile(f"def f():\n    return {n}", "s.py", "exec") for n in (1000, 2000))
    >>> check_same_program(one, two)
    Traceback (most recent call last):
    stackful.errors.CodeChangedError: the code of "f" (s.py:1) has changed since the snapshot: constants; go back to the code of the snapshot, resume with --on-change keep or move, or start anew
    """
    program = Program(sys.modules["__main__"], now)
    for path, code in sorted(tree_of(before), key=lambda entry: -len(entry[0])):  # the function, not the one around it
        reference = reference_in_program(code, path)
        found, candidates = look_up_in_program(program, reference)
        if found is None:
            raise program_error(program, reference, candidates, texts)
    if len(list(tree_of(before))) != len(list(tree_of(now))):
        text = f"{now.co_filename} has functions now that it had not; {_PROGRAM_WAY_OUT}"
        raise CodeChangedError("\n".join((text, *_program_diff(now, texts))))


def check_globals(program: Program, names: Collection[str], offset: int) -> None:
    """`CodeChangedError` where a script cannot go on at `offset` of a new text with its globals as they are, whose `names` are given.

    What the new text has added above the position has not run, and classes that the old one has made stay as they are.
    """
    before, now = program.before, program.now
    if before is None or now is None:
        return
    for name in classes_changed(before.text, now.text):
        if name in names:
            raise _globals_error(
                before,
                now,
                f'the class "{name}" is made otherwise now, and the run goes on with the one that it has made',
            )
    old = set(names_missing(before.code, names, 0))
    missing = [name for name in names_missing(program.code, names, offset) if name not in old]
    come = names_read(program.code) - names_read(before.code) - {*names}
    missing += sorted(
        name for name in come if reads_unbound(program.code, name, offset) and not hasattr(builtins, name)
    )
    if missing:
        raise _globals_error(
            before,
            now,
            f'it uses the global "{missing[0]}" now, which the run has not got and would not make: what was added above its'
            " position does not run",
        )


def _globals_error(before: Edition, now: Edition, why: str) -> CodeChangedError:
    file = now.code.co_filename
    lines = "\n".join(_diff(before.text, now.text, file, ""))
    text = f"the code of {file} has changed since the snapshot: {why}; {SCRIPT_WAY_OUT}"
    return CodeChangedError(f"{text}\n{lines}", "<module>", lines)


def _program_diff(now: CodeType, texts: tuple[bytes, bytes] | None) -> list[str]:
    old, new = (text.decode("utf-8", "replace") for text in texts or (b"", b""))
    return _diff(old, new, now.co_filename, "")


def program_error(
    program: Program, reference: CodeReference, candidates: list[CodeType], texts: tuple[bytes, bytes] | None = None
) -> CodeChangedError:
    """The error for code of a script that has changed."""
    file = program.code.co_filename
    change = Change(reference, file, candidates[0] if candidates else None)
    error = changed_error(change, way_out=_PROGRAM_WAY_OUT)
    lines = _program_diff(program.code, texts)
    return CodeChangedError("\n".join((str(error), *lines)), reference.qualname, "\n".join(lines))
