"""How processes that share an SQLite file hear of one another: datagrams beside it, and locks that tell who lives. Nobody polls."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from itertools import count

from stackful.durable.locks import HeldFile
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LifeLock", "Wakeups"]

_numbers = count()
# A socket's queue holds a few datagrams (net.unix.max_dgram_qlen): whoever finds that many may have missed one.
_BURST = 8
# Nanoseconds: longer than any kernel's tick.
_TICK = 100_000_000

_log = logging.getLogger("stackful.durable")


class Wakeups:
    """The callbacks of this process, and a thread that calls them for what others did.

    Args:
        path: the store; sockets are files beside it.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._callbacks: dict[int, Callable[[str, str], None]] = {}
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._name = ""
        self._others: tuple[int, list[str]] = (-1, [])

    def add(self, callback: Callable[[str, str], None]) -> Callable[[], None]:
        """Call it from now on; what is returned ends that."""
        number = next(_numbers)
        with self._lock:
            if self._socket is None:
                self._open()
            self._callbacks[number] = callback

        def end() -> None:
            with self._lock:
                self._callbacks.pop(number, None)
                if not self._callbacks:
                    self._close()

        return end

    def tell(self, told: Sequence[tuple[str, str]]) -> None:
        """Tell everybody, here and in other processes."""
        if not told:
            return
        distinct = list(dict.fromkeys(told))
        for kind, subject in distinct:
            self.call(kind, subject)
        try:
            for name in self._listeners():
                for kind, subject in distinct:
                    self._send(name, f"{kind} {subject}".encode())
        except (
            OSError
        ) as error:  # no file descriptor is left; what is told of is committed, and no reason to do it again
            _log.warning("other processes that use %s could not be told of what changed: %s", self._path, error)

    def call(self, kind: str, subject: str = "") -> None:
        """Call the callbacks of this process."""
        for callback in list(self._callbacks.values()):
            callback(kind, subject)

    def close(self) -> None:
        """Nobody listens any more."""
        with self._lock:
            self._callbacks.clear()
            self._close()

    def forget(self) -> None:
        """In a forked child: socket and thread are the parent's."""
        self._lock = threading.Lock()
        self._callbacks = {}
        mine, self._socket = self._socket, None
        if mine is not None:
            mine.close()

    def _open(self) -> None:
        self._name = f"{os.path.basename(self._path)}-{os.getpid()}-{next(_numbers)}.wake"
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            with _Folder(self._path) as folder:
                opened.bind(f"{folder}/{self._name}")
        except OSError as error:
            opened.close()
            raise StoreError(f"no socket can be made beside {self._path}: {error.strerror or error}") from error
        self._socket = opened
        threading.Thread(target=self._listen, args=[opened], name="stackful-wakeups", daemon=True).start()

    def _close(self) -> None:
        mine, self._socket = self._socket, None
        if mine is not None:
            self._unlink(self._name)
            try:
                mine.shutdown(socket.SHUT_RDWR)  # its thread comes out of recv
            except OSError:
                pass

    def _listen(self, mine: socket.socket) -> None:
        burst = 0
        while True:
            try:
                data = mine.recv(4096)
            except OSError:
                data = b""
            if not data or self._socket is not mine:
                mine.close()
                return
            kind, _, subject = data.decode().partition(" ")
            self.call(kind, subject)
            burst = burst + 1 if _is_readable(mine) else 0
            if burst >= _BURST:
                self.call("lost")

    def _listeners(self) -> list[str]:
        """The sockets of other processes; the folder is read again when something in it has come or gone."""
        folder, base = os.path.split(self._path)
        changed = os.stat(folder).st_mtime_ns
        # A folder that has just changed may change again within the same tick of the clock that its time is read from.
        if self._others[0] != changed or time.time_ns() - changed < _TICK:
            found = [n for n in os.listdir(folder) if n.startswith(f"{base}-") and n.endswith(".wake")]
            self._others = (changed, found)
        return [name for name in self._others[1] if name != self._name]

    def _send(self, name: str, data: bytes) -> None:
        with _Folder(self._path) as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            try:
                sender.sendto(data, f"{folder}/{name}")
            except BlockingIOError:
                pass  # its queue is full, which it will notice
            except OSError:
                self._unlink(name)  # nobody is there any more

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(os.path.join(os.path.dirname(self._path), name))
        except OSError:
            pass


class _Folder:
    """A short name for the folder of a store: the name of a socket holds 107 bytes."""

    def __init__(self, path: str) -> None:
        self._path = os.path.dirname(path)

    def __enter__(self) -> str:
        self._file = os.open(self._path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._file}"

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _is_readable(opened: socket.socket) -> bool:
    try:
        return bool(opened.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except OSError:
        return False


class LifeLock(HeldFile):
    """A file that is locked as long as its process lives; the system lets it go, however that ends.

    Args:
        path: the file; made here.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the file {path} cannot be made: {error.strerror}; see to it") from error
        fcntl.flock(self._file, fcntl.LOCK_EX)

    @staticmethod
    def is_held(path: str) -> bool:
        """Whether its process lives."""
        return _probe(path, fcntl.LOCK_SH | fcntl.LOCK_NB)

    @staticmethod
    def wait(path: str) -> None:
        """Return when its process has died: the system wakes us, at once."""
        _probe(path, fcntl.LOCK_SH)


def _probe(path: str, how: int) -> bool:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(file, how)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False
