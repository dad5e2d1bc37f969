"""Plain values, containers, records, numbers, dates."""

import array
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import os
import pathlib
import re
import struct
import time
import types
import typing
import uuid
import weakref
import zoneinfo

from saveable import BY_NAME, BY_VALUE, family, same

entry = family("Values and containers")


class Colour(enum.Enum):
    RED = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: int


class Slotted:
    __slots__ = ("__weakref__", "a", "b")


class Named(typing.NamedTuple):
    a: int


def recursive():
    made = [1]
    made.append(made)
    return made


def slotted():
    made = Slotted()
    made.a = 1
    return made


def shrunk():
    made = collections.deque([1, 2, 3], 2)
    made.rotate()
    return made


EQUAL = {
    "None": lambda: None,
    "bool": lambda: True,
    "int": lambda: 10**50,
    "float": lambda: 0.1,
    "complex": lambda: 1 + 2j,
    "str": lambda: "ä\ud800",
    "bytes": lambda: b"\0a",
    "bytearray": lambda: bytearray(b"ab"),
    "tuple": lambda: (1, (2, ())),
    "list": lambda: [1, [2]],
    "dict": lambda: {"b": 1, "a": {2: 3}},
    "set": lambda: {1, "a"},
    "frozenset": lambda: frozenset({1, "a"}),
    "range": lambda: range(1, 10, 3),
    "slice": lambda: slice(1, None, 2),
    "array.array": lambda: array.array("d", [1.0, 2.0]),
    "collections.deque": shrunk,
    "collections.Counter": lambda: collections.Counter("abca"),
    "collections.defaultdict": lambda: collections.defaultdict(list, {1: [2]}),
    "collections.OrderedDict": lambda: collections.OrderedDict(b=1, a=2),
    "collections.ChainMap": lambda: collections.ChainMap({1: 2}, {3: 4}),
    "collections.UserDict": lambda: collections.UserDict(a=1),
    "collections.UserList": lambda: collections.UserList([1]),
    "collections.UserString": lambda: collections.UserString("a"),
    "collections.namedtuple": lambda: Named(1),
    "datetime.datetime": lambda: dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "datetime.date": lambda: dt.date(2026, 1, 2),
    "datetime.time": lambda: dt.time(1, 2, tzinfo=dt.UTC),
    "datetime.timedelta": lambda: dt.timedelta(1, 2, 3),
    "datetime.timezone": lambda: dt.timezone(dt.timedelta(hours=1), "there"),
    "decimal.Decimal": lambda: decimal.Decimal("1.10"),
    "fractions.Fraction": lambda: fractions.Fraction(1, 3),
    "ipaddress.IPv4Network": lambda: ipaddress.ip_network("10.0.0.0/8"),
    "os.stat_result": lambda: os.stat_result(range(10)),
    "pathlib.Path": lambda: pathlib.Path("a") / "b",
    "pathlib.PureWindowsPath": lambda: pathlib.PureWindowsPath("c:/a"),
    "time.struct_time": lambda: time.gmtime(0),
    "types.SimpleNamespace": lambda: types.SimpleNamespace(a=[1]),
    "uuid.UUID": lambda: uuid.UUID(int=5),
    "a dataclass": lambda: Point(1),
    "a dataclass, frozen, with slots": lambda: Frozen(1),
    "an Enum member": lambda: Colour.RED,
    "a Flag": lambda: Mode.READ | Mode.WRITE,
}

for _name, _make in EQUAL.items():
    entry(_name, BY_NAME if _name == "an Enum member" else BY_VALUE, same, make=_make)

entry("Ellipsis", BY_NAME, lambda value: value is ..., make=lambda: ...)
entry("NotImplemented", BY_NAME, lambda value: value is NotImplemented, make=lambda: NotImplemented)
entry("object", BY_VALUE, lambda value: type(value) is object, make=object)
entry("a list that contains itself", BY_VALUE, lambda value: value[1] is value, make=recursive)
entry("an object with slots, some of them empty", BY_VALUE, lambda it: (it.a, hasattr(it, "b")), make=slotted)
entry("zoneinfo.ZoneInfo", BY_NAME, str, make=lambda: zoneinfo.ZoneInfo("UTC"))
entry("decimal.Context", BY_VALUE, lambda it: str(it.divide(1, 3)), make=lambda: decimal.Context(prec=5))
entry(
    "re.Pattern",
    BY_VALUE,
    lambda it: (it.pattern, it.flags, it.findall("xAx")),
    make=lambda: re.compile("a", re.IGNORECASE),
)
entry("struct.Struct", BY_VALUE, lambda it: (it.format, it.pack(1)), make=lambda: struct.Struct("<I"))


def of_match(match):
    return match.group(0, "b"), match.span(), match.pos, match.endpos, match.string, match.lastgroup, match.re.pattern


MATCHES = {
    "match": lambda: re.compile("a(?P<b>b)?").match("xabc", 1),
    "search": lambda: re.search("(?<=x)a(?P<b>b)(?=c)", "xabc"),
    "fullmatch": lambda: re.fullmatch("a(?P<b>b+?)", "abb"),
    "the third of finditer": lambda: list(re.finditer("a(?P<b>b)?", "ab a ab"))[2],
}
for _name, _make in MATCHES.items():
    entry(f"re.Match ({_name})", BY_VALUE, of_match, make=_make)

