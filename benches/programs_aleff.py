"""The programs of programs_effects.py and programs_control.py written with aleff, as its documentation writes such programs.

To resume is to call k, in the last line of a clause too: there is no tail resumption, and the stack grows with each operation.
State is a variable of the clauses. What is resumed once at most is written with aleff.oneshot, which copies no frames.
Importing aleff slows every call of the process: only aleff_process.py imports this.
"""

from collections.abc import Callable
from types import ModuleType

import aleff
from aleff import oneshot

import programs_control
from programs_effects import DOLLAR, NEWLINE, NUMBERS, combine, fibonacci_native, is_safe, tree_of


def as_method(clause):
    """The clause with `k.__call__` for k: a method written in Python, which is called without C in between, as k is not."""
    return lambda k, *args: clause(k.__call__, *args)


class Library:
    """One of aleff's two libraries, and how its resumptions are called."""

    def __init__(self, module: ModuleType, calls_methods: bool):
        self.effect = module.effect
        self._create_handler = module.create_handler
        self._calls_methods = calls_methods

    def handler(self, clauses: dict):
        handler = self._create_handler(*clauses)
        for effect, clause in clauses.items():
            handler.on(effect)(as_method(clause) if self._calls_methods else clause)
        return handler

    def state(self, value):
        """Two effects, that read and write a variable, and their handler."""
        state = value

        def read(k):
            return k(state)

        def write(k, new):
            nonlocal state
            state = new
            return k(None)

        get, put = self.effect("get"), self.effect("put")
        return get, put, self.handler({get: read, put: write})


def countdown(library, n):
    get, put, handler = library.state(n)

    def program():
        while True:
            i = get()
            if i == 0:
                return i
            put(i - 1)

    return handler(program)


def fibonacci_recursive(library, n):
    _, _, handler = library.state(0)
    return handler(lambda: fibonacci_native(n))


def product_early(library, n):
    done = library.effect("done")
    exit_early = library.handler({done: lambda _k, value: value})

    def product(i):
        if i == len(NUMBERS):
            return 0
        number = NUMBERS[i]
        return done(0) if number == 0 else number * product(i + 1)

    return sum(exit_early(lambda: product(0)) for _ in range(n))


def iterator(library, n):
    emit = library.effect("emit")
    total = 0

    def add(k, value):
        nonlocal total
        total += value
        return k(None)

    def program():
        for i in range(n + 1):
            emit(i)

    library.handler({emit: add})(program)
    return total


def every(k, size):
    total = 0
    for row in range(size):
        total += k(row)
    return total


def both(k):
    return (k(True) + k(False)) % 1_000_000_007


def nqueens(library, n):
    pick, nothing = library.effect("pick"), library.effect("nothing")

    def place(column):
        if column == 0:
            return ()
        rest = place(column - 1)
        row = pick(n)
        return (row, *rest) if is_safe(row, rest) else nothing()

    def program():
        place(n)
        return 1

    return library.handler({pick: every, nothing: lambda _k: 0})(program)


def nqueens_in_one_frame(library, n):
    """Without recursion, and without the iterator of a `for`, which all resumptions would share."""
    pick = library.effect("pick")

    def program():
        rows = ()
        while len(rows) < n:
            row = pick(n)
            if not is_safe(row, rows):
                return 0
            rows = (row, *rows)
        return 1

    return library.handler({pick: every})(program)


def generator(library, n):
    tree = tree_of(n)
    emit = library.effect("emit")
    handler = library.handler({emit: lambda k, value: (value, k)})

    def visit(tree):
        if tree:
            visit(tree[0])
            emit(tree[1])
            visit(tree[2])

    def advance(k):
        return handler(lambda: k(None))  # a handler that has returned handles no more

    total = 0
    step = handler(lambda: visit(tree))
    while step is not None:
        value, k = step
        total += value
        step = advance(k)
    return total


def both_sides(k):
    one = k(True)
    return one + k(False)


def tree_explore(library, n):
    tree = tree_of(n)
    get, put, state = library.state(0)
    flip = library.effect("flip")
    paths = library.handler({flip: both_sides})

    def explore(tree):
        if tree is None:
            return get()
        side = tree[0] if flip() else tree[2]
        put(combine(get(), tree[1], 37))
        return combine(tree[1], explore(side), 11)

    return state(lambda: max(paths(lambda: [explore(tree)])))


