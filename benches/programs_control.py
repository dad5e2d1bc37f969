"""Programs that measure continuations: ctak (Gabriel, "Performance and Evaluation of Lisp Systems", 1985) and fibc (from the Larceny benchmarks).

Each beside the best that Python has: an exception for each way out, which does for these, because no continuation is called twice.
"""

from stackful import call_cc, call_ec, run


def _ctak(call):
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

    return lambda x, y, z: call(lambda k: aux(k, x, y, z))


def _fibc(call):
    def add(x, y, k):
        return k(x) if y == 0 else add(x + 1, y - 1, k)

    def fib(n, k):
        if n < 2:
            return k(n)
        return add(call(lambda k: fib(n - 1, k)), call(lambda k: fib(n - 2, k)), k)

    return lambda n: call(lambda k: fib(n, k))


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


def ctak(size):
    """The function of Takeuchi, each result by a continuation."""
    return run(lambda: _ctak(call_cc)(3 * size, 2 * size, size))


def ctak_by_escapes(size):
    """The same by escape continuations."""
    return run(lambda: _ctak(call_ec)(3 * size, 2 * size, size))


def ctak_native(size):
    """The same by exceptions."""
    return _ctak(by_exception)(3 * size, 2 * size, size)


def fibc(size):
    """The numbers of Fibonacci, each result by a continuation."""
    return run(lambda: _fibc(call_cc)(size))


def fibc_native(size):
    """The same by exceptions."""
    return _fibc(by_exception)(size)
