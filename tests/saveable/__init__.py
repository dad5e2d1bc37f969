"""Everything that can stand in a frame, one entry each: how it is made, how a snapshot saves it, and how it is seen to behave afterwards.

`docs/saveable.md` is written from this table, and `tests/snapshot/test_saveable.py` holds each entry against what happens.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

BY_VALUE = "by value"
BY_NAME = "by name"
FORKED = "forked"
RECONNECTED = "reconnected"
REFUSED = "refused"

HOWS = {
    BY_VALUE: "what it holds travels with the snapshot, and what it refers to as well",
    BY_NAME: "the snapshot holds a name, and the loading process gives what it has under that name",
    FORKED: "an iterator, or what is in progress: it goes on where it stood, apart from the original",
    RECONNECTED: "it stands for something outside of the program; loading finds or opens that again, or fails",
    REFUSED: "saving raises an error that names the variable and the way out, and nothing is written",
}


@dataclass(frozen=True)
class Entry:
    """`look` gives what is compared between a restored value and one made anew; it may use the value up."""

    family: str
    name: str
    how: str
    make: Callable[[], Any]
    look: Callable[[Any], Any]
    since: tuple[int, int]
    needs: str | None
    remark: str
    because: str
    same_type: bool

    def __str__(self):
        return f"{self.family}: {self.name}"

    @property
    def is_here(self):
        """Whether this Python, with what is installed, has it."""
        return sys.version_info >= self.since and (self.needs is None or has_module(self.needs))


def has_module(name):
    try:
        __import__(name)
    except ImportError:
        return False
    return True


ENTRIES: list[Entry] = []


def family(title):
    """A decorator factory for the entries of one family."""

    def entry(
        name, how, look=None, *, since=(3, 11), needs=None, remark="", because="", same_type=True, make=None
    ):  # fmt: skip
        assert how in HOWS
        assert (how == REFUSED) == bool(because)

        def add(make):
            found = Entry(title, name, how, make, look, since, needs, remark, because, same_type)
            assert str(found) not in map(str, ENTRIES), found
            ENTRIES.append(found)
            return make

        return add if make is None else add(make)

    return entry


def advanced(iterator, steps=1):
    for _ in range(steps):
        next(iterator)
    return iterator


def same(value):
    return value


from saveable import functions, iterators, outside, values  # noqa: E402, F401 - each adds its entries
