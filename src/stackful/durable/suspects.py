"""What a program's text tells of values that no snapshot holds: names that are bound to them while the program may be stored.

A reader of text does not know what a function returns. What is found here is a suspicion, with its place; the rehearsal knows.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from stackful.snapshot.codecs.refusals import REASONS

__all__ = ["Suspect", "find_suspects"]

_CONNECTION = REASONS["socket.socket"]

# What is called -> the type of what it gives.
_MAKERS: dict[str, str] = {
    "asyncio.get_event_loop": "asyncio.unix_events._UnixSelectorEventLoop",
    "asyncio.new_event_loop": "asyncio.unix_events._UnixSelectorEventLoop",
    "asyncio.Runner": "asyncio.runners.Runner",
    "concurrent.futures.ProcessPoolExecutor": "concurrent.futures.process.ProcessPoolExecutor",
    "concurrent.futures.ThreadPoolExecutor": "concurrent.futures.thread.ThreadPoolExecutor",
    "hmac.new": "_hashlib.HMAC",
    "inspect.currentframe": "builtins.frame",
    "mmap.mmap": "mmap.mmap",
    "multiprocessing.Pool": "multiprocessing.pool.Pool",
    "multiprocessing.Process": "multiprocessing.context.Process",
    "os.scandir": "posix.ScandirIterator",
    "selectors.DefaultSelector": "selectors.EpollSelector",
    "socket.create_connection": "socket.socket",
    "socket.create_server": "socket.socket",
    "socket.socket": "socket.socket",
    "sqlite3.connect": "sqlite3.Connection",
    "ssl.create_default_context": "ssl.SSLContext",
    "subprocess.Popen": "subprocess.Popen",
    "sys._getframe": "builtins.frame",
    "threading.Thread": "threading.Thread",
    "threading.Timer": "threading.Timer",
    "zlib.compressobj": "zlib.Compress",
    "zlib.decompressobj": "zlib.Decompress",
    **dict.fromkeys((f"hashlib.{name}" for name in ("blake2b", "md5", "new", "sha1", "sha256", "sha512")), "_hashlib.HASH"),
}  # fmt: skip

# Drivers that Stackful does not know otherwise.
_CONNECTORS = (
    "MySQLdb.connect",
    "asyncpg.connect",
    "psycopg.connect",
    "psycopg2.connect",
    "pymysql.connect",
    "redis.Redis",
)

_LOCKS = ("threading.Lock", "threading.RLock", "threading.Condition", "threading.Semaphore")
_CHECKPOINTS = ("stackful.checkpoint", "stackful.durable.checkpoints.checkpoint")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Suspect(NamedTuple):
    """A name that is bound to what no snapshot holds, while the program may be stored."""

    line: int
    function: str
    name: str
    kind: str
    reason: str


def find_suspects(source: bytes, filename: str) -> list[Suspect]:
    r"""The names of a program that are suspicious, in the order of its lines.

    Args:
        source: the bytes of the file.
        filename: what a `SyntaxError` names.

    Raises:
        SyntaxError: as under plain ``python``.

    >>> found = find_suspects(b"import sqlite3\ndb = sqlite3.connect('a')\nfor x in db: print(x)", "a.py")
    >>> [(suspect.line, suspect.name, suspect.kind) for suspect in found]
    [(2, 'db', 'sqlite3.Connection')]
    """
    tree = ast.parse(source, filename)
    reader = _Reader(tree)
    return sorted(reader.suspects())


class _Reader:
    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names = dict(_imported(tree))
        self._reconnected = {
            self._dotted(call.args[0])
            for call in ast.walk(tree)
            if isinstance(call, ast.Call) and call.args and self._dotted(call.func).rpartition(".")[2] == "reconnector"
        }
        self._locks = {_last(target) for target, call in _bindings(tree) if self._dotted(call.func) in _LOCKS}

    def suspects(self) -> Iterator[Suspect]:
        for function, body in _scopes(self._tree):
            yield from self._of_scope(function, body)
            yield from self._held_locks(function, body)

    def _of_scope(self, function: str, body: list[ast.stmt]) -> Iterator[Suspect]:
        nodes = list(_own_nodes(body))
        for target, call in _bindings(*nodes):
            found = self._unsaveable(call)
            name = _last(target)
            if found is not None and name and _is_stored_meanwhile(name, call, nodes):
                yield Suspect(call.lineno, function, name, *found)

    def _unsaveable(self, call: ast.Call) -> tuple[str, str] | None:
        called = self._dotted(call.func)
        kind = _MAKERS.get(called)
        if called in self._reconnected or kind in self._reconnected:
            return None
        if called in _CONNECTORS:
            return called, _CONNECTION
        return None if kind is None else (kind, REASONS[kind])

    def _held_locks(self, function: str, body: list[ast.stmt]) -> Iterator[Suspect]:
        for node in _own_nodes(body):
            if not isinstance(node, ast.With):
                continue
            held = [_last(item.context_expr) for item in node.items]
            if not any(self._dotted(call.func) in _CHECKPOINTS for call in _calls(node.body)):
                continue
            for name in held:
                if name in self._locks:
                    yield Suspect(
                        node.lineno, function, name, "_thread.lock", "it is held while checkpoint() is called"
                    )

    def _dotted(self, node: ast.expr) -> str:
        """The full name that an expression leads to, by the imports of the program; "" for anything else."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            outer = self._dotted(node.value)
            return f"{outer}.{node.attr}" if outer else ""
        return ""


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield (
                    (alias.asname or alias.name.partition(".")[0]),
                    (alias.name if alias.asname else alias.name.partition(".")[0]),
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _scopes(tree: ast.Module) -> Iterator[tuple[str, list[ast.stmt]]]:
    yield "<module>", tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.body


def _own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """All that is evaluated in a scope itself."""
    waiting: list[ast.AST] = list(reversed(body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, _FUNCTIONS):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _bindings(*nodes: ast.AST) -> Iterator[tuple[ast.expr, ast.Call]]:
    """What is bound to the result of a call; one node alone stands for all that is in it."""
    for node in ast.walk(nodes[0]) if len(nodes) == 1 else nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            yield from ((target, node.value) for target in node.targets)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and isinstance(node.value, ast.Call):
            yield node.target, node.value
        elif (
            isinstance(node, ast.withitem)
            and node.optional_vars is not None
            and isinstance(node.context_expr, ast.Call)
        ):
            yield node.optional_vars, node.context_expr


def _last(node: ast.expr) -> str:
    """The name that a value is bound to: that of a variable or attribute."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _calls(body: list[ast.stmt]) -> Iterator[ast.Call]:
    return (node for node in _own_nodes(body) if isinstance(node, ast.Call))


def _is_stored_meanwhile(name: str, call: ast.Call, nodes: list[ast.AST]) -> bool:
    """Whether something in the scope can be the moment of a checkpoint before the name is deleted or the scope ends."""
    place = (call.end_lineno or call.lineno, call.end_col_offset or 0)
    deleted = [
        (node.lineno, node.col_offset)
        for node in nodes
        if isinstance(node, ast.Delete) and any(_last(target) == name for target in node.targets)
    ]
    end = min((at for at in deleted if at > place), default=(1 << 30, 0))
    inner = set(map(id, ast.walk(call)))
    return any(
        place <= (node.lineno, node.col_offset) < end
        for node in nodes
        if isinstance(node, ast.Call | ast.For | ast.While) and id(node) not in inner
    )
