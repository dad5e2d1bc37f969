"""The operators of Stackful, by which every captured continuation first travels as the test's way says: not at all, copied, or pickled.

A law says what frames do, and programs that state one share their logs: pickled in this process, frames leave what is not theirs behind. So
cells, tags, winders, operations, clauses, handlers, other fibers and each `Log` are themselves at the end of the road, and all else is made anew: frames,
iterators, functions, exceptions. (tests/continuations/test_portable.py sends everything.)
"""

import copy
from io import BytesIO
from types import CellType

import stackful
import ways
from stackful import Clause, Fiber, Handler, Operation, PromptTag, Resumption
from stackful.continuations.winders import Winder
from stackful.effects.answers import _Answer
from stackful.snapshot.pickler import SnapshotPickler, SnapshotUnpickler


class Log(list):
    """A list that stays itself when what refers to it is pickled, and a place for winders to write to."""

    def wind(self, name, thunk):
        """Run the thunk within an extent that writes when it is entered and left."""
        return stackful.dynamic_wind(lambda: self.append(f"in {name}"), thunk, lambda: self.append(f"out {name}"))


HEAP = (CellType, PromptTag, Winder, Operation, Clause, Handler, _Answer, Log)


class _Pickler(SnapshotPickler):
    def __init__(self, file, heap, traveller):
        super().__init__(file)
        self.heap = heap
        self.traveller = traveller

    def persistent_id(self, value):
        stays = isinstance(value, HEAP)
        if isinstance(value, Fiber) and value is not self.traveller:
            stays = not isinstance(self.traveller, Resumption)  # fibers may be what a resumption is made of
        if not stays:
            return None
        self.heap[f"heap {id(value)}"] = value
        return f"heap {id(value)}"


class _Unpickler(SnapshotUnpickler):
    def __init__(self, file, heap):
        super().__init__(file)
        words = self.persistent_load
        self.persistent_load = lambda name: heap[name] if name in heap else words(name)


def pickled(value):
    """The value, through bytes, but for what is shared."""
    heap, file = {}, BytesIO()
    _Pickler(file, heap, value).dump(value)
    file.seek(0)
    return _Unpickler(file, heap).load()


def travelled(value):
    """The value, or a copy of it, as the way says. A fiber or a resumption for which a copy goes on is not closed before the test's end."""
    if ways.current in ways.ROADS and isinstance(value, Fiber | Resumption):
        ways.kept.append(value)
    if ways.current == "copied":
        method = getattr(value, "__self__", None)
        return copy.copy(value) if method is None else getattr(copy.copy(method), value.__name__)
    return pickled(value) if ways.current == "pickled" else value


def stepped(coroutine, *values):
    """What a coroutine suspends with and comes to, given these values; it travels at each stop."""
    found = [coroutine.resume()]
    for value in values:
        coroutine = travelled(coroutine)
        found.append(coroutine.resume(value))
    return found


LEFT_OUT = "left out"


class _Operation(Operation):
    """An operation whose clauses get resumptions that have travelled."""

    # Not by ``*args``, which is a barrier to captures on 3.11.

    def once(self, function):
        return super().once(self._travelling(function))

    def ctl(self, function):
        return super().ctl(self._travelling(function))

    def _travelling(self, function):
        def clause(k, argument=LEFT_OUT):
            return function(travelled(k)) if argument is LEFT_OUT else function(travelled(k), argument)

        return clause


def effect(signature):
    """`stackful.effect`, for at most one parameter, and each ``k`` has travelled."""
    return _Operation(signature)


def control(f, tag=None):
    """`stackful.control`, and `k` has travelled."""
    return stackful.control(lambda k: f(travelled(k)), tag)


def control0(f, tag=None):
    """`stackful.control0`, and `k` has travelled."""
    return stackful.control0(lambda k: f(travelled(k)), tag)


def shift(f, tag=None):
    """`stackful.shift`, and `k` has travelled."""
    return stackful.shift(lambda k: f(travelled(k)), tag)


def shift0(f, tag=None):
    """`stackful.shift0`, and `k` has travelled."""
    return stackful.shift0(lambda k: f(travelled(k)), tag)


def call_cc(f, tag=None):
    """`stackful.call_cc`, and `k` has travelled."""
    return stackful.call_cc(lambda k: f(travelled(k)), tag)
