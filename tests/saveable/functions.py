"""Functions, methods, descriptors, classes, types, modules."""

import functools
import itertools
import math
import operator
import os.path
import string
import sys
import types
import typing

from saveable import BY_NAME, BY_VALUE, family, same

entry = family("Functions, classes and modules")


class Plain:
    """Found in its module."""

    __slots__ = ("__dict__", "slot")

    def method(self):
        return 1

    @classmethod
    def of_class(cls):
        return cls

    @staticmethod
    def static():
        return 3

    @property
    def given(self):
        return 4

    @functools.cached_property
    def kept(self):
        return 5

    def __eq__(self, other):
        return type(other) is Plain

    __hash__ = None


def local_function():
    unit = 10

    def scale(x, *, by=2, **more):
        """Scales."""
        return x * by * unit

    scale.tag = "set on it"
    return scale


def of_function(function):
    return function(3), function(3, by=3), function.__name__, function.__doc__, function.tag, function.__kwdefaults__


def shared_cell():
    count = 0

    def add():
        nonlocal count
        count += 1

    def get():
        return count

    return add, get


def empty_cell():
    def get():
        return later

    if sys.argv is None:
        later = 1
    return get


def recursive_function():
    def down(n):
        return n and down(n - 1)

    return down


def cell_in_itself():
    cell = types.CellType()
    cell.cell_contents = [cell]
    return cell


def local_class():
    class Local:
        total = 1

        def __init__(self):
            super().__init__()
            self.x = 2

        def sum(self):
            return self.total + self.x

    return Local


def generic():
    T = typing.TypeVar("T", bound=int)
    return [T, list[T]]


@functools.lru_cache(maxsize=3)
def remembered(x):
    return x + 1


@functools.singledispatch
def dispatched(x):
    return "object"


@dispatched.register
def _(x: int):
    return "int"


def raises_name(function):
    try:
        function()
    except NameError as error:
        return str(error)