def tree_explore_in_one_frame(library, n):
    tree = tree_of(n)
    get, put, state = library.state(0)
    flip = library.effect("flip")
    paths = library.handler({flip: both_sides})

    def explore():
        at, values = tree, ()
        while at is not None:
            side = at[0] if flip() else at[2]
            put(combine(get(), at[1], 37))
            values = (at[1], *values)
            at = side
        result = get()
        for value in values:
            result = combine(value, result, 11)
        return [result]

    return state(lambda: max(paths(explore)))


def checked(n, i, j, k):
    return (53 * i + 2809 * j + 148877 * k) % 1_000_000_007 if i + j + k == n else 0


def triples(library, n):
    flip, nothing = library.effect("flip"), library.effect("nothing")

    def pick_below(n):
        if n < 1:
            return nothing()
        return n if flip() else pick_below(n - 1)

    def program():
        i = pick_below(n)
        j = pick_below(i - 1)
        return checked(n, i, j, pick_below(j - 1))

    return library.handler({flip: both, nothing: lambda _k: 0})(program)


def triples_in_one_frame(library, n):
    flip = library.effect("flip")

    def program():
        picked, candidate = (), n
        while len(picked) < 3:
            if candidate < 1:
                return 0
            if flip():
                picked = (*picked, candidate)
            candidate -= 1
        return checked(n, *picked)

    return library.handler({flip: both})(program)


def parsing_dollars(library, n):
    read, emit, stop = library.effect("read"), library.effect("emit"), library.effect("stop")
    total = line = column = 0

    def add(k, value):
        nonlocal total
        total += value
        return k(None)

    def feed(k):
        nonlocal line, column
        if line > n:
            stop()
        if column == line:
            line, column = line + 1, 0
            return k(NEWLINE)
        column += 1
        return k(DOLLAR)

    def parse():
        count = 0
        while True:
            c = read()
            if c == DOLLAR:
                count += 1
            elif c == NEWLINE:
                emit(count)
                count = 0
            else:
                stop()

    sums, catches, feeds = (library.handler(c) for c in ({emit: add}, {stop: lambda _k: None}, {read: feed}))
    sums(lambda: catches(lambda: feeds(parse)))
    return total


def resume_nontail(library, n):
    operator = library.effect("operator")

    def work_after(k, x):
        y = k(None)
        return abs(x - 503 * y + 37) % 1009

    def loop(n):
        while n:
            operator(n)
            n -= 1
        return 0

    return library.handler({operator: work_after})(lambda: loop(n))


def handler_sieve(library, n):
    prime = library.effect("prime")

    def sieve_from(i):
        while i < n and not prime(i):
            i += 1
        return i + sieve_above(i) if i < n else 0

    def sieve_above(p):
        filtered = library.handler({prime: lambda k, c: k(prime(c) if c % p else False)})
        return filtered(lambda: sieve_from(p + 1))

    return library.handler({prime: lambda k, _c: k(True)})(lambda: sieve_from(2))


# Continuations: the two ways that handlers give.


def by_jumps(library, program):
    """A program of call_cc: the rest is captured by one effect and called by another, which forgets its own rest."""
    capture, jump = library.effect("capture"), library.effect("jump")

    def captured(k, f):
        return handler(lambda: k(f(lambda value: jump(k, value))))

    handler = library.handler({capture: captured, jump: lambda _k, k, value: k(value)})
    return handler(lambda: program(capture))


def escape_by(library):
    """call_ec: an effect and its handler for each call."""

    def call(f):
        leave = library.effect("leave")
        return library.handler({leave: lambda _k, value: value})(lambda: f(leave))

    return call


def ctak(library, size):
    return by_jumps(library, lambda call: programs_control.ctak_by(call, size))


def ctak_by_escapes(library, size):
    return programs_control.ctak_by(escape_by(library), size)


def fibc(library, size):
    return by_jumps(library, lambda call: programs_control.fibc_by(call, size))


def fibc_by_escapes(library, size):
    return programs_control.fibc_by(escape_by(library), size)


RESUMED_MORE_THAN_ONCE = {
    nqueens,
    nqueens_in_one_frame,
    generator,  # once, but after its handler has returned, which ends what aleff.oneshot has
    tree_explore,
    tree_explore_in_one_frame,
    triples,
    triples_in_one_frame,
    ctak,  # once, but aleff.oneshot leaves a rest that is forgotten by an exception of its own
}


def program(name: str, calls_methods: bool) -> Callable[[int], object]:
    """A program by its name, as a function of its size."""
    function = globals()[name]
    library = Library(aleff if function in RESUMED_MORE_THAN_ONCE else oneshot, calls_methods)
    return lambda size: function(library, size)
