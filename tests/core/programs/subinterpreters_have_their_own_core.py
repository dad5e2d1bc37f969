"""Legacy subinterpreters load a core of their own or refuse to; a fiber of the main one runs around them."""

import sys

from stackful import Fiber, suspend

try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters

code = """
import sys
sys.path[:0] = %r
try:
    from stackful import Fiber, current, suspend
except ImportError:
    pass
else:
    def deep(n):
        return suspend(n) if n == 0 else deep(n - 1)
    assert current() is None
    fiber = Fiber(deep, 5)
    fiber.resume()
    sys.keep = fiber
    Fiber(deep, 5).resume()
""" % [sys.path[0], *[p for p in sys.path if "site-packages" not in p]]


def body():
    for _ in range(3):
        if sys.version_info < (3, 13):
            one = interpreters.create(isolated=False)
        else:
            one = interpreters.create("legacy")
        assert not interpreters.run_string(one, code)
        interpreters.destroy(one)
    suspend("done")


fiber = Fiber(body)
assert fiber.resume() == "done"
