"""Regular expressions at work: matches, and scanners that look for the next (`re.finditer`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from stackful import _core
from stackful.snapshot.codecs.refusals import RefusedError

__all__ = ["REBUILDERS", "REDUCERS"]

_SCANNER = type(re.compile("").scanner(""))  # type: ignore[attr-defined]


def _reduce_scanner(_: Any, scanner_: Any) -> Any:
    string, start, end, at, must_advance = _core.scanner_state(scanner_)
    return scanner, (scanner_.pattern, string, start, end, at, must_advance)


def scanner(pattern: re.Pattern[Any], string: Any, start: int, end: int, at: int, must_advance: bool) -> Any:
    """A scanner that goes on behind its last match; `at` is -1 when there was none left."""
    found = pattern.scanner(string, start, end)  # type: ignore[attr-defined]
    _core.set_scanner(found, at, must_advance)
    return found


def _is_same(one: re.Match[Any] | None, other: re.Match[Any]) -> bool:
    facts = ("regs", "pos", "endpos", "lastindex")
    return one is not None and all(getattr(one, fact) == getattr(other, fact) for fact in facts)


def _matches(pattern: re.Pattern[Any], string: Any, start: int, end: int, how: str) -> Iterator[re.Match[Any] | None]:
    """What a way to match gives, in order: all but `finditer` give one."""
    if how == "finditer":
        yield from pattern.finditer(string, start, end)
    else:
        yield getattr(pattern, how)(string, start, end)


_WAYS = ("match", "fullmatch", "finditer")  # search is the first of finditer


def _reduce_match(_: Any, found: re.Match[Any]) -> Any:
    """No match can be made but by matching: which way of it, and which result, gives this one."""
    where = (found.re, found.string, found.pos, found.endpos)
    for how in _WAYS:
        for index, other in enumerate(_matches(*where, how)):
            if _is_same(other, found):
                return match, (*where, how, index)
    raise RefusedError("what was matched has changed since: keep what you need of the match, not the match")


def match(pattern: re.Pattern[Any], string: Any, start: int, end: int, how: str, index: int) -> re.Match[Any]:
    """The result of matching again."""
    if how not in _WAYS:
        raise ValueError(f"there is no way {how!r} to match")
    found = next(islice(_matches(pattern, string, start, end, how), index, None), None)
    if found is None:
        raise ValueError(f"{pattern!r} does not match any more")
    return found


REDUCERS: dict[type, Any] = {_SCANNER: _reduce_scanner, re.Match: _reduce_match}
REBUILDERS = (scanner, match)
