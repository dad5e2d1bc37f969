"""Files."""

from __future__ import annotations

import os
from io import BufferedReader, BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

from stackful.snapshot.codecs import streams

__all__ = ["REBUILDERS", "REDUCERS"]


def _reduce_file(pickler: Any, file: Any) -> Any:
    """A closed file is saved as a closed file; an open one is not ours to reopen."""
    stream = streams.reduce_stream(pickler, file)
    if stream is not NotImplemented:
        return stream
    if not file.closed or not isinstance(getattr(file, "name", None), (str, bytes, int)):
        return NotImplemented
    return closed_file, (type(file).__name__, file.name, file.mode)


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


REDUCERS: dict[type, Any] = dict.fromkeys((TextIOWrapper, BufferedReader, BufferedWriter, FileIO), _reduce_file)
REBUILDERS = (closed_file,)
