"""A small language with `suspend`, said three times: rendered for a fiber, rendered for generators, and interpreted.

Programs are nested tuples whose first item names the form. A program is a tuple of function bodies; function `i` is called
with a value and a depth, and may call itself and those after it while the depth lasts. Expressions compute integers and
tuples; operands that do not fit raise, as they do in Python.

The interpreter is the model: a generator that yields where the program suspends. A generator cannot be copied, so a
model fiber remembers what it was sent, and its copy is sent the same again.
"""

import functools
import sys
import types

from stackful import FiberError, FiberExit, suspend

DEPTH = 2
VARIABLES = ("a", "b", "c")


class Failure(Exception):
    """An error of the language."""


class OtherFailure(Failure):
    """Another, which handlers of the first catch too."""


KINDS = {kind.__name__: kind for kind in (Failure, OtherFailure, Exception, BaseException, FiberExit)}


def error_named(name):
    """FiberExit comes without a message, as `close` raises it."""
    return FiberExit() if name == "FiberExit" else KINDS[name](name)


def receive(sent):
    """What a suspension returns. An error is sent as its class's name and raised here, so that it meets the same
    `__context__` as any other: `generator.throw` knows only what the innermost generator handles.
    """
    if isinstance(sent, str):
        raise error_named(sent)
    return sent


# What a generated module begins with, and the interpreter uses. Each module has a log of its own: what its last
# frames say when they are collected, some time, is nobody else's.
PRELUDE = """
emitted = []

def emit(value):
    emitted.append(value)

class Manager:
    'A context manager that emits, and swallows failures where its number is odd.'

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        emit(("enter", self.number))

    def __exit__(self, kind, error, traceback):
        emit(("exit", self.number, kind and kind.__name__))
        return self.number % 2 == 1 and kind is not None and issubclass(kind, Failure)
"""


# Rendering


class Renderer:
    """Python source of a program; `suspend` and calls are written for fibers or for generators."""

    def __init__(self, for_generators):
        self.for_generators = for_generators
        self.loops = 0

    def program(self, functions):
        return "\n".join(self.function(index, body) for index, body in enumerate(functions))

    def function(self, index, body):
        generator = ["    if False: yield"] if self.for_generators else []
        lines = [f"def f{index}(p, depth):", f"    {' = '.join(VARIABLES)} = 0", *generator]
        return "\n".join([*lines, *self.block(body, "    "), f"    return ({', '.join(VARIABLES)})\n"])

    def block(self, statements, indent):
        lines = [line for statement in statements for line in getattr(self, statement[0])(indent, *statement[1:])]
        return lines or [f"{indent}pass"]

    def expression(self, node):
        form, *parts = node
        if form == "constant" or form == "name":
            return str(parts[0])
        if form == "call":
            prefix = "yield from " if self.for_generators else ""
            return f"(({prefix}f{parts[0]}({self.expression(parts[1])}, depth - 1)) if depth else -1)"
        operands = [self.expression(part) for part in parts]
        if form == "suspend":
            return f"receive((yield {operands[0]}))" if self.for_generators else f"suspend({operands[0]})"
        if form == "pair":
            return f"({operands[0]}, {operands[1]})"
        if form == "choice":
            return f"({operands[1]} if {operands[0]} else {operands[2]})"
        return f"({operands[0]} {form} {operands[1]})"

    def assign(self, indent, name, value):
        return [f"{indent}{name} = {self.expression(value)}"]

    def emit(self, indent, value):
        return [f"{indent}emit({self.expression(value)})"]

    def branch(self, indent, condition, body, orelse):
        return [
            f"{indent}if {self.expression(condition)}:",
            *self.block(body, indent + "    "),
            f"{indent}else:",
            *self.block(orelse, indent + "    "),
        ]

    def loop(self, indent, name, items, body, orelse):
        sequence = ", ".join(self.expression(item) for item in items)
        return [
            f"{indent}for {name} in [{sequence}]:",
            *self.block(body, indent + "    "),
            f"{indent}else:",
            *self.block(orelse, indent + "    "),
        ]

    def repeat(self, indent, count, body):
        self.loops += 1
        counter = f"n{self.loops}"
        return [
            f"{indent}{counter} = {count}",
            f"{indent}while {counter}:",
            f"{indent}    {counter} -= 1",
            *self.block(body, indent + "    "),
        ]

    def attempt(self, indent, body, kind, handler, orelse, final):
        inner = indent + "    "
        return [
            f"{indent}try:",
            *self.block(body, inner),
            f"{indent}except {kind} as error:",
            f"{inner}emit(error.args)",
            *self.block(handler, inner),
            f"{indent}else:",
            *self.block(orelse, inner),
            f"{indent}finally:",
            *self.block(final, inner),
        ]

    def managed(self, indent, number, body):
        return [f"{indent}with Manager({number}):", *self.block(body, indent + "    ")]

    def fail(self, indent, kind, value):
        return [f"{indent}raise {kind}({self.expression(value)})"]

    def reraise(self, indent):
        return [f"{indent}raise"]

    def leave(self, indent, value):
        return [f"{indent}return {self.expression(value)}"]

    def jump(self, indent, keyword):
        return [f"{indent}{keyword}"]


def render(functions, for_generators=False):
    return Renderer(for_generators).program(functions)


@functools.lru_cache(maxsize=64)
def compiled(source):
    return compile(source, "<laws_generated>", "exec")


