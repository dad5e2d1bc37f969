"""Prompt tags: which prompt an operation means."""

from __future__ import annotations

import sys

__all__ = ["DEFAULT", "PromptTag", "check_tag"]


class PromptTag:
    """The identity of prompts: what `control` and its kin name is the nearest prompt with the same tag.

    Each tag is itself only, whatever its name. A tag that a module holds in a global is pickled by its place there, another one
    with what refers to it. (Racket's ``make-continuation-prompt-tag``.)

    >>> PromptTag("search")
    PromptTag('search')
    >>> PromptTag("search") == PromptTag("search")
    False
    """

    __slots__ = ("__weakref__", "_module", "name")

    def __init__(self, name: str = "") -> None:
        self.name = name
        self._module = sys._getframe(1).f_globals.get("__name__")

    def __repr__(self) -> str:
        return f"PromptTag({self.name!r})"

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        # A script's globals travel with its run, and are not there yet when the tag is loaded.
        module = sys.modules.get(self._module or "") if self._module != "__main__" else None
        if module is not None:
            for name, value in vars(module).items():
                if value is self:
                    return _find, (module.__name__, name)
        return _make, (self._module or "", self.name)


def check_tag(tag: object) -> PromptTag:
    """The tag, where it is one; else `TypeError`."""
    if not isinstance(tag, PromptTag):
        raise TypeError(f"a tag is a PromptTag, not {tag!r}: make one with PromptTag(name)")
    return tag


def _find(module: str, name: str) -> object:
    __import__(module)
    return getattr(sys.modules[module], name)


def _make(module: str, name: str) -> PromptTag:
    tag = PromptTag(name)
    tag._module = module
    return tag


DEFAULT = PromptTag("default")
"""The tag of prompts and operations that name none."""
