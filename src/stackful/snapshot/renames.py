"""Locals that have another name in the new code, and are nothing else."""

from __future__ import annotations

import ast
from collections import Counter
from types import CodeType
from typing import TYPE_CHECKING

from stackful.fibers.frames import slot_names
from stackful.snapshot.statements import Text, text_of

if TYPE_CHECKING:
    from stackful.snapshot.sources import Source

__all__ = ["renamed_locals", "unlike_locals"]


def renamed_locals(old_source: Source, old: CodeType, new_source: Source, new: CodeType) -> dict[str, str]:
    """The new name by the old one, of locals of which every statement that has them says so; else none at all.

    As many names must have gone as have come, and they are paired by where they first occur.
    """
    gone, come = unlike_locals(old, new)
    if not gone or len(gone) != len(come):
        return {}
    pairs = dict(zip(_in_order(old_source, gone), _in_order(new_source, come), strict=False))
    if len(pairs) != len(gone):
        return {}
    before, after, now = text_of(old_source), text_of(old_source, pairs), text_of(new_source)
    touched = Counter(b.head for a, b in zip(before.statements, after.statements, strict=True) if a.head != b.head)
    return {} if touched - _heads(now) else pairs


def unlike_locals(old: CodeType, new: CodeType) -> tuple[list[str], list[str]]:
    """The locals that only the old code has, and those that only the new one has."""
    before, now = slot_names(old), slot_names(new)
    return [name for name in before if name not in now], [name for name in now if name not in before]


def _heads(text: Text) -> Counter[str]:
    return Counter(statement.head for statement in text.statements)


def _in_order(source: Source, names: list[str]) -> list[str]:
    """These names by where they first occur."""
    places: dict[str, tuple[int, int]] = {}
    for node in ast.walk(source.tree()):
        name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "name", None)
        line = getattr(node, "lineno", None)
        if name in names and line is not None:
            place = (line, getattr(node, "col_offset", 0))
            places[name] = min(places.get(name, place), place)
    return sorted((name for name in names if name in places), key=lambda name: places[name])