def new_module(source=""):
    """A module of a program's own, under a name that pickles can refer to as long as it is the latest."""
    module = types.ModuleType("laws_generated")
    sys.modules["laws_generated"] = module
    module.__dict__.update(KINDS, suspend=suspend, receive=receive)
    exec(compiled(PRELUDE + source), module.__dict__)
    return module


# Interpreting

OPERATORS = {"+": lambda left, right: left + right, "-": lambda left, right: left - right}


class Interpreter:
    """Runs one activation; a statement's status is None, a jump's keyword, or ("return", value)."""

    def __init__(self, module, functions, parameter, depth):
        self.module = module
        self.functions = functions
        self.depth = depth
        self.values = {"p": parameter, **dict.fromkeys(VARIABLES, 0)}

    def function(self, index):
        status = yield from self.block(self.functions[index])
        return status[1] if status else tuple(self.values[name] for name in VARIABLES)

    def block(self, statements):
        for statement in statements:
            status = yield from getattr(self, statement[0])(*statement[1:])
            if status is not None:
                return status
        return None

    def expression(self, node):
        form, *parts = node
        if form == "constant":
            return parts[0]
        if form == "name":
            return self.values[parts[0]]
        if form == "choice":
            return (yield from self.expression(parts[1] if (yield from self.expression(parts[0])) else parts[2]))
        if form == "call":
            return (yield from self.call(*parts)) if self.depth else -1
        left = yield from self.expression(parts[0])
        if form == "suspend":
            return receive((yield left))
        if form == "and" or form == "or":
            return left if bool(left) == (form == "or") else (yield from self.expression(parts[1]))
        right = yield from self.expression(parts[1])
        return (left, right) if form == "pair" else OPERATORS[form](left, right)

    def call(self, index, argument):
        value = yield from self.expression(argument)
        return (yield from Interpreter(self.module, self.functions, value, self.depth - 1).function(index))

    def assign(self, name, value):
        self.values[name] = yield from self.expression(value)

    def emit(self, value):
        self.module.emit((yield from self.expression(value)))

    def branch(self, condition, body, orelse):
        return (yield from self.block(body if (yield from self.expression(condition)) else orelse))

    def loop(self, name, items, body, orelse):
        values = []
        for item in items:
            values.append((yield from self.expression(item)))
        for self.values[name] in values:
            status = yield from self.block(body)
            if status == "break":
                return None
            if status and status != "continue":
                return status
        return (yield from self.block(orelse))

    def repeat(self, count, body):
        for _ in range(count):
            status = yield from self.block(body)
            if status == "break":
                return None
            if status and status != "continue":
                return status
        return None

    def attempt(self, body, kind, handler, orelse, final):
        try:
            try:
                status = yield from self.block(body)
            except KINDS[kind] as error:
                self.module.emit(error.args)
                status = yield from self.block(handler)
            else:
                if status is None:
                    status = yield from self.block(orelse)
        finally:
            last = yield from self.block(final)
            if last is not None:
                return last
        return status

    def managed(self, number, body):
        with self.module.Manager(number):
            return (yield from self.block(body))
        return None

    def fail(self, kind, value):
        raise KINDS[kind]((yield from self.expression(value)))

    def reraise(self):
        raise
        yield

    def leave(self, value):
        return ("return", (yield from self.expression(value)))

    def jump(self, keyword):
        return keyword
        yield


# Fibers of the model


class ModelFiber:
    """What a fiber is, told with a generator: `make` gives it and its module, `history` says what it was sent so far."""

    def __init__(self, make, history=(), runs_finally=True):
        self.make = make
        self.history = ()
        self.runs_finally = runs_finally
        self.module, self.generator = make()
        self.status = "suspended"
        for operation, argument in history:
            self.step(operation, argument)
        self.module.emitted.clear()

    def emitted(self):
        """What was emitted since the last call."""
        values = tuple(self.module.emitted)
        self.module.emitted.clear()
        return values

    def step(self, operation, argument):
        """("suspended", value), ("returned", value) or ("raised", error)."""
        if self.status == "dead":
            return ("raised", FiberError())
        if operation == "resume" and not self.history and argument is not None:
            return ("raised", FiberError())
        self.history += ((operation, argument),)
        try:
            if operation == "throw" and len(self.history) == 1:
                self.generator.throw(error_named(argument))
            return ("suspended", self.generator.send(argument))
        except StopIteration as stop:
            self.status = "dead"
            return ("returned", stop.value)
        except BaseException as error:
            self.status = "dead"
            return ("raised", error)

    def resume(self, value):
        return self.step("resume", value)

    def throw(self, kind):
        return self.step("throw", kind)

    def close(self):
        """FiberExit is raised at the suspension; a fresh fiber has nothing to unwind, and ends."""
        if not self.history:
            self.status = "dead"
        if self.status == "dead":
            return ("returned", None)
        kind, value = self.step("throw", "FiberExit")
        if kind == "suspended":
            return ("raised", FiberError())
        if kind == "raised" and not isinstance(value, FiberExit):
            return (kind, value)
        return ("returned", None)

    def copy(self):
        return ModelFiber(self.make, self.history, runs_finally=False)

    def drop(self):
        """A fiber that is no copy is closed; whatever that raises has nowhere to go. A copy just ends."""
        if self.runs_finally:
            self.close()


def interpreted(functions, parameter):
    """The program as the model."""

    def make():
        module = new_module()
        return module, Interpreter(module, functions, parameter, DEPTH).function(0)

    return ModelFiber(make)


def generated(functions, parameter):
    """The program as CPython's generators."""

    def make():
        module = new_module(render(functions, for_generators=True))
        return module, module.f0(parameter, DEPTH)

    return ModelFiber(make)
