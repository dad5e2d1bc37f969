"""Programs that measure continuations: ctak (Gabriel, "Performance and Evaluation of Lisp Systems", 1985) and fibc (from the Larceny benchmarks).

Each beside what Python has: an exception for each way out, which does for these, because no continuation is called twice; the
program turned inside out, so that each function is told what to do with its result (continuation-passing style); and, as
the floor, the plain recursion that comes to the same.
"""

from stackful import call_cc, call_ec, run


def ctak_by(call, size):
    """The function of Takeuchi, each result by a continuation."""

    def aux(k, x, y, z):
        if y >= x:
            return k(z)
        return call(
            lambda k: aux(
                k,
                call(lambda k: aux(k, x - 1, y, z)),
                call(lambda k: aux(k, y - 1, z, x)),
                call(lambda k: aux(k, z - 1, x, y)),
            )
        )

    return call(lambda k: aux(k, 3 * size, 2 * size, size))


def fibc_by(call, size):
    """The numbers of Fibonacci, each result by a continuation."""

    def add(x, y, k):
        return k(x) if y == 0 else add(x + 1, y - 1, k)

    def fib(n, k):
        if n < 2:
            return k(n)
        return add(call(lambda k: fib(n - 1, k)), call(lambda k: fib(n - 2, k)), k)

    return call(lambda k: fib(size, k))


class _Out(Exception):
    """Leaves for the call whose way out it holds."""


def by_exception(f):
    """What call_ec does, for programs whose frames are all there."""

    def out(value):
        raise _Out(out, value)

    try:
        return f(out)
    except _Out as error:
        if error.args[0] is not out:
            raise
        return error.args[1]


class Landed:
    """The last continuation: holds the result."""

    def __init__(self, value):
        self.value = value


def bounced(thunk):
    """Calls what a call returns, and so on; the stack does not grow."""
    while type(thunk) is not Landed:
        thunk = thunk()
    return thunk.value


def ctak(size):
    return run(lambda: ctak_by(call_cc, size))


def ctak_by_escapes(size):
    return run(lambda: ctak_by(call_ec, size))


def ctak_by_exceptions(size):
    return ctak_by(by_exception, size)


def ctak_by_thunks(size):
    def tak(x, y, z, k):
        if y >= x:
            return lambda: k(z)
        return lambda: tak(
            x - 1,
            y,
            z,
            lambda a: lambda: tak(y - 1, z, x, lambda b: lambda: tak(z - 1, x, y, lambda c: lambda: tak(a, b, c, k))),
        )

    return bounced(tak(3 * size, 2 * size, size, Landed))


def ctak_plain(size):
    def tak(x, y, z):
        return z if y >= x else tak(tak(x - 1, y, z), tak(y - 1, z, x), tak(z - 1, x, y))

    return tak(3 * size, 2 * size, size)


def fibc(size):
    return run(lambda: fibc_by(call_cc, size))


def fibc_by_escapes(size):
    return run(lambda: fibc_by(call_ec, size))


def fibc_by_exceptions(size):
    return fibc_by(by_exception, size)


def fibc_by_thunks(size):
    def add(x, y, k):
        return lambda: k(x) if y == 0 else add(x + 1, y - 1, k)

    def fib(n, k):
        if n < 2:
            return lambda: k(n)
        return lambda: fib(n - 1, lambda a: lambda: fib(n - 2, lambda b: add(a, b, k)))

    return bounced(fib(size, Landed))


def fibc_plain(size):
    def add(x, y):
        return x if y == 0 else add(x + 1, y - 1)

    def fib(n):
        return n if n < 2 else add(fib(n - 1), fib(n - 2))

    return fib(size)
