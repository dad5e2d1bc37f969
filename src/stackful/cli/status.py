"""The exit statuses of ``stackful``.

A script's own exit status passes through ``run`` and ``resume`` unchanged. Stackful's own stand in a block that
scripts seldom use (64 to 78, which BSD's ``sysexits.h`` set aside for such things):

====== ===================================================================================================
status meaning
====== ===================================================================================================
0      done (``run``, ``resume``: the script ended well)
1      ``run``, ``resume``: an exception ended the script, or ``sys.exit("text")`` did; ``check``: it failed
64     the command line is wrong, or an answer does not fit its question
65     a checkpoint is damaged, or sealed with another key
66     the script cannot be read; ``worker``: a module cannot be imported
67     there is no such run, or it has nothing to resume
68     the script, or a module that it uses, is not what it was when the checkpoint was stored
69     the checkpoint belongs to another version of Python
70     a bug in Stackful
71     the script called ``checkpoint()`` while it referred to a value that cannot be stored; ``check``: it would
72     a file that the script had open, or what a reconnector opens, is gone or has changed
74     the store cannot be read or written: damaged, of another program, read-only, locked, or the disk is full; or
       what was asked for cannot be done with the run as it stands, or with the port
75     another process is at work on the run
76     ``worker``: it ended while steps were in flight, which are done again elsewhere
77     a checkpoint names a function or class that loading it may not reach
130    Ctrl-C (the process ends by the signal SIGINT, as under plain ``python``)
====== ===================================================================================================
"""

from __future__ import annotations

from stackful.durable.program import ScriptError
from stackful.errors import (
    CodeChangedError,
    NameRefusedError,
    ReconnectError,
    RunLockedError,
    RunNotFoundError,
    SealError,
    SnapshotError,
    SnapshotVersionError,
    StackfulError,
    StoreError,
    UnsaveableError,
)

__all__ = [
    "BAD_CHECKPOINT",
    "CODE_CHANGED",
    "INTERNAL",
    "IN_FLIGHT",
    "LOCKED",
    "NO_RUN",
    "NO_SCRIPT",
    "OTHER_PYTHON",
    "OUTSIDE_CHANGED",
    "REFUSED",
    "STORE",
    "UNSAVEABLE",
    "USAGE",
    "status_of",
]

USAGE = 64
BAD_CHECKPOINT = 65
NO_SCRIPT = 66
NO_RUN = 67
CODE_CHANGED = 68
OTHER_PYTHON = 69
INTERNAL = 70
UNSAVEABLE = 71
OUTSIDE_CHANGED = 72
STORE = 74
LOCKED = 75
IN_FLIGHT = 76
REFUSED = 77

# The first class that fits decides: special ones stand before general ones.
_STATUSES: list[tuple[type[StackfulError], int]] = [
    (ScriptError, NO_SCRIPT),
    (RunNotFoundError, NO_RUN),
    (RunLockedError, LOCKED),
    (StoreError, STORE),
    (CodeChangedError, CODE_CHANGED),
    (SnapshotVersionError, OTHER_PYTHON),
    (UnsaveableError, UNSAVEABLE),
    (NameRefusedError, REFUSED),
    (ReconnectError, OUTSIDE_CHANGED),
    (SealError, BAD_CHECKPOINT),
    (SnapshotError, BAD_CHECKPOINT),
]


def status_of(error: StackfulError) -> int:
    """The exit status that an error of Stackful leads to.

    Example:
        >>> status_of(StoreError("the disk is full"))
        74
    """
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), INTERNAL)
