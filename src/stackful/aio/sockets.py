"""What takes the place of the methods of sockets that block, and of looking names up."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import socket
import ssl
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from stackful._core import current, is_portal
from stackful.aio.descriptors import forget_descriptor, wait_for_data, wait_for_descriptor, watches
from stackful.aio.portals import await_, can_await
from stackful.aio.waiting import FOREVER, Deadline, in_thread
from stackful.errors import BarrierError
from stackful.fibers import suspend

__all__ = ["replacements"]

_Function = Callable[..., Any]
_settimeout: _Function = socket.SocketType.settimeout
_select_poll = select.poll
_AT_ONCE = int(getattr(socket, "MSG_DONTWAIT", 0))  # as an enumeration it is slow
_AGAIN = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EINPROGRESS, errno.EALREADY}


def _blocks(sock: socket.socket) -> bool:
    """Would the original block the thread, where a task could wait?"""
    return sock.gettimeout() != 0 and can_await() and sock.fileno() >= 0


def _wait(sock: socket.socket, to_write: bool, deadline: Deadline, what: str = "timed out") -> None:
    if not wait_for_descriptor(sock.fileno(), to_write, deadline.left()):
        raise TimeoutError(what)


def _is_ready(fd: int, to_write: bool) -> bool:
    poll = _select_poll()
    poll.register(fd, select.POLLOUT if to_write else select.POLLIN)
    return bool(poll.poll(0))


# ---- operations that take flags: one of them is not to wait ------------------------------------------------

# Of each, its arguments with flags added.
_READS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "recv": lambda size, flags=0: (size, flags | _AT_ONCE),
    "recv_into": lambda buffer, nbytes=0, flags=0: (buffer, nbytes, flags | _AT_ONCE),
    "recvfrom": lambda size, flags=0: (size, flags | _AT_ONCE),
    "recvfrom_into": lambda buffer, nbytes=0, flags=0: (buffer, nbytes, flags | _AT_ONCE),
    "recvmsg": lambda size, ancillary=0, flags=0: (size, ancillary, flags | _AT_ONCE),
    "recvmsg_into": lambda buffers, ancillary=0, flags=0: (buffers, ancillary, flags | _AT_ONCE),
}
_WRITES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "send": lambda data, flags=0: (data, flags | _AT_ONCE),
    "sendto": lambda data, flags, *address: (data, flags | _AT_ONCE, *address) if address else (data, _AT_ONCE, flags),
    "sendmsg": lambda buffers, ancillary=(), flags=0, *address: (buffers, ancillary, flags | _AT_ONCE, *address),
}


def _with_flags(original: _Function, add: Callable[..., tuple[Any, ...]], to_write: bool) -> _Function:
    @wraps(original)
    def operation(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        try:
            flagged = add(*args, **kwargs)
        except TypeError:
            return original(self, *args, **kwargs)  # it knows best what is wrong
        if _AT_ONCE and self.gettimeout() is None:  # as a rule it has not to wait
            try:
                return original(self, *flagged)
            except BlockingIOError:
                if flagged == args:
                    raise  # the program has asked for that
            if can_await():
                wait_for_descriptor(self.fileno(), to_write, None)
                return _transfer(self, original, flagged, to_write, FOREVER)
        if not _blocks(self):
            return original(self, *args, **kwargs)
        return _transfer(self, original, flagged, to_write, Deadline(self.gettimeout()))

    return operation


def _recv(original: _Function, general: _Function) -> _Function:
    """What servers do most is written out here: each call of a Python function counts, each frame that is parked, and each call of the kernel."""

    @wraps(original)
    def recv(self: socket.socket, size: int, flags: int = 0, /) -> Any:
        if flags or type(size) is not int or self.gettimeout() is not None:
            return general(self, size, flags)
        watch = watches.get(id(self))
        if watch is not None and watch.is_drained and is_portal(current()) and watch.begin(self.fileno()):
            try:
                suspend(watch)
            except BarrierError:
                watch.give_up()
            except BaseException:
                watch.give_up()
                raise
        while True:
            if watch is None or not watch.is_drained:
                try:
                    if watch is not None:
                        watch.is_drained = True
                    data = original(self, size, _AT_ONCE)
                    if watch is not None and not (watch.ends_short and len(data) < size):
                        watch.is_drained = False
                    return data
                except BlockingIOError:
                    pass
                except BaseException:
                    if watch is not None:
                        watch.is_drained = False
                    raise
            if not wait_for_data(self):
                return original(self, size)
            watch = watches.get(id(self))

    return recv


def _listing(operation: _Function) -> _Function:
    """It may be attempted more than once: an iterator of buffers would be used up."""

    @wraps(operation)
    def listing(self: socket.socket, buffers: Any, *args: Any) -> Any:
        return operation(self, buffers if isinstance(buffers, list | tuple) else list(buffers), *args)

    return listing


def _transfer(
    sock: socket.socket, original: _Function, args: tuple[Any, ...], to_write: bool, deadline: Deadline
) -> Any:
    while True:
        # A socket with a timeout waits for that long before it looks at the flags.
        if (_AT_ONCE and sock.gettimeout() is None) or _is_ready(sock.fileno(), to_write):
            try:
                return original(sock, *args)
            except BlockingIOError:
                pass
        _wait(sock, to_write, deadline)


def _sendall(original: _Function) -> _Function:
    send = socket.SocketType.send

    @wraps(original)
    def sendall(self: socket.socket, data: Any, flags: int = 0) -> None:
        sent = 0
        if _AT_ONCE and self.gettimeout() is None:  # as a rule it takes all
            try:
                sent = send(self, data, flags | _AT_ONCE)
            except BlockingIOError:
                pass
            if type(data) is bytes and sent == len(data):
                return
        with memoryview(data) as view, view.cast("B") as rest:
            _send_rest(self, original, rest[sent:], flags)

    return sendall


def _send_rest(sock: socket.socket, original: _Function, rest: memoryview, flags: int) -> None:
    if not _blocks(sock):
        original(sock, rest, flags)
        return
    deadline = Deadline(sock.gettimeout())
    while rest:
        rest = rest[_transfer(sock, socket.SocketType.send, (rest, flags | _AT_ONCE), True, deadline) :]


# ---- operations without flags ---------------------------------------------------------------------------


def _at_once(sock: socket.socket, original: _Function, *args: Any, **kwargs: Any) -> Any:
    """The operation, on a socket that does not block while it lasts."""
    timeout = sock.gettimeout()
    _settimeout(sock, 0.0)
    try:
        return original(sock, *args, **kwargs)
    finally:
        if sock.fileno() >= 0:
            _settimeout(sock, timeout)


def _accept(original: _Function) -> _Function:
    @wraps(original)
    def accept(self: socket.socket) -> Any:
        if not _blocks(self):
            return original(self)
        deadline = Deadline(self.gettimeout())
        while True:
            try:
                return _at_once(self, original)
            except BlockingIOError:
                _wait(self, False, deadline)

    return accept


def _connect(original: _Function) -> _Function:
    connect_ex = socket.SocketType.connect_ex

    @wraps(original)
    def connect(self: socket.socket, address: Any) -> None:
        if not _blocks(self):
            original(self, address)
            return
        code = _connected(self, connect_ex, address)
        if code == errno.EWOULDBLOCK:
            raise TimeoutError("timed out")
        if code != 0:
            raise OSError(code, os.strerror(code))

    return connect


def _connect_ex(original: _Function) -> _Function:
    @wraps(original)
    def connect_ex(self: socket.socket, address: Any) -> int:
        return _connected(self, original, address) if _blocks(self) else original(self, address)

    return connect_ex


def _connected(sock: socket.socket, connect_ex: _Function, address: Any) -> int:
    """0, or the number of the error; EWOULDBLOCK when the time is over."""
    address = _resolved(sock, address)
    deadline = Deadline(sock.gettimeout())
    code: int = _at_once(sock, connect_ex, address)
    while code == errno.EAGAIN and sock.family == socket.AF_UNIX:  # its queue is full, and nothing tells when it is not
        if deadline.is_over():
            return errno.EWOULDBLOCK
        await_(asyncio.sleep(0.001))
        code = _at_once(sock, connect_ex, address)
    if code not in _AGAIN:
        return code
    if not wait_for_descriptor(sock.fileno(), True, deadline.left()):
        return errno.EWOULDBLOCK
    code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return 0 if code == errno.EISCONN else code


def _resolved(sock: socket.socket, address: Any) -> Any:
    """The address with a number for the name of its host, which `connect` would look up while all wait."""
    if sock.family not in {socket.AF_INET, socket.AF_INET6} or not isinstance(address, tuple) or len(address) < 2:
        return address
    host, port, *rest = address
    if not isinstance(host, str) or not isinstance(port, int) or _is_number(host):
        return address
    found = socket.getaddrinfo(host, port, sock.family, sock.type, sock.proto)
    return (*found[0][4][:2], *rest)


def _is_number(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except (OSError, ValueError):
            continue
        return True
    return host in {"", "<broadcast>"}


def _sendfile(original: _Function) -> _Function:
    @wraps(original)
    def sendfile(self: socket.socket, *args: Any, **kwargs: Any) -> Any:
        return (self._sendfile_use_send if _blocks(self) else partial(original, self))(*args, **kwargs)  # type: ignore[attr-defined]

    return sendfile


def _real_close(original: _Function) -> _Function:
    @wraps(original)
    def real_close(self: socket.socket, *args: Any) -> None:
        forget_descriptor(self.fileno())
        original(self, *args)

    return real_close


# ---- TLS: OpenSSL says what it waits for --------------------------------------------------------------------


def _tls(original: _Function, what: str) -> _Function:
    asks_to_block = what == "handshake"  # of a socket without a timeout, by its one argument

    @wraps(original)
    def operation(self: ssl.SSLSocket, *args: Any, **kwargs: Any) -> Any:
        if self._sslobj is None or not _blocks(self):  # type: ignore[attr-defined]
            return original(self, *args, **kwargs)
        deadline = Deadline(self.gettimeout())
        if asks_to_block:
            args, kwargs = (), {}
        while True:
            try:
                return _at_once(self, original, *args, **kwargs)
            except ssl.SSLWantReadError:
                to_write = False
            except ssl.SSLWantWriteError:
                to_write = True
            _wait(self, to_write, deadline, f"The {what} operation timed out")

    return operation


_TLS = {"read": "read", "write": "write", "send": "write", "do_handshake": "handshake", "unwrap": "shutdown"}

# ---- names ---------------------------------------------------------------------------------------------------

_LOOK_UPS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo")


def _look_up(original: _Function) -> _Function:
    @wraps(original)
    def look_up(*args: Any, **kwargs: Any) -> Any:
        if not can_await():
            return original(*args, **kwargs)
        host = args[0] if args else kwargs.get("host")
        if original.__name__ in {"getaddrinfo", "gethostbyname"} and (
            host is None or (isinstance(host, str) and _is_number(host))
        ):
            return original(*args, **kwargs)
        return in_thread(original, *args, **kwargs)

    return look_up


def replacements() -> list[tuple[Any, str, Any]]:
    """(owner, name, what is to stand there)."""
    own: dict[str, _Function] = {
        name: _with_flags(getattr(socket.socket, name), flags, False) for name, flags in _READS.items()
    }
    own |= {name: _with_flags(getattr(socket.socket, name), flags, True) for name, flags in _WRITES.items()}
    own["recv"] = _recv(socket.socket.recv, own["recv"])
    own["recvmsg_into"] = _listing(own["recvmsg_into"])
    own["sendmsg"] = _listing(own["sendmsg"])
    own["sendall"] = _sendall(socket.socket.sendall)
    own["_accept"] = _accept(socket.socket._accept)  # type: ignore[attr-defined]
    own["connect"] = _connect(socket.socket.connect)
    own["connect_ex"] = _connect_ex(socket.socket.connect_ex)
    own["sendfile"] = _sendfile(socket.socket.sendfile)
    own["_real_close"] = _real_close(socket.socket._real_close)  # type: ignore[attr-defined]
    return [
        *((socket.socket, name, function) for name, function in own.items()),
        *((ssl.SSLSocket, name, _tls(getattr(ssl.SSLSocket, name), what)) for name, what in _TLS.items()),
        *((socket, name, _look_up(getattr(socket, name))) for name in _LOOK_UPS),
    ]
