"""Files on disk: found again at their path, checked to be what they were, and opened at the same offset.

A file that was open for writing is cut back to the length that it had: what was written after the snapshot is written again.
A file without a name (`tempfile.TemporaryFile`) has nobody else, and travels with its content.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
import tempfile
from io import BufferedRandom, BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

from stackful import _core
from stackful.errors import ReconnectError
from stackful.snapshot.codecs import streams
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_WHOLE = 1 << 20  # of a larger file only so much is compared: its beginning, its end, and what lies before the offset
_SAMPLE = 64 << 10

# Those of one byte a character, and those whose characters begin where one can see it: no state between two of them.
_STATELESS = frozenset(
    {"ascii", "utf-8", "latin-1", "iso8859-1", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"}
    | {f"cp{page}" for page in (437, 850, 852, 858, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)}
    | {f"iso8859-{part}" for part in range(1, 17)}
)


def _reduce_file(pickler: Any, file: Any) -> Any:
    """A closed file is saved as a closed file, an open one by its path and offset."""
    stream = streams.reduce_stream(pickler, file)
    if stream is not NotImplemented:
        return stream
    if file.closed:
        return closed_file, (type(file).__name__, _name(file), file.mode)
    if file.writable():
        file.flush()
    status = os.fstat(file.fileno())
    how = (type(_binary(file)).__name__, _raw(file).mode, _text(file))
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
        return unnamed_file, (*how, _content(file, status.st_size), _offset(file))
    name = _checked_name(file, status)
    path = _absolute(name)
    seen = None
    if stat.S_ISREG(status.st_mode):
        seen = (status.st_size, _binary(file).tell(), _digest(path, status.st_size, _binary(file).tell()))
    return open_file, (path, name, *how, _offset(file), seen)


def _name(file: Any) -> Any:
    return getattr(file, "name", None)


def _binary(file: Any) -> Any:
    return file.buffer if isinstance(file, TextIOWrapper) else file


def _absolute(path: str) -> str:
    """Not resolved: a link may be meant to lead elsewhere later."""
    return str(Path.cwd() / path)


def _raw(file: Any) -> Any:
    return getattr(_binary(file), "raw", _binary(file))


def _refuse(file: Any, why: str) -> RefusedError:
    return RefusedError(f"the open file {_name(file)!r} {why}")


def _checked_name(file: Any, status: os.stat_result) -> str:
    """The path that leads to the very file."""
    name = _name(file)
    if not isinstance(name, (str, bytes)):
        raise _refuse(
            file, "has no path by which it could be opened again: open it by a path, or register a reconnector"
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)):
        raise _refuse(file, "is a pipe or socket, whose other end is not saved: close it before the snapshot")
    path = os.fsdecode(name)
    if not _leads_to(path, status):
        raise _refuse(
            file, "has been renamed or removed since it was opened, or the working directory is another one: close it"
        )
    return path


def _leads_to(path: str, status: os.stat_result) -> bool:
    try:
        there = Path(path).stat()
    except OSError:
        return False
    return os.path.samestat(there, status)


def _text(file: Any) -> dict[str, Any] | None:
    """What `open` is told of text."""
    if not isinstance(file, TextIOWrapper):
        return None
    return {
        "encoding": file.encoding,
        "errors": file.errors,
        "newline": _core.text_state(file)[1],
        "line_buffering": file.line_buffering,
        "write_through": file.write_through,
        "mode": getattr(file, "mode", None),
    }


def _offset(file: Any) -> int:
    """For `seek`; of text too, while a loop over its lines keeps `tell` from answering."""
    if not file.seekable():
        return 0
    if not isinstance(file, TextIOWrapper):
        return int(file.tell())
    try:
        return int(file.tell())
    except OSError:
        return _offset_in_loop(file)


def _offset_in_loop(file: TextIOWrapper) -> int:
    """The lines to come have been read and decoded already: so many bytes before what is read next.

    v3.13.0 Modules/_io/textio.c, textiowrapper_iternext: nothing is remembered by which `tell` could know.
    """
    pending, newline, decoder = _core.text_state(file)
    undecoded, flags = decoder.getstate() if decoder is not None else (b"", 0)
    encoding = codecs.lookup(file.encoding).name
    if encoding not in _STATELESS:
        raise _refuse(
            file, f"is read by a loop over its lines, and {encoding} does not tell where they begin: use readline()"
        )
    return_ = len("\r".encode(encoding))
    end: int = _binary(file).tell() - len(undecoded) - (return_ if newline in (None, "") and flags & 1 else 0)
    least = len(pending.encode(encoding, file.errors or "strict"))
    most = least + (pending.count("\n") * return_ if newline is None else 0)
    before = os.pread(file.fileno(), min(most, end), max(end - most, 0))
    for length in range(least, len(before) + 1, return_):
        if _decoded(before[len(before) - length :], encoding, file.errors, newline) == pending:
            return end - length
    raise _refuse(file, "has lines in it that cannot be found again: use readline() instead of a loop over it")


def _decoded(data: bytes, encoding: str, errors: str | None, newline: str | None) -> str | None:
    """As a file gives it; None where no character begins there."""
    try:
        text = data.decode(encoding, errors or "strict")
    except UnicodeDecodeError:
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n") if newline is None else text


def _content(file: Any, size: int) -> bytes:
    if not file.readable():
        raise _refuse(file, "has no name, and cannot be read: open it for reading as well")
    return os.pread(file.fileno(), size, 0)


def _digest(path: str, size: int, offset: int) -> str:
    """Of the content, as far as the file goes now."""
    digest = hashlib.sha256()
    parts = (
        [(0, size)]
        if size <= _WHOLE
        else [(0, _SAMPLE), (max(offset - _SAMPLE, 0), _SAMPLE), (size - _SAMPLE, _SAMPLE)]
    )
    with Path(path).open("rb") as file:
        for start, length in parts:
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()


def _without_making(path: str, flags: int) -> int:
    """Neither made nor emptied, whatever the mode."""
    return os.open(path, flags & ~(os.O_CREAT | os.O_TRUNC | os.O_EXCL))


def _dressed(raw: Any, kind: str, text: dict[str, Any] | None, name: str | None) -> Any:
    """The layers that `open` puts around a raw file."""
    if name is not None:
        raw.name = name
    file = raw if kind == "FileIO" else _BUFFERED[kind](raw)
    if text is not None:
        mode = text.pop("mode")
        file = TextIOWrapper(file, **text)
        if mode is not None:
            vars(file)["mode"] = mode
    return file


def open_file(
    path: str,
    name: str,
    kind: str,
    mode: str,
    text: dict[str, Any] | None,
    offset: int,
    seen: tuple[int, int, str] | None,
) -> Any:
    """An open file, as it was: `ReconnectError` where it is gone, or its content is another."""
    try:
        if seen is not None:
            _check(path, *seen)
        raw: Any = open(path, mode, buffering=0, opener=_without_making)  # noqa: SIM115 - it stays open
    except OSError as error:
        why = error.strerror
    else:
        if seen is not None:
            _cut_back(raw, seen[0])
        return _at(_dressed(raw, kind, text, name), offset)
    raise ReconnectError(
        f"the file {path} cannot be opened as at the time of the snapshot: {why}; bring it back, or start anew"
    )


def _check(path: str, size: int, offset: int, digest: str) -> None:
    if Path(path).stat().st_size < size or _digest(path, size, offset) != digest:
        raise ReconnectError(
            f"the file {path} has changed since the snapshot, in what was in it then: bring that back, or start anew"
        )


def _cut_back(raw: Any, size: int) -> None:
    """What was written after the snapshot is written again; others may have added to a file that is appended to."""
    if raw.writable() and raw.mode[0] != "a" and os.fstat(raw.fileno()).st_size > size:
        os.ftruncate(raw.fileno(), size)


def _at(file: Any, offset: int) -> Any:
    if file.seekable():
        file.seek(offset)
    return file


def unnamed_file(kind: str, mode: str, text: dict[str, Any] | None, content: bytes, offset: int) -> Any:
    """A file that no path leads to, with a copy of its content."""
    with tempfile.TemporaryFile() as made:
        made.write(content)
        made.flush()
        raw: Any = os.fdopen(os.dup(made.fileno()), mode, buffering=0)
    return _at(_dressed(raw, kind, text, None), offset)


def closed_file(kind: str, name: str | bytes | int, mode: str) -> Any:
    """A file that had been closed."""
    how = {"TextIOWrapper": "r", "BufferedWriter": "wb"}.get(kind, "rb")
    file: Any = Path(os.devnull).open(how)  # noqa: SIM115 - closed below
    if kind == "FileIO":
        file = file.detach()
    raw = getattr(getattr(file, "buffer", file), "raw", file)
    raw.name = name
    if kind == "TextIOWrapper":
        file.mode = mode
    file.close()
    return file


_TEMPORARY: Any = tempfile._TemporaryFileWrapper


def _reduce_temporary(_: Any, wrapper: Any) -> Any:
    """A named temporary file: with its content, because an ordinary end of the program removes it."""
    content = b""
    if not wrapper.file.closed:
        wrapper.file.flush()
        content = Path(wrapper.name).read_bytes()
    members = {name: value for name, value in vars(wrapper).items() if name in _MEMBERS}
    closer = {name: value for name, value in vars(wrapper._closer).items() if name in _MEMBERS}
    return temporary_file, (_absolute(wrapper.name), content), (members, closer), None, None, fill_temporary_file


_MEMBERS = ("file", "name", "delete", "delete_on_close", "close_called", "cleanup_called")


def temporary_file(path: str, content: bytes) -> Any:
    """A named temporary file; it is made again at its path where nobody has it any more."""
    if not Path(path).exists():
        Path(path).write_bytes(content)
    return _TEMPORARY.__new__(_TEMPORARY)


def fill_temporary_file(wrapper: Any, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Its file, and when that is removed."""
    members, closer = state
    made = _TEMPORARY(members["file"], members["name"], closer["delete"])
    vars(wrapper).update({**vars(made), **members})
    vars(wrapper._closer).update(closer)


_BUFFERED = {"BufferedReader": BufferedReader, "BufferedWriter": BufferedWriter, "BufferedRandom": BufferedRandom}
_KINDS = (TextIOWrapper, BufferedReader, BufferedWriter, BufferedRandom, FileIO)
REDUCERS: dict[type, Any] = {**dict.fromkeys(_KINDS, _reduce_file), _TEMPORARY: _reduce_temporary}
REBUILDERS = (open_file, unnamed_file, closed_file, temporary_file, fill_temporary_file)
