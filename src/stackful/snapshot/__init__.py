"""Snapshots: suspended fibers, and all that they refer to, as bytes that are checked before they are used.

`format` is the container and its seal, `codes` the identity of code, `pickler` and `rebuild` the two directions, `diagnose` finds what
cannot be saved. ``pickle.dumps(fiber)`` and ``copy.deepcopy(fiber)`` come here too.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

from stackful.errors import CodeChangedError, FiberError, SnapshotError, SnapshotFormatError, StackfulError
from stackful.snapshot.checking import Finding, check_body
from stackful.snapshot.codes import Program
from stackful.snapshot.diagnose import locate
from stackful.snapshot.following import POLICIES, Follower
from stackful.snapshot.format import header, seal, unseal
from stackful.snapshot.pickler import SnapshotPickler, SnapshotUnpickler

if TYPE_CHECKING:
    from stackful import _core

__all__ = [
    "Finding",
    "Program",
    "check_code",
    "deepcopy_fiber",
    "dumps",
    "header",
    "loads",
    "reduce_fiber",
    "why_not_portable",
]

_PYTHON = "{}.{}".format(*sys.version_info)
_CODE = ("reference", "value")


def _pickle(
    value: Any, program: Program | None = None, shared: list[Any] | None = None, *, by_value: bool = False
) -> bytes:
    file = BytesIO()
    SnapshotPickler(file, program, shared, by_value=by_value).dump(value)
    return file.getvalue()


def _pickle_or_locate(
    value: Any, program: Program | None = None, shared: list[Any] | None = None, *, by_value: bool = False
) -> bytes:
    """As `_pickle`; where it fails the error says what could not be saved, and where it stands."""
    try:
        return _pickle(value, program, shared, by_value=by_value)
    except (StackfulError, MemoryError):
        raise
    except Exception as error:
        raise locate(value, lambda part: _pickle(part, program, shared, by_value=by_value), error) from error


def dumps(value: Any, *, key: bytes | None = None, program: Program | None = None, code: str = "reference") -> bytes:
    """A snapshot of `value`: a suspended fiber, or anything that refers to some.

    Sharing and identity inside of `value` are kept. Sealed with HMAC-SHA256 when there is a `key`; else a digest detects damage only.
    `code` says how the code of frames is saved: by "reference" to its module, checked when it is loaded; or by "value", so that the
    snapshot goes on with the very code that it was made with, whatever has become of the module, but in this version of Python only.
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
    return seal(_pickle_or_locate(value, program, by_value=_one_of("code", code, _CODE) == "value"), key)


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}; not {value!r}")
    return value


def loads(data: bytes, *, key: bytes | None = None, program: Program | None = None, on_change: str = "refuse") -> Any:
    """What `dumps` was given, in this process.

    Seal and versions are checked before anything is unpickled: `SealError`, `SnapshotVersionError`, `SnapshotFormatError`.
    Loading imports the modules that the value refers to; without a `key`, load only what you trust, as with `pickle`.

    `on_change` says what is to be done where code that a frame stands in, or a function object was made of, is not what it was:
    "refuse" it (`CodeChangedError` shows the lines that changed); "keep" to the code as it was, which the snapshot carries, to its
    end; or "move": go on in the new code, at the same call of the same statement, where that is there and
    nothing speaks against it. What the frames call later is in any case the function that has the name then.
    """
    body = unseal(data, key)
    return _unpickle(body, program, follower=_follower(header(data)["python"], program, on_change))


def _follower(python: str, program: Program | None, on_change: str) -> Follower | None:
    """None where nothing is out of the ordinary."""
    if on_change == "refuse" and python == _PYTHON:
        return None
    _one_of("on_change", on_change, POLICIES)
    major, minor = map(int, python.split("."))
    return Follower(program, on_change, (major, minor))


def check_code(
    data: bytes, *, key: bytes | None = None, program: Program | None = None, on_change: str = "refuse"
) -> list[Finding]:
    """What speaks against loading a snapshot with the code that is here now; nothing where it would go on.

    For tests that run before a deploy. Nothing that the snapshot holds is built or run; the modules that its code stands in are imported.
    Arguments and errors are those of `loads`; what `loads` would raise as a `CodeChangedError` is a finding here.

    >>> from stackful import Fiber, snapshot, suspend
    >>> fiber = Fiber(lambda: suspend())
    >>> fiber.resume()
    >>> snapshot.check_code(snapshot.dumps(fiber))
    []
    """
    body = unseal(data, key)
    follower = _follower(header(data)["python"], program, on_change) or Follower(program)
    return check_body(body, follower)


def _unpickle(
    body: bytes, program: Program | None = None, shared: list[Any] | None = None, follower: Follower | None = None
) -> Any:
    try:
        return SnapshotUnpickler(BytesIO(body), program, shared, follower=follower).load()
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
