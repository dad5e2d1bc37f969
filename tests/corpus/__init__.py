"""Small deterministic programs over every kind of statement and expression.

Each is a function of `point`: it calls `point(value)`, which returns its argument, in as many positions as it
can, and returns a plain value. Between the program and `point` lie plain calls only (the barrier programs excepted).
Mutable results are rebound tuples unless the program is marked `shares_heap`.
"""

import sys

from . import (
    assignments,
    barriers,
    classes,
    comprehensions,
    contexts,
    exceptions,
    expressions,
    functions,
    iterators,
    loops,
    matching,
    nested,
    recursion,
    statements,
    strings,
)
from .registry import BARRIERS, PROGRAMS

if sys.version_info >= (3, 12):
    from . import syntax_312
if sys.version_info >= (3, 14):
    from . import syntax_314
if sys.version_info >= (3, 15):
    from . import syntax_315

__all__ = ["BARRIERS", "PROGRAMS"]
