"""Is this an interpreter that Stackful works on? Asked once, before anything else is imported.

The core reads CPython's own frames. Where they might be laid out otherwise, importing must fail with a reason; it must never come to a crash.
"""

from __future__ import annotations

import sys

__all__ = ["SUPPORTED", "check_interpreter"]

SUPPORTED = ((3, 11), (3, 15))


def _build() -> str | None:
    """What about this build is not supported, or None."""
    if sys.implementation.name != "cpython" or not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        return "it is not one of them"
    if "t" in getattr(sys, "abiflags", ""):
        return "it is a free-threaded build"
    if hasattr(sys, "getobjects"):
        return "it was built with --with-trace-refs"
    jit = getattr(sys, "_jit", None)
    if jit is not None and jit.is_enabled():
        return "its JIT is enabled; PYTHON_JIT=0 disables it"
    return None


def _layout(marker: object) -> str | None:
    try:
        from stackful import _core
    except ImportError as error:
        return f"the compiled core was not built for it ({error})"
    return _core.check_layout(marker)


def check_interpreter() -> None:
    """Raise ImportError unless Stackful works here: version, kind of build, and the layout of frames, found out by looking at running ones.

    Takes a few microseconds. Called by ``import stackful``.

    >>> check_interpreter()
    """
    problem = _build() or _layout(object())
    if problem is not None:
        (major, first), (_, last) = SUPPORTED
        name = f"{sys.implementation.name} {'.'.join(map(str, sys.version_info[:3]))}"
        raise ImportError(
            f"stackful supports CPython {major}.{first} to {major}.{last}, with the GIL, without the JIT and without --with-trace-refs. "
            f"This is {name}: {problem}."
        )
