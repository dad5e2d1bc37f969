"""One process for one run: an advisory lock that the system takes back when its holder dies."""

from __future__ import annotations

import fcntl
import os
import time

from stackful.errors import RunLockedError, StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from os import PathLike

__all__ = ["HeldFile", "RunLock", "is_locked"]


class HeldFile:
    """A file that is locked as long as its process holds it; the system lets it go, however that ends."""

    _path: str
    _file: int

    def release(self) -> None:
        """Let it go, name and all; harmless when done twice."""
        if self._file >= 0:
            # First the name, then the lock: whoever waits for the old file notices that it lost its name.
            try:
                os.unlink(self._path)
            except OSError:
                pass  # it is gone, or its folder cannot be written: nobody holds the file that stays
            self.forget()

    def forget(self) -> None:
        """In a forked child: the lock stays with the parent alone."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class RunLock(HeldFile):
    """The right to work on a run, held from construction to :meth:`release` or to the end of the process.

    Args:
        store: the path of the store; the lock is a file beside it.
        run_id: the run.

    Raises:
        RunLockedError: another process holds it; the message names the process.
        StoreError: the lock file cannot be made.

    Example:
        >>> lock = RunLock(Path(".stackful/runs.db"), "crossref-k3f9")  # doctest: +SKIP
        >>> lock.release()  # doctest: +SKIP
    """

    def __init__(self, store: str | PathLike[str], run_id: str) -> None:
        self.run_id = run_id
        self._path = _path_of(store, run_id)
        self._file = _lock(self._path, run_id)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())


def is_locked(store: str | PathLike[str], run_id: str) -> bool:
    """Whether some process, this one included, is at work on the run."""
    try:
        file = os.open(_path_of(store, run_id), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return not _try_lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _path_of(store: str | PathLike[str], run_id: str) -> str:
    return f"{os.fspath(store)}-{run_id}.lock"


def _lock(path: str, run_id: str) -> int:
    """An open file that holds the lock and still is the one at ``path``."""
    while True:
        file = _open(path)
        if not _insist(file):
            holder = os.read(file, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            raise RunLockedError(f"run {run_id} is being worked on by process {holder}; wait for it, or end it first")
        if _is_at(path, file):
            return file
        os.close(file)  # its holder released it, name and all, while we opened it


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"the lock file {path} cannot be made: {error.strerror}; see to it, or use --store") from error


def _insist(file: int) -> bool:
    """Lock a file; ``is_locked`` of another process may stand in the way for a moment."""
    for _ in range(20):
        if _try_lock(file, fcntl.LOCK_EX):
            return True
        time.sleep(0.01)
    return False


def _try_lock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_at(path: str, file: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(file))
    except FileNotFoundError:
        return False
