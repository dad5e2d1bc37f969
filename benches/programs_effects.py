"""The programs of effect-handlers-bench (github.com/effect-handlers/effect-handlers-bench), with handlers and as a Python user writes them today.

Each is a pair of functions of a size; both give the same answer, which is checked before the clock starts.
"""

import itertools

from stackful import Handler, effect, handle, perform
from stackful.search import choose, fail, solutions


@effect
def get() -> int: ...


@effect
def put(value: int) -> None: ...


@effect
def done(value: int) -> None: ...


@effect
def emit(value: int) -> None: ...


@effect
def pick(size: int) -> int: ...


@effect
def branch() -> bool: ...


@effect
def nothing() -> None: ...


@effect
def flip() -> bool: ...


@effect
def operator(value: int) -> None: ...


@effect
def prime(candidate: int) -> bool: ...


@effect
def read() -> int: ...


@effect
def stop() -> None: ...


# countdown: state, and nothing else


def countdown(n):
    def program():
        while True:
            i = perform(get)
            if i == 0:
                return i
            perform(put, i - 1)

    return handle(program, get.update(lambda s: (s, s)), put.update(lambda _, new: (None, new)), state=n)


def countdown_native(n):
    state = n

    def read_state():
        return state

    def write_state(new):
        nonlocal state
        state = new

    while True:
        i = read_state()
        if i == 0:
            return i
        write_state(i - 1)


# fibonacci_recursive: no effect at all, beneath a handler


def fibonacci_recursive(n):
    return handle(lambda: fibonacci_native(n), get.fun(lambda: 0))


def fibonacci_native(n):
    return n if n < 2 else fibonacci_native(n - 1) + fibonacci_native(n - 2)


# product_early: an early exit, out of a recursion


def product(numbers, i):
    if i == len(numbers):
        return 0
    number = numbers[i]
    return perform(done, 0) if number == 0 else number * product(numbers, i + 1)


NUMBERS = [*range(500, 0, -1), 0]


def product_early(n):
    exit_early = Handler(done.final(lambda value: value))
    return sum(handle(lambda: product(NUMBERS, 0), exit_early) for _ in range(n))


class DoneError(Exception):
    """Leaves the product with a value."""


def product_native_from(numbers, i):
    if i == len(numbers):
        return 0
    number = numbers[i]
    if number == 0:
        raise DoneError(0)
    return number * product_native_from(numbers, i + 1)


def product_native(n):
    total = 0
    for _ in range(n):
        try:
            total += product_native_from(NUMBERS, 0)
        except DoneError as error:
            total += error.args[0]
    return total


# iterator: values handed out, one by one


def iterator(n):
    def program():
        for i in range(n + 1):
            perform(emit, i)

    return handle(program, emit.update(lambda s, value: (None, s + value)), state=0, returns=lambda _, s: s)


def iterator_native(n):
    return sum(i for i in range(n + 1))


# nqueens: choose a row, fail


def is_safe(queen, rows):
    return all(queen != row and abs(queen - row) != distance for distance, row in enumerate(rows, 1))


def place(size, column):
    if column == 0:
        return ()
    rest = place(size, column - 1)
    row = perform(pick, size)
    return (row, *rest) if is_safe(row, rest) else perform(nothing)


def nqueens(n):
    def every(k, size):
        total = 0
        for row in range(size):
            total += k.resume(row)
        return total

    return handle(lambda: place(n, n), pick.ctl(every), nothing.final(lambda: 0), returns=lambda _: 1)


def place_by_choose(size):
    rows = ()
    for _ in range(size):
        row = choose(range(size))
        if not is_safe(row, rows):
            fail()
        rows = (row, *rows)
    return rows


def nqueens_by_search(n):
    return sum(1 for _ in solutions(place_by_choose, n))


def place_native(size, column):
    if column == 0:
        yield ()
        return
    for rest in place_native(size, column - 1):
        for row in range(size):
            if is_safe(row, rest):
                yield (row, *rest)


def nqueens_native(n):
    return sum(1 for _ in place_native(n, n))


class Replay:
    """Choice without forks: the program runs again from its start for each option, and is told what it had chosen."""

    class FailedError(Exception):
        """This run leads nowhere."""

    def __init__(self):
        self.path = []  # [taken, number of options] of each choice
        self.position = 0

    def choose(self, size):
        if self.position == len(self.path):
            self.path.append([0, size])
        taken = self.path[self.position][0]
        self.position += 1
        return taken

    def results(self, program):
        while True:
            self.position = 0
            try:
                yield program(self)
            except Replay.FailedError:
                pass
            while self.path and self.path[-1][0] + 1 == self.path[-1][1]:
                self.path.pop()
            if not self.path:
                return
            self.path[-1][0] += 1


def nqueens_by_replay(n):
    def program(replay):
        rows = ()
        for _ in range(n):
            row = replay.choose(n)
            if not is_safe(row, rows):
                raise Replay.FailedError
            rows = (row, *rows)
        return rows

    return sum(1 for _ in Replay().results(program))


# generator: a tree, one value at a time, by one-shot resumptions


def tree_of(depth):
    return None if depth == 0 else (tree_of(depth - 1), depth, tree_of(depth - 1))


