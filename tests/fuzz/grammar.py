"""Makes programs at random: functions of `point`, as those of the corpus, over most statements and expressions of Python.

Expressions are small numbers, so that what a program comes to can be compared; what it goes through on the way stands in `log`. Between
a program and its points lie plain calls only, and every loop and every recursion ends.
"""

import sys

from corpus.points import ASSERTS_TRACEBACKS

PRELUDE = '''\
import itertools

class Manager:
    """Swallows errors where its number is odd."""

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        return self.number

    def __exit__(self, kind, error, traceback):
        return self.number % 2 == 1 and kind is not None and issubclass(kind, ArithmeticError)

class Base:
    def __init__(self, number):
        self.number = number

    def step(self, point, value):
        return point((self.number + value) % 97)

    @classmethod
    def made(cls, point, value):
        return cls(point(value)).number

    @staticmethod
    def plain(point, value=3):
        return point(value) + 1

class Thing(Base):
    __match_args__ = ("number",)

    def step(self, point, value):
        return super().step(point, value + 1) + 1

def count(end):
    for number in range(end % 5):
        received = yield number
        if received:
            number += received

class doubled:
    def __init__(self, function):
        self.function = function

    def of(self, point, value):
        return self.function(point, value) * 2 % 97

def same(value):
    return value
'''

ERRORS = ("ZeroDivisionError", "ArithmeticError", "ValueError", "LookupError", "Exception")
RAISED = ("ZeroDivisionError", "ValueError", "KeyError", "OverflowError")
STARS = sys.version_info >= (3, 12)  # before, f(*args) is a barrier


