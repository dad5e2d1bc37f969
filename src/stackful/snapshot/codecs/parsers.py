"""Readers and writers of csv and json that are written in C."""

from __future__ import annotations

import csv
import gc
import io
import json.scanner
from itertools import chain, repeat
from types import MemberDescriptorType, SimpleNamespace
from typing import Any

__all__ = ["REBUILDERS", "REDUCERS"]

_READER, _WRITER = type(csv.reader(())), type(csv.writer(io.StringIO()))
_DIALECT = type(csv.reader(()).dialect)
_SCANNER: Any = json.scanner.c_make_scanner  # type: ignore[attr-defined]
_DIALECT_PARTS = (
    "delimiter",
    "doublequote",
    "escapechar",
    "lineterminator",
    "quotechar",
    "quoting",
    "skipinitialspace",
    "strict",
)


def _parts(dialect: Any) -> dict[str, Any]:
    return {name: getattr(dialect, name) for name in _DIALECT_PARTS}


def _reduce_dialect(_: Any, dialect: Any) -> Any:
    return csv_dialect, (_parts(dialect),)


def csv_dialect(parts: dict[str, Any]) -> Any:
    """A dialect as readers and writers have it."""
    return csv.reader((), **parts).dialect


def _reduce_reader(_: Any, reader: Any) -> Any:
    (source,) = (held for held in gc.get_referents(reader) if hasattr(held, "__next__") and not isinstance(held, type))
    return csv_reader, (source, _parts(reader.dialect), reader.line_num)


def csv_reader(source: Any, parts: dict[str, Any], line: int) -> Any:
    """A reader that has read so many lines, and goes on with `source`."""
    reader = csv.reader(chain(repeat("", line), source), **parts)
    while reader.line_num < line:
        next(reader)
    return reader


def _reduce_writer(_: Any, writer: Any) -> Any:
    (write,) = (held for held in gc.get_referents(writer) if callable(held) and not isinstance(held, type))
    return csv_writer, (write, _parts(writer.dialect))


def csv_writer(write: Any, parts: dict[str, Any]) -> Any:
    """A writer that calls `write`."""
    return csv.writer(SimpleNamespace(write=write), **parts)


def _reduce_json_scanner(_: Any, scanner: Any) -> Any:
    names = [name for name, part in vars(type(scanner)).items() if isinstance(part, MemberDescriptorType)]
    return json_scanner, ({name: getattr(scanner, name) for name in names},)


def json_scanner(parts: dict[str, Any]) -> Any:
    """What a `json.JSONDecoder` reads with."""
    return _SCANNER(SimpleNamespace(**parts))


REDUCERS: dict[type, Any] = {
    _DIALECT: _reduce_dialect,
    _READER: _reduce_reader,
    _WRITER: _reduce_writer,
    **({} if _SCANNER is None else {_SCANNER: _reduce_json_scanner}),
}
REBUILDERS = (csv_dialect, csv_reader, csv_writer, json_scanner)
