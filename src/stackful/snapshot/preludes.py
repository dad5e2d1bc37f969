"""What a pickle begins with: words, and what the frames of its fiber refer to by name.

A run is pickled again and again while it stands in the same few functions. To name a function is a search, both ways, and its code is looked up
and has a source: so they are written once for each set of functions, and each pickle begins with those bytes, and with a memo in which they are.
That its module still gives each function back is found out for each pickle (`_core.named`).
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from io import BytesIO
from typing import Any, NamedTuple

from stackful.snapshot import rebuild
from stackful.snapshot.rebuild import Rebuilder

__all__ = ["LOOPS", "PROTOCOL", "WORDS_ONLY", "Prelude", "prelude_from", "prelude_of"]

PROTOCOL = 5

_ITER: Any = iter
LOOPS: dict[type, tuple[Any, ...]] = {
    type(iter(range(0))): (_ITER, range),
    type(iter(range(1 << 70))): (_ITER, range),
    type(iter([])): (_ITER,),
    type(iter(())): (_ITER,),
}
"""What the iterators of most loops are saved by, which have one on the evaluation stack."""

_MOST = 256  # preludes that are kept


class Prelude(NamedTuple):
    """The bytes that a pickle begins with.

    `memo` is what a pickler has then, `codes` what stands in it for each code object, by its id, `sources` where each source stands.
    """

    data: bytes
    memo: Any
    codes: dict[int, Any]
    sources: dict[bytes, tuple[Any, ...]]


# What snapshots refer to in any case is looked up by its index, not by its name, and costs two bytes wherever it is needed: a pickle begins
# by taking it into the memo, and the pickler takes for granted that it is there.
_WORDS = rebuild.words_of(Rebuilder)
_seeded = pickle.Pickler(BytesIO(), PROTOCOL)
_seeded.memo = {index: (index, word) for index, word in _WORDS.items()}
WORDS_ONLY = Prelude(
    b"".join(
        (
            pickle.PROTO + bytes([PROTOCOL]) + pickle.MARK,
            *(pickle.BININT1 + bytes([index]) + pickle.BINPERSID + pickle.MEMOIZE for index in _WORDS),
            pickle.POP_MARK,
        )
    ),
    _seeded.memo,  # copied in one go
    {},
    {b"": (b"",)},
)

_preludes: dict[tuple[Any, ...], Prelude] = {}


def prelude_from(data: bytes, memo: Any, codes: dict[int, Any], sources: dict[bytes, tuple[Any, ...]]) -> Prelude:
    """A prelude made of a pickle that holds what is to be in the memo; `memo` is then that of its pickler."""
    return Prelude(data.removesuffix(pickle.STOP) + pickle.POP, memo, codes, sources)


def prelude_of(names: tuple[Any, ...], write: Callable[[tuple[Any, ...]], Prelude]) -> Prelude:
    """The prelude that has these names, as `_core.named` gives them; it is written when they first come.

    What a value is called belongs to what is looked up: who has been renamed would be restored as what now has its old name.
    """
    known = _preludes.get(names)
    if known is None:
        if len(_preludes) >= _MOST:
            _preludes.clear()
        known = _preludes[names] = write(names[::3]) if names else WORDS_ONLY
    return known