class Maker:
    """Makes one program."""

    def __init__(self, random):
        self.random = random
        self.names = 0
        self.lines = []
        self.size = random.choice((15, 40, 80))
        self.shares = False  # does it change objects that copies have in common
        self.stars = False  # does it call f(*args)
        self.functions = 0  # how many functions there are to call

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    # --- expressions: text that gives a small number ---

    def value(self, depth=2):
        random = self.random
        if depth <= 0 or random.random() < 0.15:
            return random.choice(("a", "b", "c", "d", str(random.randrange(8))))
        return random.choice(self.EXPRESSIONS)(self, depth - 1)

    def pointed(self, depth):
        return f"point({self.value(depth)})"

    def operator(self, depth):
        operator = self.random.choice(("+", "-", "*", "^", "&", "|"))
        return f"(({self.value(depth)} {operator} {self.value(depth)}) % 97)"

    def division(self, depth):
        return f"({self.value(depth)} // {self.value(depth)} % 97)"

    def comparison(self, depth):
        operators = self.random.choices(("<", "<=", "==", "!=", ">"), k=2)
        return f"({self.value(depth)} {operators[0]} {self.value(depth)} {operators[1]} {self.value(depth)})"

    def logic(self, depth):
        return f"({self.value(depth)} {self.random.choice(('and', 'or'))} (not {self.value(depth)}))"

    def choice(self, depth):
        return f"({self.value(depth)} if {self.value(depth)} else {self.value(depth)})"

    def display(self, depth):
        first, second, third = (self.value(depth) for _ in range(3))
        shown = first.replace("'", '"') if '"' not in first and (STARS or "'" not in first) else "a"
        return self.random.choice(
            (
                f"sum([{first}, *range({second} % 4), {third}])",
                f"len({{{first}, {second}, *({third}, 1)}})",
                f"len({{{first}: {second}, **{{{third}: 1}}}})",
                f"sum(({first}, *[{second}], {third}))",
                f"[{first}, {second}, {third}][{self.value(depth)} % 3]",
                f"len([{first}, {second}, {third}][{self.value(depth)} % 3:{self.value(depth)} % 4])",
                f"len(f'{{({shown})}}:{{point(b)!r:>{{c % 9}}}}')",
            )
        )

    def comprehension(self, depth):
        x, y = self.name("x"), self.name("y")
        first, second = self.value(depth), self.value(depth)
        item, test = f"({x} + {self.value(depth)}) % 97", f"({x} % 2 == {self.value(depth)} % 2)"
        return self.random.choice(
            (
                f"sum([{item} for {x} in range({first} % 4) if {test}])",
                f"sum([{item} for {x} in ({first}, {second}) for {y} in range({x} % 3)])",
                f"sum([sum([{y} + {item} for {y} in [{first}]]) for {x} in [{second}, 1]])",
                f"len({{{item} for {x} in [{first}, {second}]}})",
                f"sum({{{x}: {item} for {x} in range({first} % 3)}}.values())",
                f"sum([(lambda: {x})() + {second} for {x} in range({first} % 3)])",
                f"sum({x} + {x} for {x} in [{first}, {second}])",
            )
        )

    def call(self, depth):
        first, second = self.value(depth), self.value(depth)
        inner = self.name("z")
        made = (
            f"(lambda {inner}, other={first}: {inner} + point(other))({second})",
            f"Thing({first}).step(point, {second})",
            f"Thing.made(point, {first})",
            f"Base.plain(point, value={first})",
            f"same({first})",
            f"doubled(Base.plain).of(point, {first})",
            f"max({first}, {second}, key=abs)",
        )
        return self.random.choice(made)

    def own_call(self, depth):
        if not self.functions:
            return self.call(depth)
        called = f"f{self.random.randrange(self.functions)}"
        first, second = self.value(depth), self.value(depth)
        if STARS and self.random.random() < 0.2:
            self.stars = True
            return f"({called}(*(point, n - 1, {first}), **{{'b': {second}}}) if n > 0 else 1)"
        more = self.random.choice((f", {second}", f", b={second}", ""))
        return f"({called}(point, n - 1, {first}{more}) if n > 0 else {second})"

    EXPRESSIONS = (
        pointed, pointed, pointed, operator, division, comparison, logic, choice, display, display, comprehension,
        comprehension, call, call, own_call,
    )  # fmt: skip

    # --- statements: lines ---

    def block(self, indent, depth, in_loop, least=1):
        for _ in range(self.random.randint(least, 3)):
            self.statement(indent, depth, in_loop)

    def add(self, indent, text):
        self.lines.append("    " * indent + text)

    def statement(self, indent, depth, in_loop):
        compound = depth > 0 and len(self.lines) < self.size and self.random.random() < 0.5
        kinds = self.COMPOUND if compound else self.SIMPLE
        self.random.choice(kinds)(self, indent, depth - 1, in_loop)

    def variable(self):
        return self.random.choice("abcd")

    def assignment(self, indent, depth, in_loop):
        value = self.value()
        self.add(
            indent,
            self.random.choice(
                (
                    f"{self.variable()} = {value}",
                    f"{self.variable()} = {self.variable()} = {value}",
                    f"{self.variable()} += {value}",
                    f"a, b = {value}, {self.value()}",
                    f"a, *rest, b = {value}, {self.value()}, {self.value()}",
                    f"a, c = c, {value}",
                    f"{self.variable()}: int = {value}",
                )
            ),
        )

    def logging(self, indent, depth, in_loop):
        self.add(indent, f"log += ({self.value()},)")

    def raising(self, indent, depth, in_loop):
        cause = self.random.choice(("", "", f" from ValueError({self.value(1)})", " from None"))
        error = f"{self.random.choice(RAISED)}({self.value(1)})"
        self.add(indent, f"if {self.value(1)} % 3 == 0: raise {error}{cause}")

    def leaving(self, indent, depth, in_loop):
        jumps = ["return (log, a)", "raise", "assert b, c", "pass"] + ["break", "continue"] * 2 * in_loop
        self.add(indent, f"if {self.value(1)} % 4 == 0: {self.random.choice(jumps)}")

    def naming(self, indent, depth, in_loop):
        name = self.name("w")
        self.add(indent, f"log += (({name} := {self.value()}), {name} + {self.value(1)})")

    def deletion(self, indent, depth, in_loop):
        name = self.variable()
        self.add(indent, f"del {name}")
        self.add(indent, f"{name} = {self.value(1)}")

    SIMPLE = (assignment, assignment, assignment, logging, logging, raising, leaving, naming, deletion)

    def branch(self, indent, depth, in_loop):
        self.add(indent, f"if {self.value()}:")
        self.block(indent + 1, depth, in_loop)
        if self.random.random() < 0.5:
            self.add(indent, f"elif {self.value(1)}:")
            self.block(indent + 1, depth, in_loop)
        self.add(indent, "else:")
        self.block(indent + 1, depth, in_loop)

    def loop(self, indent, depth, in_loop):
        name = self.random.choice(("a", "b", self.name("i")))
        first, second = self.value(1), self.value(1)
        chain, product = f"itertools.chain([{first}], ({second},))", f"itertools.product([{first}], (1, {second}))"
        if sys.version_info >= (3, 14):  # its iterators cannot be copied or pickled any more
            chain, product = f"list({chain})", f"list({product})"
        items = (
            f"range({first} % 4)", f"[{first}, {second}]", f"({first}, {second})", f"{{{first}: 1, {second}: 2}}",
            f"reversed([{first}, {second}])", f"count({first})", f"map(same, [{first}, {second}])",
            f"filter(None, ({first}, {second}))", chain,
            f"(x for x in [{first}, {second}] if x % 2)", f"sorted({{{first}, {second}}})", f"bytes([{first} % 97, 1])",
        )  # fmt: skip
        pairs = (
            f"enumerate([{first}, {second}])", f"zip([{first}, 2], count({second}))", f"{{{first}: {second}}}.items()",
            product, f"[(a, {first}), (b, {second})]",
        )  # fmt: skip
        if self.random.random() < 0.3:
            self.add(indent, f"for a, {self.name('j')} in {self.random.choice(pairs)}:")
        else:
            self.add(indent, f"for {name} in {self.random.choice(items)}:")
        self.block(indent + 1, depth, True)
        if self.random.random() < 0.4:
            self.add(indent, "else:")
            self.block(indent + 1, depth, in_loop)

    def repetition(self, indent, depth, in_loop):
        name = self.name("n")
        self.add(indent, f"{name} = {self.random.randint(1, 3)}")
        self.add(indent, f"while {name} and point(True):")
        self.add(indent + 1, f"{name} -= 1")
        self.block(indent + 1, depth, True)

    def attempt(self, indent, depth, in_loop):
        self.add(indent, "try:")
        self.block(indent + 1, depth, in_loop)
        handlers = self.random.randint(0, 2)
        for _ in range(handlers):
            kind = self.random.choice((*ERRORS, "(ValueError, KeyError)"))
            self.add(indent, self.random.choice((f"except {kind}:", f"except {kind} as error:")))
            self.block(indent + 1, depth, in_loop)
        if handlers and self.random.random() < 0.4:
            self.add(indent, "else:")
            self.block(indent + 1, depth, in_loop)
        if not handlers or self.random.random() < 0.5:
            self.add(indent, "finally:")
            self.block(indent + 1, depth, in_loop)

    def attempt_of_groups(self, indent, depth, in_loop):
        if ASSERTS_TRACEBACKS:
            self.attempt(indent, depth, in_loop)
            return
        self.add(indent, "try:")
        group = f"ExceptionGroup('g', [ValueError({self.value(1)}), KeyError({self.value(1)})])"
        self.add(indent + 1, f"if {self.value(1)} % 2: raise {group}")
        self.block(indent + 1, depth, in_loop)
        for kind in self.random.sample(("ValueError", "LookupError", "ArithmeticError"), 2):
            self.add(indent, f"except* {kind} as errors:")
            self.add(indent + 1, f"log += (len(errors.exceptions), {self.value(1)})")
            self.add(indent + 1, f"c = {self.value()}")

    def managed(self, indent, depth, in_loop):
        number = self.random.randrange(4)
        more = self.random.choice(("", f", Manager({self.value(1)})", f" as c, Manager({number}) as d"))
        self.add(indent, f"with Manager({number}){more}:")
        self.block(indent + 1, depth, in_loop)

    def matching(self, indent, depth, in_loop):
        self.add(indent, f"match {self.random.choice(('Thing({0})', '[{0}, {1}, 3]', '{{1: {0}, 2: {1}}}', '{0}'))}:".format(
            self.value(1), self.value(1)
        ))  # fmt: skip
        for pattern in ("Thing(x)", "[x, *_]", "{1: x, **others}", "0 | 1 as x"):
            self.add(indent + 1, f"case {pattern} if {self.value(1)} % 3:")
            self.add(indent + 2, "log += (x,)")
            self.block(indent + 2, depth - 1, in_loop)
        self.add(indent + 1, "case _:")
        self.block(indent + 2, depth - 1, in_loop)

    def closure(self, indent, depth, in_loop):
        name, inner = self.name("inner"), self.name("v")
        changes = self.random.random() < 0.3
        self.add(indent, f"{inner} = {self.value(1)}")
        self.add(indent, f"def {name}(x, y={self.value(1)}, *, z: int = {self.value(1)}):")
        if changes:
            self.shares = True
            self.add(indent + 1, f"nonlocal {inner}")
            self.add(indent + 1, f"{inner} += point(x)")
        self.add(indent + 1, f"return (x + point({inner}) + y) * z % 97")
        self.add(indent, f"{self.variable()} = {name}({self.value(1)}) + {name}({self.value(1)}, z={self.value(1)})")

    def sharing(self, indent, depth, in_loop):
        self.shares = True
        name = self.name("box")
        first, second = self.value(1), self.value(1)
        self.add(indent, f"{name} = [count({first}), {{}}, [], Thing({second})]")
        self.add(indent, f"{name}[1][{self.value(1)}] = {self.value(1)}")
        self.add(indent, f"{name}[2].append(next({name}[0], {self.value(1)}))")
        self.add(indent, f"{name}[3].number += {self.value(1)}")
        self.add(indent, f"log += (*{name}[1], *{name}[2], {name}[3].number)")

    COMPOUND = (
        branch, loop, loop, loop, repetition, attempt, attempt, attempt, attempt_of_groups, managed, managed, matching,
        closure, sharing,
    )  # fmt: skip

    # --- the whole ---

    def function(self, name, parameters, before):
        self.add(0, f"def {name}({parameters}):")
        self.add(1, before)
        self.block(1, 3, False, least=2)
        self.add(1, "return (log, a, b, c, d)" if name == "program" else "return a")
        self.size += len(self.lines)

    def program(self):
        """The source of a module that has `program`."""
        self.lines = []
        for index in range(self.random.choice((0, 1, 1, 2))):
            self.functions = index + 1
            self.function(f"f{index}", "point, n, a, b=2", "log = (); c = d = 1")
        self.function("program", "point, n=2", "log = (); a = b = c = d = 1")
        return PRELUDE + "\n".join(self.lines) + "\n"


def make(random):
    """(source, whether copies disturb one another, whether it calls f(*args))."""
    maker = Maker(random)
    return maker.program(), maker.shares, maker.stars
