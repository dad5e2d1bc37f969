"""Snapshots: suspended fibers, and all that they refer to, as bytes that are checked before they are used.

`format` is the container and its seal, `codes` the identity of code, `pickler` and `rebuild` the two directions, `diagnose` finds what
cannot be saved. ``pickle.dumps(fiber)`` and ``copy.deepcopy(fiber)`` come here too.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from stackful.errors import CodeChangedError, FiberError, SnapshotError, SnapshotFormatError, StackfulError
from stackful.snapshot.codes import Program
from stackful.snapshot.diagnose import locate
from stackful.snapshot.format import header, seal, unseal
from stackful.snapshot.pickler import SnapshotPickler, SnapshotUnpickler
from stackful.snapshot.reconnectors import reconnector

if TYPE_CHECKING:
    from stackful import _core

__all__ = ["Program", "deepcopy_fiber", "dumps", "header", "loads", "reconnector", "reduce_fiber", "why_not_portable"]


def _pickle(value: Any, program: Program | None = None, shared: list[Any] | None = None) -> bytes:
    file = BytesIO()
    SnapshotPickler(file, program, shared).dump(value)
    return file.getvalue()


def _pickle_or_locate(value: Any, program: Program | None = None, shared: list[Any] | None = None) -> bytes:
    """As `_pickle`; where it fails the error says what could not be saved, and where it stands."""
    try:
        return _pickle(value, program, shared)
    except (StackfulError, MemoryError):
        raise
    except Exception as error:
        raise locate(value, lambda part: _pickle(part, program, shared), error) from error


def dumps(value: Any, *, key: bytes | None = None, program: Program | None = None) -> bytes:
    """A snapshot of `value`: a suspended fiber, or anything that refers to some.

    Sharing and identity inside of `value` are kept. Sealed with HMAC-SHA256 when there is a `key`; else a digest detects damage only.
    `UnsaveableError` names the value that cannot be saved and where it stands; `FiberError` when a fiber is running.

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
    return seal(_pickle_or_locate(value, program), key)


def loads(data: bytes, *, key: bytes | None = None, program: Program | None = None) -> Any:
    """What `dumps` was given, in this process.

    Seal and versions are checked before anything is unpickled: `SealError`, `SnapshotVersionError`, `SnapshotFormatError`.
    `CodeChangedError` when code that a frame stands in is not what it was. Loading imports the modules that the value refers to; without
    a `key`, load only what you trust, as with `pickle`.
    """
    return _unpickle(unseal(data, key), program)


def _unpickle(body: bytes, program: Program | None = None, shared: list[Any] | None = None) -> Any:
    try:
        return SnapshotUnpickler(BytesIO(body), program, shared).load()
    except (SnapshotError, MemoryError):
        raise
    except (AttributeError, ImportError) as error:
        raise CodeChangedError(f"the snapshot refers to something that is no longer there: {error}") from error
    except Exception as error:
        raise SnapshotFormatError(f"the snapshot cannot be rebuilt: {error}") from error


def reduce_fiber(fiber: _core.Fiber) -> tuple[Any, tuple[bytes]]:
    """``Fiber.__reduce_ex__``: a pickle of a fiber holds its snapshot."""
    return loads, (dumps(fiber),)


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
