"""Where a program of the corpus may stop, and the schedule that says when it does.

The schedule lives outside of every fiber: a copy or a restored snapshot finds it disarmed and runs to its end.
"""

import sys

from stackful import current, is_capturable, is_suspendable, suspend, suspend_to
from stackful.errors import StackfulError

# v3.13.0 Objects/exceptions.c, _PyExc_PrepReraiseStar: debug builds abort at except* where a group has no traceback (any program
# may take it away, and snapshots do).
ASSERTS_TRACEBACKS = sys.version_info >= (3, 12) and hasattr(sys, "gettotalrefcount")


class Schedule:
    """Which calls of `point` suspend or raise; calls are counted from 1."""

    def __init__(self):
        self.arm()

    def arm(self, suspend_at=(), *, everywhere=False, raise_at=None, error=None):
        self.suspend_at = frozenset(suspend_at)
        self.everywhere = everywhere
        self.raise_at = raise_at
        self.error = error
        self.count = 0

    def disarm(self):
        self.arm()

    def due(self):
        """Count one call, and tell whether this one suspends."""
        self.count += 1
        if self.count == self.raise_at:
            raise self.error
        return self.everywhere or self.count in self.suspend_at


SCHEDULE = Schedule()


class Interruption(Exception):
    """What the harness throws into a suspended program."""


def point(value):
    """Return `value`, after a suspension where the schedule wants one."""
    if SCHEDULE.due():
        suspend(value)
    return value


REFUSALS = []
ANSWERS = []


def capturing_point(value):
    """The same by a suspension that captures, which no C code may stand in the way of."""
    if SCHEDULE.due():
        suspend_to(current(), value)
    return value


def probe(value):
    """Try to capture, note the refusal, and return `value` all the same."""
    try:
        suspend_to(current(), value)
    except StackfulError as error:
        REFUSALS.append(error)
    return value


def ask(value):
    """Note whether a capture and whether a suspension would be possible here, and return `value`."""
    ANSWERS.append((is_capturable(), is_suspendable()))
    return value
