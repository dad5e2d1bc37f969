"""What is not saved on purpose, and what to do instead: better than to save an object that does not work afterwards."""

from __future__ import annotations

import pickle

__all__ = ["REASONS", "RefusedError", "refuse"]


class RefusedError(pickle.PicklingError):
    """A value that is not saved; the text says why, and the way out.

    `culprit` is that value, where it is to be named even if parts of it cannot be saved either.
    """

    def __init__(self, reason: str, culprit: object = None) -> None:
        super().__init__(reason)
        self.culprit = culprit


_PROCESS = "a process is none of the program's memory: wait for it, or keep its arguments and start it again"
_THREAD = "threads are not saved: join it before, or use fibers or stackful.tasks, which are"
_LOOP = "an event loop lives in its process: save what the program knows, and start a loop after the restore"
_REGISTER = "it is a connection to what lives outside of the program: register a reconnector for its type"
_DIGEST = "its state is inside of a C library that does not give it: keep the bytes, or make it after the snapshot"
_POOL = "it has threads or processes, which are not saved: shut it down before, and make another afterwards"

REASONS: dict[str, str] = {
    "_hashlib.HASH": _DIGEST,
    "_hashlib.HMAC": _DIGEST,
    "_hashlib.HASHXOF": _DIGEST,
    "_thread._ThreadHandle": _THREAD,
    "asyncio.tasks.Task": _LOOP,
    "_asyncio.Task": _LOOP,
    "_asyncio.Future": _LOOP,
    "asyncio.unix_events._UnixSelectorEventLoop": _LOOP,
    "asyncio.runners.Runner": _LOOP,
    "builtins.frame": "a frame object shows a frame and is none; a fiber has frames: suspend within that function",
    "builtins.PyCapsule": "it is a pointer of a C extension",
    "concurrent.futures.process.ProcessPoolExecutor": _POOL,
    "concurrent.futures.thread.ThreadPoolExecutor": _POOL,
    "mmap.mmap": "a mapping belongs to its process: map the file again after the restore, or register a reconnector",
    "multiprocessing.context.Process": _PROCESS,
    "multiprocessing.pool.Pool": _POOL,
    "posix.ScandirIterator": "it reads a folder that is open: loop over sorted(os.scandir(...)) or Path.iterdir()",
    "select.epoll": _LOOP,
    "select.poll": _LOOP,
    "selectors.EpollSelector": _LOOP,
    "selectors.PollSelector": _LOOP,
    "selectors.SelectSelector": _LOOP,
    "socket.socket": _REGISTER,
    "sqlite3.Blob": _REGISTER,
    "sqlite3.Connection": _REGISTER,
    "sqlite3.Cursor": "it belongs to a connection, which is not saved: fetch what you need before the snapshot",
    "ssl.SSLContext": _REGISTER,
    "ssl.SSLSocket": _REGISTER,
    "subprocess.Popen": _PROCESS,
    "threading.Thread": _THREAD,
    "threading.Timer": _THREAD,
    "threading._DummyThread": _THREAD,
    "zlib.Compress": _DIGEST,
    "zlib.Decompress": _DIGEST,
    "_bz2.BZ2Compressor": _DIGEST,
    "_bz2.BZ2Decompressor": _DIGEST,
    "_lzma.LZMACompressor": _DIGEST,
    "_lzma.LZMADecompressor": _DIGEST,
}


def refuse(value: object) -> None:
    """`RefusedError` where values of its type are not saved."""
    kind = type(value)
    reason = REASONS.get(f"{kind.__module__}.{kind.__qualname__}")
    if reason is not None:
        raise RefusedError(reason, value)