views = family("Views and buffers")
for _kind in ("keys", "values", "items"):
    views(f"dict_{_kind}", BY_VALUE, list, make=lambda kind=_kind: getattr({"b": 1, "a": 2}, kind)())
    views(
        f"odict_{_kind}", BY_VALUE, list, make=lambda kind=_kind: getattr(collections.OrderedDict(b=1, a=2), kind)()
    )  # fmt: skip


@views("a dict view and its dict", BY_VALUE, lambda pair: (pair[0].update(b=2), list(pair[1])))
def live_view():
    shown = {"a": 1}
    return shown, shown.items()


@views("types.MappingProxyType", BY_VALUE, lambda pair: (pair[0].update(b=2), dict(pair[1])))
def proxy():
    shown = {"a": 1}
    return shown, types.MappingProxyType(shown)


views(
    "the __dict__ of a class", BY_NAME, lambda it: (type(it).__name__, it["x"] is not None), make=lambda: vars(Frozen)
)


def of_view(view):
    return view.tolist(), view.format, view.shape, view.readonly, view.obj


MEMORY = {
    "bytes": lambda: memoryview(b"abc"),
    "part of a bytearray": lambda: memoryview(bytearray(b"abcdef"))[1:4],
    "every second item": lambda: memoryview(array.array("i", range(9)))[1:8:2],
    "backwards": lambda: memoryview(array.array("i", range(5)))[::-1],
    "cast": lambda: memoryview(bytearray(24)).cast("H", [3, 4]),
    "read-only": lambda: memoryview(bytearray(b"ab")).toreadonly(),
}
for _name, _make in MEMORY.items():
    views(f"memoryview ({_name})", BY_VALUE, of_view, make=_make)


@views("memoryview and what it shows", BY_VALUE, lambda pair: (pair[0].__setitem__(0, 65), pair[1].tobytes()))
def shared_memory():
    shown = bytearray(b"abc")
    return shown, memoryview(shown)[:2]


@views("memoryview (released)", BY_VALUE, repr_of := lambda view: "released" in repr(view))
def released():
    view = memoryview(b"")
    view.release()
    return view


weak = family("Weak references")


class Node:
    """Something that can be referred to."""

    def __init__(self, name="node"):
        self.name = name

    def method(self):
        return self.name

    def __call__(self):
        return self.name


def note(_):
    pass


def held(make):
    def made():
        node = Node()
        return node, make(node)

    return made


def gone(make):
    return lambda: make(Node())


def same_target(pair):
    return pair[1]() is pair[0]


weak("weakref.ref", BY_VALUE, same_target, make=held(weakref.ref))
weak(
    "weakref.ref (callback)", BY_VALUE, lambda p: p[1].__callback__.__name__, make=held(lambda n: weakref.ref(n, note))
)
weak("weakref.ref (dead)", BY_VALUE, lambda ref: ref(), make=gone(weakref.ref))
weak("weakref.proxy", BY_VALUE, lambda p: (p[1].name, type(p[1]).__name__), make=held(weakref.proxy))
weak("weakref.WeakMethod", BY_VALUE, lambda p: p[1]()(), make=held(lambda node: weakref.WeakMethod(node.method)))
weak("weakref.WeakMethod (dead)", BY_VALUE, lambda m: m(), make=gone(lambda node: weakref.WeakMethod(node.method)))
weak(
    "weakref.WeakKeyDictionary", BY_VALUE, lambda p: p[1][p[0]], make=held(lambda n: weakref.WeakKeyDictionary({n: 1}))
)  # fmt: skip
weak(
    "weakref.WeakValueDictionary",
    BY_VALUE,
    lambda p: p[1]["a"] is p[0],
    make=held(lambda n: weakref.WeakValueDictionary(a=n)),
)
weak("weakref.WeakSet", BY_VALUE, lambda p: p[0] in p[1], make=held(lambda n: weakref.WeakSet([n])))
weak(
    "weakref.finalize", BY_VALUE, lambda p: (p[1].peek()[0] is p[0], p[1]()), make=held(lambda n: weakref.finalize(n, len, "abc"))
)  # fmt: skip


@weak("weakref.proxy (dead)", BY_VALUE, lambda proxy: (type(proxy).__name__, raises(ReferenceError, bool, proxy)))
def dead_proxy():
    return weakref.proxy(Node())


@weak("weakref.finalize (called)", BY_VALUE, lambda finalizer: finalizer.alive)
def called():
    finalizer = weakref.finalize(Node, len, "abc")
    finalizer()
    return finalizer


@weak("an object whose part refers back to it", BY_VALUE, lambda node: node.part.up() is node)
def child():
    node = Node()
    node.part = Node()
    node.part.up = weakref.ref(node)
    return node


def raises(error, function, *args):
    try:
        function(*args)
    except error:
        return True
    return False