entry("function of a module", BY_NAME, lambda f: f is os.path.join, make=lambda: os.path.join)
entry("nested function", BY_VALUE, of_function, make=local_function)
entry("lambda", BY_VALUE, lambda f: f(2), make=lambda: lambda x: x + 1)
entry("functions that share a cell", BY_VALUE, lambda pair: (pair[0](), pair[1]()), make=shared_cell)
entry("function whose cell is empty", BY_VALUE, raises_name, make=empty_cell)
entry("function that calls itself", BY_VALUE, lambda f: f(3), make=recursive_function)
entry("cell", BY_VALUE, lambda cell: cell.cell_contents, make=lambda: types.CellType(1))
entry("cell that contains itself", BY_VALUE, lambda cell: cell.cell_contents[0] is cell, make=cell_in_itself)
entry("builtin function", BY_NAME, lambda f: f is len, make=lambda: len)
entry("bound method", BY_VALUE, lambda m: (m(), type(m.__self__).__name__), make=lambda: Plain().method)
entry("bound class method", BY_VALUE, lambda m: m() is Plain, make=lambda: Plain.of_class)
entry("builtin method", BY_VALUE, lambda m: (m(2), m.__self__), make=lambda: [1].append)
entry("builtin class method", BY_VALUE, lambda m: m("ab"), make=lambda: dict.fromkeys)
entry("method-wrapper", BY_VALUE, lambda m: m(2), make=lambda: (1).__add__)
entry("method descriptor", BY_NAME, same, make=lambda: str.join)
entry("slot wrapper", BY_NAME, same, make=lambda: int.__add__)
entry("class method descriptor", BY_NAME, same, make=lambda: vars(dict)["fromkeys"])
entry("getset descriptor", BY_NAME, same, make=lambda: types.FunctionType.__code__)
entry("member descriptor", BY_NAME, same, make=lambda: Plain.slot)
entry("property", BY_VALUE, lambda p: p.fget(None), make=lambda: vars(Plain)["given"])
entry("staticmethod", BY_VALUE, lambda m: m.__func__(), make=lambda: vars(Plain)["static"])
entry("classmethod", BY_VALUE, lambda m: m.__func__(1), make=lambda: vars(Plain)["of_class"])
entry("functools.cached_property", BY_VALUE, lambda p: p.func(None), make=lambda: vars(Plain)["kept"])
entry("super", BY_VALUE, lambda proxy: proxy.__getattribute__("method")(), make=lambda: super(Plain, Plain()))
entry("functools.partial", BY_VALUE, lambda p: p("11"), make=lambda: functools.partial(int, base=2))
entry("functools.partialmethod", BY_VALUE, lambda p: p.args, make=lambda: functools.partialmethod(pow, 2))
entry("functools.lru_cache (of a module)", BY_NAME, lambda f: f is remembered, make=lambda: remembered)
entry(
    "functools.lru_cache (local)", BY_VALUE, lambda f: (f(2), f.cache_info().maxsize), remark="its cache is empty",
    make=lambda: functools.lru_cache(5)(lambda x: x + 1),
)  # fmt: skip
entry("functools.singledispatch", BY_NAME, lambda f: (f(1), f("")), make=lambda: dispatched)
entry(
    "functools.cmp_to_key",
    BY_VALUE,
    lambda key: sorted([2, 1], key=key),
    make=lambda: functools.cmp_to_key(operator.sub),
)
entry("functools.cmp_to_key (a key)", BY_VALUE, lambda key: key.obj, make=lambda: functools.cmp_to_key(operator.sub)(7))
entry("operator.itemgetter", BY_VALUE, lambda get: get("abc"), make=lambda: operator.itemgetter(1, 2))
entry("operator.attrgetter", BY_VALUE, lambda get: get(1), make=lambda: operator.attrgetter("real"))
entry("operator.methodcaller", BY_VALUE, lambda call: call("a,b"), make=lambda: operator.methodcaller("split", ","))
entry("code object", BY_NAME, lambda code: code.co_name, make=lambda: local_function.__code__)
entry("class of a module", BY_NAME, lambda cls: cls is Plain, make=lambda: Plain)
entry("local class", BY_VALUE, lambda cls: cls().sum(), needs="cloudpickle", make=local_class)
entry("instance of a local class", BY_VALUE, lambda it: it.sum(), needs="cloudpickle", make=lambda: local_class()())
entry("type of a builtin iterator", BY_NAME, same, make=lambda: type(iter([])))
entry("type of a dict view", BY_NAME, same, make=lambda: type({}.keys()))
entry("types.GenericAlias", BY_VALUE, same, make=lambda: dict[str, list[int]])
entry("types.UnionType", BY_VALUE, same, make=lambda: int | None)
entry("typing.Optional and others", BY_VALUE, same, make=lambda: typing.Callable[[typing.Literal[1]], typing.Any])
entry("typing.TypeVar (local)", BY_VALUE, lambda p: p[1].__args__[0] is p[0], needs="cloudpickle", make=generic)
entry("string.Template", BY_VALUE, lambda t: t.substitute(a=1), make=lambda: string.Template("$a"))
entry("module", BY_NAME, lambda module: module is math, make=lambda: math)
entry("types.ModuleType (made by hand)", BY_VALUE, lambda m: (m.__name__, m.x), make=lambda: made_module())
entry("sys.flags", BY_NAME, lambda it: it is sys.flags, make=lambda: sys.flags)
entry("sys.version_info", BY_NAME, lambda it: it is sys.version_info, make=lambda: sys.version_info)
entry("sys.implementation", BY_VALUE, lambda it: it.name, make=lambda: sys.implementation)


def made_module():
    module = types.ModuleType("made")
    module.x = 1
    return module


progress = family("Generators and coroutines")


def steps(log):
    for x in itertools.count():
        log.append((yield x))


def begun():
    generator = steps([])
    next(generator)
    return generator


