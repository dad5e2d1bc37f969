"""The operators of Stackful, by which every captured continuation first travels as the test's way says: not at all, copied, or pickled.

A law says what frames do, and programs that state one share their logs: pickled in this process, frames leave what is not theirs behind. So
cells, tags, winders, fibers and each `Log` are themselves at the end of the road, and all else is made anew: frames, iterators, functions,
exceptions. (tests/continuations/test_portable.py sends everything.)
"""

import copy
import pickle
from io import BytesIO
from types import CellType

import stackful
import ways
from stackful import Fiber, PromptTag
from stackful.continuations.winders import Winder
from stackful.snapshot.pickler import SnapshotPickler, SnapshotUnpickler


class Log(list):
    """A list that stays itself when what refers to it is pickled, and a place for winders to write to."""

    def wind(self, name, thunk):
        """Run the thunk within an extent that writes when it is entered and left."""
        return stackful.dynamic_wind(lambda: self.append(f"in {name}"), thunk, lambda: self.append(f"out {name}"))


HEAP = (CellType, PromptTag, Winder, Fiber, Log)


class _Pickler(SnapshotPickler):
    def __init__(self, file, heap):
        super().__init__(file)
        self.heap = heap

    def persistent_id(self, value):
        if not isinstance(value, HEAP):
            return None
        self.heap[f"heap {id(value)}"] = value
        return f"heap {id(value)}"


class _Unpickler(SnapshotUnpickler):
    def __init__(self, file, heap):
        super().__init__(file)
        words = self.persistent_load
        self.persistent_load = lambda name: heap[name] if name in heap else words(name)
        pickle.Unpickler.__init__(self, file)


def pickled(value):
    """The value, through bytes, but for what is shared."""
    heap, file = {}, BytesIO()
    _Pickler(file, heap).dump(value)
    file.seek(0)
    return _Unpickler(file, heap).load()


def travelled(value):
    """The value, or a copy of it, as the way says."""
    if ways.current == "copied":
        method = getattr(value, "__self__", None)
        return copy.copy(value) if method is None else getattr(copy.copy(method), value.__name__)
    return pickled(value) if ways.current == "pickled" else value


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
