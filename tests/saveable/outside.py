"""Exceptions, contexts, managers in progress, random numbers, locks, files, streams, loggers, and what is refused."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import csv
import decimal
import hashlib
import importlib
import io
import logging
import mmap
import os
import queue
import random
import selectors
import socket
import sqlite3
import string
import subprocess
import sys
import tempfile
import threading
import traceback
import types
import zlib
from pathlib import Path

from saveable import BY_NAME, BY_VALUE, FORKED, RECONNECTED, REFUSED, family

errors = family("Exceptions")


class OwnError(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")
        self.code = code

    def __reduce__(self):
        return OwnError, (self.code,)


def raised():
    try:
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("wrong") from error
    except ValueError as error:
        error.add_note("a note")
        return error


def in_context():
    try:
        try:
            1 / 0
        finally:
            raise OwnError(5)
    except OwnError as error:
        return error


def group():
    return ExceptionGroup("several", [raised(), ExceptionGroup("inner", [OwnError(1)])])


def shown(error):
    """As people see it, with all that hangs on it, but for the carets, which need the frame."""
    lines = traceback.format_exception(error)
    return [line for text in lines for line in text.splitlines() if line.strip(" |~^+-")]


def deep():
    def down(n):
        return n and down(n - 1) or 1 / 0

    try:
        down(300)
    except ZeroDivisionError as error:
        return error


ERRORS = {
    "OSError": lambda: OSError(2, "No such file", "a", None, "b"),
    "UnicodeDecodeError": lambda: UnicodeDecodeError("utf-8", b"a", 0, 1, "why"),
    "StopIteration": lambda: StopIteration(1),
    "SystemExit": lambda: SystemExit(2),
    "SyntaxError": lambda: SyntaxError("bad", ("file.py", 1, 2, "text")),
    "AttributeError": lambda: AttributeError("no", name="a"),
    "ImportError": lambda: ImportError("no", name="m", path="p"),
    "an error of the program": lambda: OwnError(3),
}
for _name, _make in ERRORS.items():
    errors(_name, BY_VALUE, lambda error: (type(error), error.args, str(error), vars(error)), make=_make)
errors(
    "exception with traceback, cause and note", BY_VALUE, shown, remark="without the locals of its frames", make=raised
)
errors("exception with context", BY_VALUE, shown, make=in_context)
errors("exception of 300 calls", BY_VALUE, shown, make=deep)
errors("ExceptionGroup", BY_VALUE, shown, make=group)
errors(
    "traceback", BY_VALUE, lambda tb: [(e.filename, e.lineno, e.name) for e in traceback.extract_tb(tb)],
    make=lambda: raised().__traceback__,
)  # fmt: skip
errors(
    "traceback.TracebackException", BY_VALUE, lambda it: list(it.format())[-1],
    make=lambda: traceback.TracebackException.from_exception(raised()),
)  # fmt: skip

contexts = family("Contexts and managers in progress")
VARIABLE = contextvars.ContextVar("VARIABLE", default="default")


def own_variable():
    variable = contextvars.ContextVar("own", default=[1])
    context = contextvars.Context()
    context.run(variable.set, 2)
    return variable, context


def with_token():
    context = contextvars.Context()
    context.run(VARIABLE.set, 1)
    token = context.run(VARIABLE.set, 2)
    return context, token


def undone(pair):
    context, token = pair
    before = context[VARIABLE]
    context.run(VARIABLE.reset, token)
    return before, context[VARIABLE], token.old_value


def first_token():
    context = contextvars.Context()
    return context, context.run(VARIABLE.set, 2)


@contextlib.contextmanager
def managed(log):
    log.append("enter")
    try:
        yield log
    finally:
        log.append("exit")


def entered():
    log = []
    manager = managed(log)
    manager.__enter__()
    return manager, log


def left(pair):
    manager, log = pair
    manager.__exit__(None, None, None)
    return log


def stack():
    log = []
    made = contextlib.ExitStack()
    made.enter_context(managed(log))
    made.callback(log.append, "called")
    return made, log


def local_decimals():
    manager = decimal.localcontext(decimal.Context(prec=5))
    return manager, decimal.Context(prec=7)


def of_local_decimals(pair):
    def inside():
        with pair[0] as context:
            return context.prec, str(decimal.Decimal(1) / 3)

    return contextvars.copy_context().run(inside), pair[1].prec


contexts("contextvars.ContextVar (of a module)", BY_NAME, lambda it: it is VARIABLE, make=lambda: VARIABLE)
contexts(
    "contextvars.ContextVar and Context (local)", BY_VALUE, lambda p: (p[0].name, p[0].get(), p[1][p[0]]), make=own_variable
)  # fmt: skip
contexts("contextvars.Token", BY_VALUE, undone, make=with_token)
contexts(
    "contextvars.Token (first value)",
    BY_VALUE,
    lambda p: (p[1].old_value is p[1].MISSING, undone_first(p)),
    make=first_token,
)
contexts("contextlib.contextmanager, entered", FORKED, left, make=entered)
contexts("contextlib.ExitStack, entered", FORKED, left, make=stack)
contexts(
    "contextlib.suppress",
    BY_VALUE,
    lambda it: it.__exit__(KeyError, KeyError(), None),
    make=lambda: contextlib.suppress(KeyError),
)
contexts("contextlib.nullcontext", BY_VALUE, lambda it: it.__enter__(), make=lambda: contextlib.nullcontext(1))
contexts(
    "contextlib.closing", BY_VALUE, lambda it: it.thing.getvalue(), make=lambda: contextlib.closing(io.StringIO("a"))
)
contexts(
    "contextlib.redirect_stdout",
    BY_VALUE,
    lambda it: it._new_target.getvalue(),
    make=lambda: contextlib.redirect_stdout(io.StringIO("a")),
)
contexts("contextlib.chdir", BY_VALUE, lambda it: it.path, make=lambda: contextlib.chdir("/"))
contexts("decimal.localcontext", BY_VALUE, of_local_decimals, since=(3, 13), make=local_decimals)


def undone_first(pair):
    context, token = pair
    context.run(VARIABLE.reset, token)
    return list(context)


chance = family("Random numbers")
chance("random.Random", BY_VALUE, lambda it: [it.random() for _ in range(3)], make=lambda: advanced_random())
chance("random.SystemRandom", BY_VALUE, lambda it: 0 <= it.random() < 1, make=random.SystemRandom)
chance("functions of random", BY_NAME, lambda it: it == random.random, make=lambda: random.random)


def advanced_random():
    made = random.Random(5)
    made.gauss(0, 1)
    return made


def numpy():
    return importlib.import_module("numpy")


def pandas():
    return importlib.import_module("pandas")


def generator_of_numpy():
    made = numpy().random.default_rng(5)
    made.random(3)
    return made


def old_generator_of_numpy():
    made = numpy().random.RandomState(5)
    made.normal()
    return made


arrays = family("Arrays and tables")
NUMPY = {
    "ndarray": lambda: numpy().arange(6).reshape(2, 3),
    "ndarray (view of another)": lambda: numpy().arange(6)[::2],
    "ndarray (Fortran order)": lambda: numpy().asfortranarray(numpy().ones((2, 3))),
    "ndarray (records)": lambda: numpy().array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "ndarray (objects)": lambda: numpy().array([1, "a", None], dtype=object),
    "scalar": lambda: numpy().float32(1.5),
}
for _name, _make in NUMPY.items():
    arrays(
        f"numpy {_name}",
        BY_VALUE,
        lambda a: (a.tolist(), str(a.dtype), a.flags.fnc),
        needs="numpy",
        make=_make,
    )
arrays("numpy dtype", BY_VALUE, str, needs="numpy", make=lambda: numpy().dtype("f4"))
arrays("numpy.random.Generator", BY_VALUE, lambda g: g.random(3).tolist(), needs="numpy", make=generator_of_numpy)
arrays(
    "numpy.random.RandomState",
    BY_VALUE,
    lambda g: g.normal(size=3).tolist(),
    needs="numpy",
    make=old_generator_of_numpy,
)
arrays(
    "pandas.DataFrame",
    BY_VALUE,
    lambda t: (t.to_dict(), t.dtypes.map(str).to_dict()),
    needs="pandas",
    make=lambda: frame(),
)
arrays("pandas.Series", BY_VALUE, lambda s: s.to_dict(), needs="pandas", make=lambda: frame()["b"])
arrays(
    "pandas: iterrows() in a loop",
    FORKED,
    lambda it: [row.to_dict() for _, row in it],
    needs="pandas",
    make=lambda: rows(),
)


def frame():
    return pandas().DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}, index=["p", "q", "r"])


def rows():
    made = frame().iterrows()
    next(made)
    return made


locks = family("Threads and locks")


def held(make):
    def made():
        lock = make()
        lock.acquire()
        return lock

    return made


def taken(lock):
    return lock.acquire(blocking=False), lock.release()


def full_queue(kind):
    def made():
        waiting = kind()
        waiting.put(1)
        waiting.put(2)
        return waiting

    return made


def local_of_thread():
    made = threading.local()
    made.x = 1
    return made


HELD = "that is held belongs to a thread"
locks("threading.Lock", BY_VALUE, taken, make=threading.Lock)
locks("threading.RLock", BY_VALUE, taken, make=threading.RLock)
locks("threading.Lock (held)", REFUSED, because=HELD, make=held(threading.Lock))
locks("threading.RLock (held)", REFUSED, because=HELD, make=held(threading.RLock))
locks("threading.Condition", BY_VALUE, taken, make=threading.Condition)
locks("threading.Semaphore", BY_VALUE, taken, make=lambda: threading.Semaphore(2))
locks("threading.Event", BY_VALUE, lambda it: (it.is_set(), it.set(), it.wait(0)), make=threading.Event)
locks("threading.Barrier", BY_VALUE, lambda it: (it.parties, it.n_waiting), make=lambda: threading.Barrier(2))
locks("threading.local", BY_VALUE, vars, remark="with what the saving thread has in it", make=local_of_thread)
locks("threading.main_thread()", BY_NAME, lambda it: it is threading.main_thread(), make=threading.main_thread)
locks("threading.Thread", REFUSED, because="threads are not saved", make=lambda: threading.Thread(target=len))
locks("threading.Timer", REFUSED, because="threads are not saved", make=lambda: threading.Timer(1, len))
locks("queue.Queue", BY_VALUE, lambda it: (it.get(), it.get(), it.empty()), make=full_queue(queue.Queue))
locks("queue.SimpleQueue", BY_VALUE, lambda it: (it.get(), it.get(), it.empty()), make=full_queue(queue.SimpleQueue))
locks("concurrent.futures.Future", BY_VALUE, lambda it: it.done(), make=concurrent.futures.Future)
locks("ThreadPoolExecutor", REFUSED, because="threads or processes", make=concurrent.futures.ThreadPoolExecutor)
locks("asyncio.Lock", BY_VALUE, lambda it: it.locked(), make=asyncio.Lock)
locks("asyncio.Queue", BY_VALUE, lambda it: it.qsize(), make=asyncio.Queue)
locks("an event loop", REFUSED, because="lives in its process", make=lambda: kept(asyncio.new_event_loop(), "close"))

files = family("Files and streams")
FOLDER = Path(tempfile.gettempdir()) / f"stackful-saveable-{os.getuid()}"
LINES = "first\nsecönd\r\nthird\nfourth\n"
_open = []


def kept(opened, close="close"):
    """It is closed when the next one is made: a test has it to itself."""
    while _open:
        with contextlib.suppress(
            FileNotFoundError
        ):  # a temporary file that was restored had the same name, and has removed it
            _open.pop()()
    _open.append(getattr(opened, close))
    return opened


def opened(mode, **how):
    def made():
        FOLDER.mkdir(exist_ok=True)
        path = FOLDER / "file.txt"
        path.write_bytes(LINES.encode())
        return kept(path.open(mode, **how))

    return made


def read_first(mode, **how):
    def made():
        file = opened(mode, **how)()
        file.readline()
        return file

    return made


def in_loop(**how):
    def made():
        file = opened("r", encoding="utf-8", **how)()
        for line in file:
            if line.startswith("sec"):
                return file

    return made


def read_rest(file):
    with file:
        return file.read(), file.name, file.mode


def written(mode):
    def made():
        file = opened(mode, **({} if "b" in mode else {"encoding": "utf-8"}))()
        file.write("written" if "b" not in mode else b"written")
        file.flush()  # what another process restores is made anew before, and then it is to be on disk
        return file

    return made


def write_more(file):
    with file:
        file.write(" more" if "b" not in file.mode else b" more")
    return Path(file.name).read_bytes(), file.mode


def closed_file():
    file = opened("r", encoding="utf-8")()
    file.close()
    return file


def temporary(make):
    def made():
        file = kept(make())
        file.write(b"some bytes")
        file.seek(5)
        return file

    return made


OPEN = "reopened at the same offset; an error where what was in it has changed"
CUT = "reopened, and cut back to the length that it had"
files("open file, text", RECONNECTED, read_rest, remark=OPEN, make=read_first("r", encoding="utf-8"))
files("open file, text, within a loop over its lines", RECONNECTED, read_rest, make=in_loop())
files("open file, text, newline=''", RECONNECTED, read_rest, make=in_loop(newline=""))
files("open file, binary", RECONNECTED, read_rest, make=read_first("rb"))
files("open file, unbuffered", RECONNECTED, read_rest, make=read_first("rb", buffering=0))
files("open file, written", RECONNECTED, write_more, remark=CUT, make=written("w"))
files("open file, written, binary", RECONNECTED, write_more, make=written("wb"))
files("open file, appended to", RECONNECTED, write_more, remark="reopened, and not cut back", make=written("a"))
files("open file, read and written", RECONNECTED, write_more, make=written("r+"))
files("closed file", BY_VALUE, lambda it: (it.closed, it.name), make=closed_file)
files("csv.reader of an open file", RECONNECTED, list, make=lambda: csv_reader())
files("csv.DictReader", FORKED, lambda it: (list(it), it.line_num), make=lambda: dict_reader())
files(
    "csv.writer", BY_VALUE, lambda pair: (pair[1].writerow([1, "a,b"]), pair[0].getvalue()), make=lambda: csv_writer()
)
files("io.StringIO", BY_VALUE, lambda it: it.read(), make=lambda: advanced_io(io.StringIO("abc")))
files("io.BytesIO", BY_VALUE, lambda it: it.read(), make=lambda: advanced_io(io.BytesIO(b"abc")))
files("tempfile.TemporaryFile", BY_VALUE, lambda it: it.read(), make=temporary(tempfile.TemporaryFile))
files(
    "tempfile.NamedTemporaryFile",
    RECONNECTED,
    lambda it: it.read(),
    remark="made again, with its content, where it is gone",
    make=temporary(tempfile.NamedTemporaryFile),
)
files("tempfile.SpooledTemporaryFile", BY_VALUE, lambda it: it.read(), make=temporary(tempfile.SpooledTemporaryFile))
files(
    "sys.stdout",
    RECONNECTED,
    lambda it: it is sys.__stdout__,
    remark="that of the loading process",
    make=lambda: sys.__stdout__,
)
files("sys.stdout.buffer", RECONNECTED, lambda it: it is sys.__stdout__.buffer, make=lambda: sys.__stdout__.buffer)
files("a pipe", REFUSED, because="no path by which it could be opened|pipe or socket", make=lambda: a_pipe())
files("a file that has been removed", BY_VALUE, lambda it: it.read(), make=lambda: removed())
files("a file that has been renamed", REFUSED, because="renamed or removed", make=lambda: renamed())
files("os.scandir()", REFUSED, because="a folder that is open", make=lambda: kept(os.scandir(".")))
files("mmap.mmap", REFUSED, because="belongs to its process", make=lambda: kept(mmap.mmap(-1, 10)))


def csv_reader():
    made = csv.reader(opened("r", encoding="utf-8", newline="")())
    next(made)
    return made


def dict_reader():
    made = csv.DictReader(["a,b", "1,2", "3,4"])
    next(made)
    return made


def csv_writer():
    file = io.StringIO()
    return file, csv.writer(file, lineterminator="|")


def advanced_io(file):
    file.read(1)
    return file


def a_pipe():
    read, write = os.pipe()
    os.close(write)
    return kept(open(read, "rb"))


def removed():
    file = read_first("r", encoding="utf-8")()
    os.unlink(file.name)
    return file


def renamed():
    file = read_first("r", encoding="utf-8")()
    os.rename(file.name, f"{file.name}.old")
    return file


logs = family("Logging")


def a_handler():
    made = logging.StreamHandler(io.StringIO())
    made.setFormatter(logging.Formatter("%(levelname)s %(message)s", validate=True))
    return made


def emitted(handler):
    handler.emit(logging.makeLogRecord({"msg": "hello", "levelname": "INFO"}))
    return handler.stream.getvalue()


logs(
    "logging.Logger",
    BY_NAME,
    lambda it: it is logging.getLogger("saveable"),
    make=lambda: logging.getLogger("saveable"),
)
logs("the root logger", BY_NAME, lambda it: it is logging.getLogger(), make=logging.getLogger)
logs(
    "logging.LoggerAdapter",
    BY_VALUE,
    lambda it: it.extra,
    make=lambda: logging.LoggerAdapter(logging.getLogger("a"), {"b": 1}),
)
logs(
    "logging.LogRecord",
    BY_VALUE,
    lambda it: it.getMessage(),
    make=lambda: logging.makeLogRecord({"msg": "a%s", "args": (1,)}),
)
logs("logging.StreamHandler", BY_VALUE, emitted, make=a_handler)

others = family("Refused, with a way out")
others("socket.socket", REFUSED, because="register a reconnector", make=lambda: kept(socket.socket()))
others("sqlite3.Connection", REFUSED, because="register a reconnector", make=lambda: kept(sqlite3.connect(":memory:")))
others(
    "sqlite3.Cursor",
    REFUSED,
    because="belongs to a connection",
    make=lambda: kept(sqlite3.connect(":memory:")).cursor(),
)
others("subprocess.Popen", REFUSED, because="a process is none of the program's memory", make=lambda: a_process())
others("a selector", REFUSED, because="lives in its process", make=lambda: kept(selectors.DefaultSelector()))
others("hashlib objects", REFUSED, because="inside of a C library", make=lambda: hashlib.sha256(b"a"))
others("zlib.compressobj()", REFUSED, because="inside of a C library", make=zlib.compressobj)
others("frame object", REFUSED, because="a frame object shows a frame", make=sys._getframe)
others("PyCapsule", REFUSED, because="a pointer of a C extension", make=lambda: capsule())
others(
    "a type that pickle does not know",
    REFUSED,
    because="cannot pickle",
    make=lambda: types.CellType and string.Formatter().parse("a"),
)


def capsule():
    import _datetime

    return _datetime.datetime_CAPI


def a_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process
