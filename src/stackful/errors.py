"""Every exception that Stackful raises; each message names the rule, the object and the way out."""

from __future__ import annotations

__all__ = [
    "AlreadyResumedError",
    "BarrierError",
    "ChannelClosedError",
    "CodeChangedError",
    "DeadlineError",
    "DeadlockError",
    "FiberError",
    "FiberExit",
    "InternalError",
    "KeyFileError",
    "NameRefusedError",
    "PromptNotFoundError",
    "ReconnectError",
    "RunCancelled",
    "RunFailedError",
    "RunLockedError",
    "RunNotFoundError",
    "SealError",
    "SnapshotError",
    "SnapshotFormatError",
    "SnapshotVersionError",
    "StackfulError",
    "StoreError",
    "UnhandledError",
    "UnsaveableError",
]


class StackfulError(Exception):
    """The base of all errors below (not of :class:`FiberExit`, which is a signal)."""


class InternalError(StackfulError):
    """A bug in Stackful itself: please report it with the message and the program."""


class FiberError(StackfulError, RuntimeError):
    """A fiber was used against its rules; the fiber itself is as it was."""


class BarrierError(StackfulError, RuntimeError):
    """A C call stands between ``suspend`` and the prompt; nothing was suspended."""


class AlreadyResumedError(StackfulError, RuntimeError):
    """A one-shot resumption was resumed a second time."""


class UnhandledError(StackfulError, LookupError):
    """An operation was performed that no handler in force answers; the message lists those that are."""


class PromptNotFoundError(StackfulError, LookupError):
    """No prompt with that tag is on the stack, or none that can be reached; nothing was captured."""


class ChannelClosedError(StackfulError, ValueError):
    """A task sends on a closed channel, or receives from one on which nobody waits to send."""


class DeadlockError(StackfulError, RuntimeError):
    """All tasks wait; the message says for what, and at which lines. ``tasks`` are those tasks."""

    def __init__(self, message: str, tasks: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.tasks = tasks


class FiberExit(BaseException):
    """Raised at the suspension of a fiber that is closed, so that its ``finally`` blocks run."""


class SnapshotError(StackfulError):
    """The base of all errors about snapshots."""


class ReconnectError(SnapshotError):
    """What a snapshot refers to outside of the program is not there any more, or is not what it was; nothing was changed."""


class UnsaveableError(SnapshotError, TypeError):
    """A value that no snapshot can hold.

    ``path`` says where it stands (``frame "load" line 12, local "conn"``), ``value_type`` what it is.
    """

    def __init__(self, message: str, path: str = "", value_type: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.value_type = value_type

    def __reduce__(self) -> tuple[type[UnsaveableError], tuple[str, str, str]]:
        return type(self), (str(self), self.path, self.value_type)


class SealError(SnapshotError):
    """The bytes are not what was sealed (or sealed with another key); nothing was unpickled."""


class SnapshotFormatError(SnapshotError):
    """The bytes are no snapshot, are cut short, or hold frames that cannot be."""


class SnapshotVersionError(SnapshotError):
    """The snapshot was made by another Python version, or by a later Stackful."""


class NameRefusedError(SnapshotError):
    """The snapshot names something that loading it may not reach; ``name`` is what, as ``module:name``.

    The message says how to allow it.
    """

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name

    def __reduce__(self) -> tuple[type[NameRefusedError], tuple[str, str]]:
        return type(self), (str(self), self.name)


class CodeChangedError(SnapshotError):
    """The code that a snapshot refers to is not what it was when the snapshot was made.

    ``function`` is its qualified name, ``diff`` the lines that changed, as far as they are known; the message has both.
    """

    def __init__(self, message: str, function: str = "", diff: str = "") -> None:
        super().__init__(message)
        self.function = function
        self.diff = diff

    def __reduce__(self) -> tuple[type[CodeChangedError], tuple[str, str, str]]:
        return type(self), (str(self), self.function, self.diff)


class StoreError(StackfulError):
    """The store of runs cannot be read or written.

    ``is_final``: it never takes this; else the same may succeed later, when the disk has room again, or the database is back.
    """

    is_final = False

    def __init__(self, message: str = "", *, is_final: bool = False) -> None:
        super().__init__(message)
        if is_final:
            self.is_final = True


class KeyFileError(StoreError):
    """The file of keys that seal snapshots cannot be read or written, or holds something else."""


class RunNotFoundError(StoreError, LookupError):
    """No run in the store has that id."""

    is_final = True


class RunLockedError(StoreError):
    """Another process is at work on this run."""


class RunFailedError(StackfulError):
    """A durable run that somebody waited for did not finish: it failed, or was cancelled.

    ``run`` is its id, ``status`` how it ended, ``text`` the traceback or the reason. ``__cause__`` is the exception that ended it, where that
    could be stored.
    """

    def __init__(self, message: str, run: str = "", status: str = "", text: str = "") -> None:
        super().__init__(message)
        self.run = run
        self.status = status
        self.text = text

    def __reduce__(self) -> tuple[type[RunFailedError], tuple[str, str, str, str]]:
        return type(self), (str(self), self.run, self.status, self.text)


class RunCancelled(BaseException):
    """Raised in a durable run, where it is suspended, when somebody asked for its end; ``finally`` blocks run, and may take steps.

    Like :class:`FiberExit` it is a signal and no error: ``except Exception`` lets it through.

    Attributes:
        recorded: ``(result,)`` where it was raised by a step or a transaction that had just been recorded, and now does not return: what was
            done can be undone. Else ``()``.
    """

    recorded: tuple[object, ...] = ()


class DeadlineError(RunCancelled):
    """Raised in a durable run as :class:`RunCancelled` is, when its deadline has passed."""