def go_on(generator):
    return [next(generator) for _ in range(3)]


def fresh():
    return steps([])


def closed():
    generator = begun()
    generator.close()
    return generator


def in_try():
    try:
        yield 1
        1 / 0
    except ZeroDivisionError:
        yield 2
    finally:
        in_try.ended = True


def in_except():
    try:
        raise KeyError(1)
    except KeyError as error:
        yield repr(error)
        yield repr(sys.exception())


def in_with():
    with open(os.devnull) as file, Managed() as managed:
        yield file.name
        yield managed.depth


def in_match():
    match [1, {"a": 2}]:
        case [1, {"a": x}]:
            yield x
            yield x + 1


def in_while():
    n = 3
    while n:
        yield n
        n -= 1
    else:
        yield "else"


def in_expression():
    return [(yield 1), {"a": (yield 2), (yield 3): 4}]


def in_comprehension():
    rows = [[x * y for x in (1, 2)] for y in (yield 1)]
    yield rows


def in_delegation():
    yield 0
    return (yield from in_expression())


def in_nested_functions():
    total = 0

    def add(x):
        nonlocal total
        total += x
        return total

    for x in (1, 2, 3):
        yield add(x)
    yield (lambda: total)()


def in_except_star():
    seen = []
    try:
        yield 1
        raise ExceptionGroup("group", [KeyError(1), ValueError(2)])
    except* KeyError as group:
        seen.append(repr(group.exceptions))
    except* ValueError as group:
        seen.append(repr(group.exceptions))
    yield seen


def in_class_body():
    class Inner:
        x = [1, 2]

    yield Inner.x
    yield Inner.x[0]


def in_assert_and_delete():
    x = [1, 2, 3]
    yield x
    assert x, "there"
    del x[0]
    yield x


def in_chain():
    yield () < (yield 2) < (10,) and (yield 3)


class Managed:
    depth = 0

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, *_):
        self.depth -= 1


STATEMENTS = [
    in_try, in_except, in_with, in_match, in_while, in_expression, in_comprehension, in_delegation, in_nested_functions,
    in_except_star, in_class_body, in_assert_and_delete, in_chain,
]  # fmt: skip


def sent(generator):
    """What it still gives, and what it returns."""
    given = []
    try:
        while True:
            given.append(generator.send((5,)))
    except StopIteration as end:
        return given, end.value


def at_first(make):
    def made():
        generator = make()
        next(generator)
        return generator

    return made


progress("generator", "forked", go_on, make=begun)
progress("generator (not begun)", "forked", go_on, make=fresh)
progress("generator (closed)", "forked", list, make=closed)
progress("generator expression", "forked", list, make=lambda: begun_expression())
for _make in STATEMENTS:
    _where = _make.__name__.replace("_", " ").removeprefix("in ")
    progress(
        f"generator, suspended in: {_where}",
        "forked",
        sent,
        needs="cloudpickle" if "class" in _where else None,
        make=at_first(_make),
    )


def begun_expression():
    generator = (x * y for x in range(3) for y in range(2))
    next(generator)
    return generator


@types.coroutine
def switch(value):
    return (yield value)


async def awaits():
    first = await switch(1)
    return [first, await switch(2)]


async def awaits_with():
    async with Async() as given:
        return [given, await switch(2)]


async def awaits_for():
    return [x async for x in numbers()] + [await switch(9)]


async def loops_for():
    async for x in numbers():
        await switch(x)
    return "end"


class Async:
    async def __aenter__(self):
        return await switch("enter")

    async def __aexit__(self, kind, *_):
        if kind is None:
            await switch("exit")


async def numbers():
    for x in range(3):
        got = await switch(("number", x))
        yield x, got


def coroutine_sent(coroutine):
    return sent(coroutine)


def coroutine_at(make, step):
    def made():
        coroutine = make()
        for _ in range(step):
            coroutine.send(None)
        return coroutine

    return made


