"""`dynamic_wind`: what runs whenever its extent is entered and left.

Each level of a fiber's stack keeps the winders of its own frames, innermost first, as a linked list. Lists travel with the levels when
these are captured.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from stackful import _core

if TYPE_CHECKING:
    from stackful.continuations.tags import PromptTag

__all__ = ["Winder", "dynamic_wind", "enter", "leave_all", "leave_for"]


class Winder:
    """One running call of `dynamic_wind`, and the one outside of it in the same level."""

    __slots__ = ("outer", "post", "pre")

    def __init__(self, pre: Callable[[], object], post: Callable[[], object], outer: Winder | None) -> None:
        self.pre = pre
        self.post = post
        self.outer = outer


class Place(NamedTuple):
    """A winder, and in which level it stands: how many levels below the innermost."""

    depth: int
    winder: Winder


def dynamic_wind(pre: Callable[[], object], thunk: Callable[[], Any], post: Callable[[], object]) -> Any:
    """Call ``pre()``, ``thunk()``, ``post()``, and return what `thunk` does.

    `post` runs each time that control leaves `thunk`, be it by an exception, by a capture of `control` or `shift`, or by the call of a
    continuation; `pre` each time that a continuation comes back into it. The suspension of a fiber is neither. (R7RS 6.10.)

    >>> from stackful import control, dynamic_wind, prompt
    >>> def body():
    ...     return dynamic_wind(lambda: print("in"), lambda: control(lambda k: k), lambda: print("out"))
    >>> k = prompt(body)
    in
    out
    >>> k("again")
    in
    out
    'again'
    """
    pre()
    winder = Winder(pre, post, _core.winders(0))
    _core.set_winders(0, winder)
    is_outside = _core.winders(0) is None  # of any fiber: nothing there is captured, and no winders are kept
    try:
        result = thunk()
    except BaseException:
        # Else its extent has been left: a jump was on its way out and a `post` raised, or on its way in and a `pre` did.
        if is_outside or _core.winders(0) is winder:
            _leave(Place(0, winder))
        raise
    _leave(Place(0, winder))
    return result


def _flat(lists: list[Winder | None]) -> list[Place]:
    """The winders of levels, outermost first."""
    places = []
    for depth, innermost in enumerate(lists):
        winder = innermost
        while winder is not None:
            places.append(Place(depth, winder))
            winder = winder.outer
    places.reverse()
    return places


def _common(some: list[Place], others: list[Place]) -> int:
    """How many winders, from the outermost on, are the same."""
    count = 0
    for one, other in zip(some, others, strict=False):
        if one.winder is not other.winder:
            break
        count += 1
    return count


def _leave(place: Place) -> None:
    _core.set_winders(place.depth, place.winder.outer)
    place.winder.post()


def leave_all(tag: PromptTag) -> None:
    """Leave what was entered since the prompt: ``post`` of each, innermost first. What is there is looked at again after each."""
    while (lists := _core.wound(tag)) is not None:
        _leave(_flat(lists)[-1])


def leave_for(target: list[Winder | None] | None, tag: PromptTag) -> int:
    """Leave what `target` is not in; how many winders, from the outermost on, are shared with it then."""
    wanted = _flat(target or [])
    while True:
        here = _flat(_core.wound(tag) or [])
        common = _common(here, wanted)
        if common == len(here):
            return common
        _leave(here[-1])


def enter(levels: int, common: int) -> None:
    """Called above reinstated frames: enter their winders but for the `common` outermost, ``pre`` of each, outermost first."""
    places = _flat([_core.winders(depth) for depth in range(levels)])[common:]
    for depth, winder in reversed(places):
        _core.set_winders(depth, winder.outer)
    for depth, winder in places:
        winder.pre()
        _core.set_winders(depth, winder)
