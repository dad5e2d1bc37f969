"""What one slot of an evaluation stack can hold."""

from enum import StrEnum
from typing import NamedTuple

__all__ = ["MANY", "NULLABLE", "Kind", "Slot", "merge_kinds", "merge_slots"]

MANY = -1
"""The origin of a slot that different instructions fill on different paths."""


class Kind(StrEnum):
    """What the interpreter relies on, without a check, about one slot."""

    OBJECT = "object"
    """Any object, never NULL: whatever is done with it is checked and ends in a TypeError at worst."""
    NULL = "null"
    """No object at all: PUSH_NULL and its relatives."""
    MAYBE_NULL = "maybe_null"
    """Any object or NULL: the method half of a call whose attribute may turn out to be no method."""
    ITERATOR = "iterator"
    """What FOR_ITER advances: its type has a `__next__` in C."""
    LIST = "list"
    """Exactly a list: LIST_APPEND and LIST_EXTEND write into it."""
    SET = "set"
    """Exactly a set: SET_ADD and SET_UPDATE write into it."""
    DICT = "dict"
    """Exactly a dict: MAP_ADD and DICT_MERGE write into it, CALL_FUNCTION_EX passes it on."""
    TUPLE = "tuple"
    """Exactly a tuple: a function under construction takes it over, or a pattern reads it."""
    CODE = "code"
    """A code object, about to become a function."""
    FUNCTION = "function"
    """A Python function that is still being given its defaults or its closure."""
    EXCEPTION = "exception"
    """An exception instance: RERAISE and its relatives read its fields."""
    MAYBE_EXCEPTION = "maybe_exception"
    """An exception instance or None: what POP_EXCEPT puts back into sys.exception()."""
    INTERPOLATION = "interpolation"
    """A field of a template string (3.14 and later), which a template takes over unseen."""
    STRINGS = "strings"
    """Exactly a tuple of strings, not empty: the texts of a template string between its fields."""
    LASTI = "lasti"
    """An int, the index (in code units of two bytes) of the instruction that raised."""
    INDEX = "index"
    """How far a loop over a list, tuple or string has come (3.15 and later); NULL where the slot below is an iterator."""
    CELL = "cell"
    """A cell: for a closure, or a cell that a comprehension has put aside."""
    SAVED_LOCAL = "saved_local"
    """A local that a comprehension has put aside: any object, or NULL if it was unbound."""


NULLABLE = frozenset({Kind.NULL, Kind.MAYBE_NULL, Kind.SAVED_LOCAL, Kind.INDEX})
"""The kinds whose slots may be without an object."""

_EXCEPTIONS = frozenset({Kind.EXCEPTION, Kind.MAYBE_EXCEPTION})
_TUPLES = frozenset({Kind.TUPLE, Kind.STRINGS})
_SAVED = frozenset({Kind.SAVED_LOCAL, Kind.CELL})


class Slot(NamedTuple):
    """One slot: what it holds and who put it there.

    `origin` is the byte offset of the instruction that produced the value (copies keep the origin of what they copy), the
    offset of the handler for what the exception table pushes, or `MANY`. `part` counts the slots that one instruction pushes.
    """

    kind: Kind
    origin: int
    part: int = 0


def merge_kinds(one: Kind, other: Kind) -> Kind:
    """The kind of a slot that is `one` on some paths and `other` on others.

    >>> merge_kinds(Kind.LIST, Kind.LIST), merge_kinds(Kind.LIST, Kind.SET)
    (<Kind.LIST: 'list'>, <Kind.OBJECT: 'object'>)
    >>> merge_kinds(Kind.NULL, Kind.OBJECT)
    <Kind.MAYBE_NULL: 'maybe_null'>
    """
    if one is other:
        return one
    if one in _SAVED and other in _SAVED:
        return (
            Kind.SAVED_LOCAL
        )  # what a comprehension puts aside is a cell where an error once left its own cell behind
    if one in NULLABLE or other in NULLABLE:
        return Kind.MAYBE_NULL
    if one in _EXCEPTIONS and other in _EXCEPTIONS:
        return Kind.MAYBE_EXCEPTION
    return Kind.TUPLE if one in _TUPLES and other in _TUPLES else Kind.OBJECT


def merge_slots(one: Slot, other: Slot) -> Slot:
    """The slot that two paths agree on."""
    if one == other:
        return one
    kind = merge_kinds(one.kind, other.kind)
    if one[1:] == other[1:]:
        return Slot(kind, one.origin, one.part)
    return Slot(kind, MANY)
