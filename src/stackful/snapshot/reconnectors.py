"""What stands for something outside of the program: how it is saved, and how it is opened again.

A snapshot holds a program's memory. A socket, a database connection, a handle of a device are not in it. A reconnector says, for one type, what
is to be remembered of such an object, and how another process makes one of that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from stackful.errors import ReconnectError, SnapshotError
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REGISTERED", "Reconnector", "find_reconnector", "reconnect", "reconnector", "registered"]

T = TypeVar("T")

REGISTERED: dict[type, Reconnector[Any]] = {}
"""By type; for those who only ask whether there are any."""


class Reconnector(Generic[T]):
    """How objects of one type and its subclasses are saved and opened again; made by `reconnector`."""

    def __init__(self, kind: type[T], save: Callable[[T], object], reopen: Callable[[Any], T]) -> None:
        self.kind = kind
        self.save = save
        self.reopen = reopen

    def __repr__(self) -> str:
        return f"<reconnector of {self.kind.__module__}.{self.kind.__qualname__}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Reconnector, (self.kind, self.save, self.reopen)

    def register(self) -> None:
        """From now on objects of the type are saved so."""
        REGISTERED[self.kind] = self

    def remove(self) -> None:
        """Objects of the type are saved as before; nothing happens where another one has taken its place."""
        if REGISTERED.get(self.kind) is self:
            del REGISTERED[self.kind]


def reconnector(kind: type[T], *, save: Callable[[T], object], reopen: Callable[[Any], T]) -> Reconnector[T]:
    """From now on objects of a type are saved by what `save` returns, and opened again by `reopen`.

    Both functions travel with the snapshot as functions do: by reference to their module, or by value for those of a script. A process that
    loads such an object registers the reconnector as well, if it has none for the type.

    Args:
        kind: the type; subclasses are included, unless they have a reconnector of their own.
        save: called with the object, returns anything that can be saved. An exception refuses the snapshot, with its text.
        reopen: called with that value when the snapshot is loaded, returns the new object. An exception is a `ReconnectError`.

    Returns:
        The reconnector, whose ``remove()`` takes it back. A second one for the same type takes the place of the first.

    Raises:
        TypeError: `kind` is no type, or a function cannot be called.

    >>> import sqlite3, tempfile
    >>> from stackful import snapshot
    >>> def path_of(connection):
    ...     if connection.in_transaction:
    ...         raise ValueError("commit before the snapshot")
    ...     return connection.execute("PRAGMA database_list").fetchone()[2]
    >>> databases = snapshot.reconnector(sqlite3.Connection, save=path_of, reopen=sqlite3.connect)
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     connection = sqlite3.connect(file.name)
    ...     _ = connection.execute("CREATE TABLE t (x)")
    ...     again = snapshot.loads(snapshot.dumps(connection))
    ...     again.execute("SELECT name FROM sqlite_master").fetchall()
    ...     connection.close(), again.close()
    [('t',)]
    (None, None)
    >>> databases.remove()
    """
    if not isinstance(kind, type):
        raise TypeError(f"a reconnector is for a type, not for {kind!r}")
    for function in (save, reopen):
        if not callable(function):
            raise TypeError(f"save and reopen are called, and {function!r} cannot be")
    made = Reconnector(kind, save, reopen)
    made.register()
    return made


def registered() -> list[Reconnector[Any]]:
    """All that are registered in this process: a durable run stores them, for its script does not run again."""
    return list(REGISTERED.values())


def find_reconnector(kind: type) -> Reconnector[Any] | None:
    """That of the type, or of its nearest base that has one."""
    if not REGISTERED:
        return None
    return next((REGISTERED[base] for base in kind.__mro__ if base in REGISTERED), None)


def reduce_connected(connected: Reconnector[Any], value: Any) -> Any:
    """As ``__reduce_ex__``, for what a reconnector saves."""
    try:
        state = connected.save(value)
    except Exception as error:
        raise RefusedError(f"its reconnector refuses: {error}", value) from error
    return reconnect, (connected, state)


def reconnect(connected: Reconnector[Any], state: Any) -> Any:
    """What a reconnector opens again; the name by which snapshots call it."""
    REGISTERED.setdefault(connected.kind, connected)
    kind = f"{connected.kind.__module__}.{connected.kind.__qualname__}"
    try:
        return connected.reopen(state)
    except SnapshotError:
        raise
    except Exception as error:
        raise ReconnectError(
            f"a {kind} cannot be opened again ({error}); see to what it connects to, and load once more"
        ) from error