for _make, _count in ((awaits, 2), (awaits_with, 3), (awaits_for, 4), (loops_for, 6)):
    for _step in range(1, _count + 1):
        progress(
            f"coroutine, suspended in: {_make.__name__}, {_step}",
            "forked",
            coroutine_sent,
            make=coroutine_at(_make, _step),
        )

progress("coroutine (not begun)", "forked", lambda it: sent_fresh(it), make=awaits)
progress(
    "what coroutine.__await__() gives",
    "forked",
    lambda it: sent(it),
    make=lambda: at_first(lambda: awaits().__await__())(),
)
progress("async generator (between two values)", "forked", lambda it: drained(it), make=lambda: after_first())
progress("async generator (not begun)", "forked", lambda it: drained(it), make=numbers)


async def yields_in_try():
    try:
        yield 1
        1 / 0
    except ZeroDivisionError:
        yield await switch(2)
    finally:
        yields_in_try.ended = True


async def yields_in_except():
    try:
        raise KeyError(1)
    except KeyError as error:
        yield repr(error)
        yield repr(sys.exception())


async def yields_in_with():
    with open(os.devnull) as file, Managed() as managed:
        yield file.name
        async with Async():
            yield managed.depth
        yield await switch("out")


async def yields_in_async_with():
    async with Async() as given:
        yield given
        yield given, 2


async def yields_in_async_for():
    async for x, got in numbers():
        yield x, got
    else:
        yield "else"


async def yields_in_match():
    match [1, {"a": await switch(2)}]:
        case [1, {"a": x}]:
            yield x
            yield [x]


async def yields_in_while():
    n = 3
    while n:
        yield n
        n -= 1
    else:
        yield "else"


async def yields_in_expression():
    yield [(yield 1), {"a": (yield 2), (yield 3): await switch(4)}]


async def yields_in_comprehension():
    rows = [[x * y async for x, _ in numbers()] for y in [1, (yield 1) or 2]]
    yield rows


async def yields_in_nested_functions():
    total = 0

    async def add(x):
        nonlocal total
        total += x
        await switch(total)
        return total

    for x in (1, 2, 3):
        yield await add(x)
    yield (lambda: total)()


async def yields_in_except_star():
    seen = []
    try:
        yield 1
        raise ExceptionGroup("group", [KeyError(1), ValueError(2)])
    except* KeyError as group:
        seen.append(repr(group.exceptions))
        await switch(1)
    except* ValueError as group:
        seen.append(repr(group.exceptions))
    yield seen


def after_first_of(make):
    def made():
        generator = make()
        waiting = generator.asend(None)
        try:
            while True:
                waiting.send(None)
        except StopIteration:
            return generator

    return made


for _make in (
    yields_in_try, yields_in_except, yields_in_with, yields_in_async_with, yields_in_async_for, yields_in_match, yields_in_while,
    yields_in_expression, yields_in_comprehension, yields_in_nested_functions, yields_in_except_star,
):  # fmt: skip
    _where = _make.__name__.replace("_", " ").removeprefix("yields in ")
    progress(f"async generator, suspended in: {_where}", "forked", lambda it: drained(it), make=after_first_of(_make))


def sent_fresh(coroutine):
    coroutine.send(None)
    return sent(coroutine)


def step_async(generator):
    """Its next value, through all that it waits for."""
    waiting = generator.asend(None)
    try:
        while True:
            waiting.send("sent")
    except StopIteration as end:
        return end.value


def after_first():
    generator = numbers()
    drive_first(generator)
    return generator


def drive_first(generator):
    waiting = generator.asend(None)
    waiting.send(None)
    try:
        waiting.send("first")
    except StopIteration:
        pass


def drained(generator):
    given = []
    try:
        while True:
            waiting = generator.asend(None)
            try:
                waiting.send(None)
                while True:
                    waiting.send("x")
            except StopIteration as end:
                given.append(end.value)
    except StopAsyncIteration:
        return given