def visit(tree):
    if tree:
        visit(tree[0])
        perform(emit, tree[1])
        visit(tree[2])


def generator(n):
    tree = tree_of(n)
    step = handle(lambda: visit(tree), emit.once(lambda k, value: (value, k)))
    total = 0
    while step is not None:
        value, k = step
        total += value
        step = k.resume()
    return total


def visit_native(tree):
    if tree:
        yield from visit_native(tree[0])
        yield tree[1]
        yield from visit_native(tree[2])


def generator_native(n):
    return sum(visit_native(tree_of(n)))


# tree_explore: every path through a tree


def combine(a, b, c):
    return abs(a - 503 * b + c) % 1009


def explore_paths(tree):
    if tree is None:
        return perform(get)
    side = tree[0] if perform(flip) else tree[2]
    perform(put, combine(perform(get), tree[1], 37))
    return combine(tree[1], explore_paths(side), 11)


def tree_explore(n):
    tree = tree_of(n)

    def both(k):
        one = k.resume(True)
        return one + k.resume(False)

    def paths():
        return handle(lambda: explore_paths(tree), flip.ctl(both), returns=lambda result: [result])

    return handle(lambda: max(paths()), get.update(lambda s: (s, s)), put.update(lambda _, new: (None, new)), state=0)


def tree_explore_native(n):
    state = 0

    def walk(tree, so_far):
        nonlocal state
        if tree is None:
            return [unwind(so_far, state)]
        found = []
        for side in (tree[0], tree[2]):
            state = combine(state, tree[1], 37)
            found += walk(side, (*so_far, tree[1]))
        return found

    def unwind(values, result):
        for value in reversed(values):
            result = combine(value, result, 11)
        return result

    return max(walk(tree_of(n), ()))


# triples: i > j > k that add up, by choice from a recursion


def pick_below(n):
    if n < 1:
        return perform(nothing)
    return n if perform(flip) else pick_below(n - 1)


def triple(n, s):
    i = pick_below(n)
    j = pick_below(i - 1)
    k = pick_below(j - 1)
    return (i, j, k) if i + j + k == s else perform(nothing)


def triples(n):
    def both(k):
        return (k.resume(True) + k.resume(False)) % 1_000_000_007

    return handle(
        lambda: triple(n, n),
        flip.ctl(both),
        nothing.final(lambda: 0),
        returns=lambda found: (53 * found[0] + 2809 * found[1] + 148877 * found[2]) % 1_000_000_007,
    )


def triples_native(n):
    total = 0
    for i, j, k in itertools.product(range(n, 0, -1), repeat=3):
        if i > j > k and i + j + k == n:
            total += 53 * i + 2809 * j + 148877 * k
    return total % 1_000_000_007


# parsing_dollars: three effects, three handlers

NEWLINE, DOLLAR = 10, 36


def parse(count):
    while True:
        c = perform(read)
        if c == DOLLAR:
            count += 1
        elif c == NEWLINE:
            perform(emit, count)
            count = 0
        else:
            perform(stop)


def parsing_dollars(n):
    def feed(state):
        line, column = state
        if line > n:
            perform(stop)
        return (NEWLINE, (line + 1, 0)) if column == line else (DOLLAR, (line, column + 1))

    def caught():
        return handle(lambda: handle(lambda: parse(0), read.update(feed), state=(0, 0)), stop.final(lambda: None))

    return handle(caught, emit.update(lambda s, value: (None, s + value)), state=0, returns=lambda _, s: s)


def parsing_native(n):
    def characters():
        for line in range(n + 1):
            yield from itertools.repeat(DOLLAR, line)
            yield NEWLINE

    def counts():
        count = 0
        for c in characters():
            if c == DOLLAR:
                count += 1
            else:
                yield count
                count = 0

    return sum(counts())


# resume_nontail: work after each resumption, as deep as there are operations


def nontail_loop(n, s):
    while n:
        perform(operator, n)
        n -= 1
    return s


def resume_nontail(n):
    def clause(k, x):
        y = k.resume()
        return abs(x - 503 * y + 37) % 1009

    step = Handler(operator.once(clause))
    return handle(lambda: nontail_loop(n, 0), step)


def nontail_native(n):
    def loop(x):
        if x == 0:
            return 0
        y = loop(x - 1)
        return abs(x - 503 * y + 37) % 1009

    return loop(n)


# handler_sieve: a handler for each prime


def sieve_from(i, n):
    while i < n and not perform(prime, i):
        i += 1
    return i + sieve_above(i, n) if i < n else 0


def sieve_above(p, n):
    return handle(lambda: sieve_from(p + 1, n), prime.fun(lambda c: perform(prime, c) if c % p else False))


def handler_sieve(n):
    return handle(lambda: sieve_from(2, n), prime.fun(lambda _: True))


def sieve_native(n):
    """A chain of closures."""

    def is_prime(_candidate):
        return True

    def filtered(p, before):
        return lambda c: before(c) if c % p else False

    total = 0
    for i in range(2, n):
        if is_prime(i):
            total += i
            is_prime = filtered(i, is_prime)
    return total
