"""A subinterpreter with a GIL of its own gets an ImportError, and the main one's fibers do not notice."""

import sys

from stackful import Fiber, suspend

if sys.version_info < (3, 12):
    sys.exit()  # there are none
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters

code = """
import sys
sys.path[:0] = %r
try:
    import stackful
except ImportError as error:
    assert "subinterpreters" in str(error), error
else:
    raise AssertionError("imported")
""" % [p for p in sys.path if "site-packages" not in p]


def run(isolated):
    failed = interpreters.run_string(isolated, code)
    assert not failed, failed


def body():
    for _ in range(3):
        isolated = interpreters.create()
        run(isolated)
        suspend("between")
        run(isolated)
        interpreters.destroy(isolated)
    return "done"


fiber = Fiber(body)
assert [fiber.resume() for _ in range(4)] == ["between"] * 3 + ["done"]
