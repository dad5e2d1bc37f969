"""Snapshots: suspended fibers, and all that they refer to, as bytes that are checked before they are used.

`format` is the container and its seal (docs/format.md), `files` how large ones are written and read, `keys`, `encryption` and
`compression` what it uses, `allowed` what loading may reach by name; `blobs` stores large values once for many snapshots, `parts` names
them; `codes` is the identity of code, `pickler`, `codecs` and `rebuild` are the two directions, `diagnose` finds what cannot be saved,
`listing` shows a snapshot without loading it.
``pickle.dumps(fiber)`` and ``copy.deepcopy(fiber)`` come here too.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any, BinaryIO

from stackful.errors import (
    CodeChangedError,
    FiberError,
    SnapshotError,
    SnapshotFormatError,
    SnapshotVersionError,
    StackfulError,
)
from stackful.snapshot import compression as compressions
from stackful.snapshot import files
from stackful.snapshot.allowed import EVERYTHING, Allowed, allowed_of
from stackful.snapshot.blobs import Blobs, Draft, History, MemoryBlobs, Stored, Values, history_of
from stackful.snapshot.checking import Finding, check_body
from stackful.snapshot.codecs.refusals import RefusedError
from stackful.snapshot.codes import Program
from stackful.snapshot.diagnose import locate
from stackful.snapshot.following import POLICIES, Follower
from stackful.snapshot.format import (
    HAS_PARTS,
    Head,
    Opened,
    Piece,
    Squeezed,
    Terms,
    header,
    open_sealed,
    sealed,
    sealed_small,
    squeezed,
    unsealed,
)
from stackful.snapshot.keys import Keys, KeysGiven, keys_of
from stackful.snapshot.parts import Parts, parts_of, prefix_of
from stackful.snapshot.pickler import Attached, Outside, SnapshotPickler, SnapshotUnpickler
from stackful.snapshot.reconnectors import reconnector

if TYPE_CHECKING:
    from stackful import _core

__all__ = [
    "EVERYTHING",
    "Allowed",
    "Blobs",
    "Finding",
    "History",
    "Keys",
    "MemoryBlobs",
    "Program",
    "check_code",
    "deepcopy_fiber",
    "dump",
    "dumps",
    "header",
    "load",
    "loads",
    "loads_pickled",
    "reconnector",
    "reduce_fiber",
    "references",
    "why_not_portable",
]

_PYTHON = "{}.{}".format(*sys.version_info)
_BYTECODE = importlib.util.MAGIC_NUMBER.hex()
_CODE = ("reference", "value")


def _pickle(
    value: Any,
    program: Program | None = None,
    shared: list[Any] | None = None,
    outside: Outside | Attached | None = None,
    by_value: bool = False,
) -> bytes:
    file = BytesIO()
    SnapshotPickler(file, program, shared, outside, by_value=by_value).dump(value)
    return file.getvalue()


def _pickle_part(program: Program | None, shared: list[Any] | None, by_value: bool, part: Any) -> bytes:
    return _pickle(part, program, shared, None, by_value)


def _pickle_or_locate(
    value: Any,
    program: Program | None = None,
    shared: list[Any] | None = None,
    outside: Outside | Attached | None = None,
    by_value: bool = False,
) -> bytes:
    """As `_pickle`; where it fails the error says what could not be saved, and where it stands."""
    try:
        file = BytesIO()
        SnapshotPickler(file, program, shared, outside, by_value=by_value).dump(value)
        return file.getvalue()
    except (StackfulError, MemoryError):
        raise
    # No lambda: CPython 3.12 and 3.13 drop its code twice where there is no memory for it (Python/bytecodes.c, MAKE_FUNCTION).
    except RefusedError as error:  # says nothing that the located error does not say as well
        raise locate(value, partial(_pickle_part, program, shared, by_value), error) from None
    except Exception as error:
        raise locate(value, partial(_pickle_part, program, shared, by_value), error) from error


def _terms(run: str | None, sequence: int | None, compression: str | None, encrypt: bool) -> Terms:
    if sequence is not None and not 0 <= sequence < 1 << 64:
        raise ValueError(f"a sequence number counts from 0 up, and has 64 bits: {sequence}")
    return Terms(run, sequence, compressions.number_of(compression), encrypt)


def _check_place(run: object, sequence: object) -> None:
    if not ((run is None or isinstance(run, str)) and (sequence is None or isinstance(sequence, int))):
        raise TypeError(f"run= is a text, and sequence= a whole number: {run!r}, {sequence!r}")


def dumps(
    value: Any,
    *,
    key: KeysGiven = None,
    program: Program | None = None,
    run: str | None = None,
    sequence: int | None = None,
    blobs: Blobs | History | None = None,
    compression: str | None = None,
    encrypt: bool = False,
    code: str = "reference",
) -> bytes:
    """A snapshot of `value`: a suspended fiber, or anything that refers to some. Sharing and identity inside of `value` are kept.

    Args:
        value: what is saved.
        key: seals with HMAC-SHA256; of several keys the first. Without one a digest detects damage only.
        program: the script that is run, whose code the snapshot refers to.
        run: the run that it belongs to, and
        sequence: its number there: `loads` can demand both.
        blobs: where large values are stored once for all snapshots that are given the same.
        compression: "zstd", "zlib" or "none"; by default zstd where it is installed and there is more than a little to compress.
        encrypt: with AES-256-GCM, under a key made of `key`: all but the header, and what goes to `blobs`.
        code: how the code of frames is saved: by "reference" to its module, checked when it is loaded; or by "value", so that the snapshot
            goes on with the very code that it was made with, whatever becomes of the module, but in this version of Python only.

    Raises:
        UnsaveableError: a value cannot be saved; it says which, and where it stands. Nothing has been put into `blobs`.
        FiberError: a fiber is running.
        SnapshotError: what compression or encryption needs is not installed.

    >>> from stackful import Fiber, snapshot, suspend
    >>> def ask(question):
    ...     return question + suspend(question)
    >>> fiber = Fiber(ask, "why? ")
    >>> fiber.resume()
    'why? '
    >>> data = snapshot.dumps(fiber, key=b"secret")
    >>> snapshot.loads(data, key=b"secret").resume("because")
    'why? because'
    """
    _check_place(run, sequence)
    keys, by_value = keys_of(key), code != "reference" and _one_of("code", code, _CODE) == "value"
    terms = None  # most need none
    if compression is not None or encrypt or (sequence is not None and not 0 <= sequence < 1 << 64):
        terms = _terms(run, sequence, compression, encrypt)
    if blobs is not None:
        terms = terms or Terms(run, sequence)
        return b"".join(sealed(*_body_with_blobs(value, keys, program, terms, blobs, by_value), keys, terms))
    attached = Attached()
    pickled = _pickle_or_locate(value, program, None, attached, by_value)
    if terms is None and len(pickled) < compressions.LEAST and not attached:
        return sealed_small(pickled, keys, run, sequence)
    terms = terms or Terms(run, sequence)
    return b"".join(sealed(*_body(pickled, attached, terms), keys, terms))


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}; not {value!r}")
    return value


def dump(value: Any, file: BinaryIO, **how: Any) -> int:
    """Write a snapshot to a binary file, and say how many bytes; as `dumps`, but the memory of large arrays is not copied.

    >>> import io
    >>> from stackful import snapshot
    >>> file = io.BytesIO()
    >>> snapshot.dump([1, 2], file, key=b"secret") == len(file.getvalue())
    True
    """
    if not hasattr(file, "write"):
        raise TypeError(f"dump() writes to a binary file that is open, as open(path, 'wb') gives it, not to {file!r}")
    keys = keys_of(how.pop("key", None))
    program, blobs = how.pop("program", None), how.pop("blobs", None)
    by_value = _one_of("code", how.pop("code", "reference"), _CODE) == "value"
    how = {"run": None, "sequence": None, "compression": None, "encrypt": False, **how}
    _check_place(how["run"], how["sequence"])
    terms = _terms(**how)
    if blobs is not None:
        body = _body_with_blobs(value, keys, program, terms, blobs, by_value)
    else:
        attached = Attached()
        body = _body(_pickle_or_locate(value, program, None, attached, by_value), attached, terms)
    return files.write(file, *unsealed(*body, keys, terms))


def _body(pickled: bytes, attached: Attached, terms: Terms) -> tuple[Squeezed, int]:
    """What is to be sealed, and the flags that say how it is made up."""
    if not attached:
        return squeezed([pickled], terms.compression), 0
    return squeezed([prefix_of((), attached), pickled, *attached], terms.compression), HAS_PARTS


def _body_with_blobs(
    value: Any, keys: Keys | None, program: Program | None, terms: Terms, blobs: Blobs | History, by_value: bool
) -> tuple[Squeezed, int]:
    key = keys.newest if terms.encrypt and keys is not None else None
    draft = Draft(history_of(blobs), key, terms.compression)
    pickled = _pickle_or_locate(value, program, None, Outside(draft.numbering(), draft.buffer_callback), by_value)
    return draft.finished(pickled), HAS_PARTS


def loads(
    data: bytes,
    *,
    key: KeysGiven = None,
    program: Program | None = None,
    run: str | None = None,
    sequence: int | None = None,
    blobs: Blobs | History | None = None,
    allow: Allowed | Iterable[str] | None = None,
    on_change: str = "refuse",
) -> Any:
    """What `dumps` was given, in this process. Loading imports the modules that the value refers to.

    Args:
        data: the snapshot.
        key: the key that it is sealed with, or several of which one is.
        program: the script that is run.
        run: the run that it must belong to, and
        sequence: the number that it must have there.
        blobs: where large values were stored.
        allow: what it may name besides the program's own and data types: ``"package"``, ``"module:name"``, ``"*"``. `STACKFUL_ALLOW`
            and ``[tool.stackful] allow`` in pyproject.toml add to it. `EVERYTHING` checks nothing.
        on_change: what to do where code that a frame stands in, or a function object was made of, is not what it was: "refuse"; "keep" to
            the code as it was, of which the snapshot carries the source, to its end; or "move": go on in the new code, at the same
            call of the same statement, where that is there and nothing speaks against it.

    Raises:
        SealError: altered, sealed with another key or with none, of another run or number; nothing was unpickled.
        SnapshotFormatError: no snapshot, cut short, or it holds what cannot be.
        SnapshotVersionError: of a later schema, or it carries bytecode of another version of Python.
        NameRefusedError: it names what it may not.
        CodeChangedError: code that a frame stands in is not what it was, and shows the lines; or it has no place to go on from.
    """
    keys = keys_of(key)
    allowed = allowed_of(allow, program)
    if blobs is not None:
        return _load_with_blobs(data, keys, program, (run, sequence), history_of(blobs), allowed, on_change)
    opened = open_sealed(data, keys, run, sequence)
    follower = _follower(opened.head, program, on_change)
    if not opened.head.flags & HAS_PARTS:
        return _unpickle(opened.body, program, None, allowed, follower=follower)
    parts = parts_of(opened.body)
    if parts.digests:
        raise SnapshotFormatError("parts of this snapshot are kept as blobs: give blobs=, where they were put")
    return _unpickle(parts.pickle, program, None, allowed, None, map(bytearray, parts.buffers), follower)


def _follower(head: Head, program: Program | None, on_change: str) -> Follower | None:
    """None where nothing is out of the ordinary."""
    python = str(head.fields.get("python"))
    if python == _PYTHON and head.fields.get("bytecode") != _BYTECODE:
        raise SnapshotVersionError(f"this snapshot was made by a preview of Python {python}, whose bytecode is another")
    if on_change == "refuse" and python == _PYTHON:
        return None
    _one_of("on_change", on_change, POLICIES)
    try:
        major, minor = map(int, python.split("."))
    except ValueError:
        raise SnapshotFormatError(f"the header names a Python {python!r}, which there is not") from None
    return Follower(program, on_change, (major, minor))


def check_code(
    data: bytes,
    *,
    key: KeysGiven = None,
    program: Program | None = None,
    blobs: Blobs | History | None = None,
    allow: Allowed | Iterable[str] | None = None,
    on_change: str = "refuse",
) -> list[Finding]:
    """What speaks against loading a snapshot with the code that is here now; nothing where it would go on.

    For tests before a deploy. Nothing that the snapshot holds is built or run, but the modules that its code stands in are imported.
    Arguments are those of `loads`.

    Raises:
        SealError, SnapshotFormatError, SnapshotVersionError: as `loads`.

    >>> from stackful import Fiber, snapshot, suspend
    >>> fiber = Fiber(lambda: suspend())
    >>> fiber.resume()
    >>> snapshot.check_code(snapshot.dumps(fiber))
    []
    """
    keys = keys_of(key)
    stored = Stored(history_of(blobs).blobs, keys) if blobs is not None else None
    opened = open_sealed(data, keys, base_of=None if stored is None else stored.data)
    body = parts_of(opened.body).pickle if opened.head.flags & HAS_PARTS else opened.body
    follower = _follower(opened.head, program, on_change) or Follower(program)
    return check_body(bytes(body), follower, allowed_of(allow, program))


def load(file: BinaryIO, **how: Any) -> Any:
    """What `dump` was given, from a binary file that holds nothing else; as `loads`, but large arrays are read to where they stay.

    Raises:
        EOFError: the file has become shorter while it was read.
        others: as of `loads`.
    """
    if not hasattr(file, "read"):
        raise TypeError(f"load() reads a binary file that is open, as open(path, 'rb') gives it, not {file!r}")
    if how.get("blobs") is not None:
        return loads(file.read(), **how)
    found = files.read(file, keys_of(how.get("key")), how.get("run"), how.get("sequence"))
    return loads(found, **how) if isinstance(found, bytes) else _load_whole(found, **how)


def _load_whole(
    found: files.Whole,
    *,
    program: Program | None = None,
    blobs: None = None,
    allow: Allowed | Iterable[str] | None = None,
    on_change: str = "refuse",
    **_checked: Any,
) -> Any:
    follower = _follower(found.head, program, on_change)
    return _unpickle(found.pickle, program, None, allowed_of(allow, program), None, found.buffers, follower)


def _load_with_blobs(
    data: bytes,
    keys: Keys | None,
    program: Program | None,
    place: tuple[str | None, int | None],
    history: History,
    allowed: Allowed,
    on_change: str,
) -> Any:
    stored = Stored(history.blobs, keys)
    opened = open_sealed(data, keys, *place, base_of=stored.data)
    follower = _follower(opened.head, program, on_change)
    if not opened.head.flags & HAS_PARTS:
        return _unpickle(opened.body, program, None, allowed, follower=follower)
    parts = parts_of(opened.body)
    values: list[Values] = []

    def numbers(words: dict[int, Any]) -> Values:
        values.append(Values(words, parts.digests, stored))
        return values[0]

    value = _unpickle(parts.pickle, program, None, allowed, numbers, _buffers(parts, stored), follower)
    base = opened.head.base
    history.learn(parts.digests, values[0], (base, stored.data(base)) if base else None)
    return value


def _buffers(parts: Parts, stored: Stored) -> Iterable[bytearray]:
    """Memory that can be written to, as that of the original."""
    for buffer in parts.buffers:
        yield bytearray(stored.data(parts.digests[buffer]) if isinstance(buffer, int) else buffer)


def references(data: bytes, *, key: KeysGiven = None, blobs: Blobs | History | None = None) -> frozenset[bytes]:
    """The digests of all blobs that a snapshot needs; what no snapshot that is kept needs can be dropped. Nothing is unpickled.

    Raises:
        SealError, SnapshotFormatError, SnapshotVersionError: as `loads`.

    >>> from stackful import snapshot
    >>> blobs = snapshot.MemoryBlobs()
    >>> data = snapshot.dumps(["x" * 1000], blobs=blobs)
    >>> snapshot.references(data, blobs=blobs) == set(blobs.data)
    True
    """
    keys = keys_of(key)
    stored = Stored(history_of(blobs).blobs, keys) if blobs is not None else None
    opened: Opened = open_sealed(data, keys, base_of=None if stored is None else stored.data)
    digests = parts_of(opened.body).digests if opened.head.flags & HAS_PARTS else []
    return frozenset([*digests, opened.head.base] if opened.head.base else digests)


def _unpickle(
    body: Piece,
    program: Program | None = None,
    shared: list[Any] | None = None,
    allowed: Allowed = EVERYTHING,
    values: Any = None,
    buffers: Iterable[Any] = (),
    follower: Follower | None = None,
) -> Any:
    try:
        return SnapshotUnpickler(BytesIO(body), program, shared, allowed, values, buffers, follower).load()
    except (SnapshotError, MemoryError):
        raise
    except (AttributeError, ImportError, SyntaxError) as error:
        raise CodeChangedError(f"the snapshot refers to something that is no longer there: {error}") from error
    except Exception as error:
        raise SnapshotFormatError(f"the snapshot cannot be rebuilt: {error}") from error


def loads_pickled(data: bytes) -> Any:
    """What a plain pickle calls that has a fiber in it: as `loads`, and as trusting as the pickle is."""
    return loads(data, allow=EVERYTHING)


def reduce_fiber(fiber: _core.Fiber) -> tuple[Any, tuple[bytes]]:
    """``Fiber.__reduce_ex__``: a pickle of a fiber holds its snapshot."""
    return loads_pickled, (dumps(fiber),)


def deepcopy_fiber(fiber: _core.Fiber, memo: dict[int, Any]) -> Any:
    """``Fiber.__deepcopy__``: everything is copied but code, classes and what modules hold."""
    shared: list[Any] = []
    twin = _unpickle(_pickle_or_locate(fiber, None, shared), None, shared)
    memo[id(fiber)] = twin
    return twin


def why_not_portable(fiber: _core.Fiber) -> str | None:
    """``Fiber.why_not_portable``: try it, for nothing else knows what every value's own pickling will say."""
    try:
        dumps(fiber)
    except (SnapshotError, FiberError) as error:
        return str(error)
    return None
