"""What a PromptNotFoundError says."""

from __future__ import annotations

from typing import Any

from stackful import _core
from stackful.continuations.tags import DEFAULT, PromptTag
from stackful.errors import PromptNotFoundError, UnhandledError

__all__ = ["prompt_not_found"]


def prompt_not_found(tag: Any) -> PromptNotFoundError | UnhandledError | TypeError:
    """The error for an operation that names a prompt which is not in reach, with the prompts that are there.

    The tag may be a fiber: its base is a prompt for what it has resumed by `resume`, the function. Or a handler (a dict), for which a program
    was leaving. Anything else is no tag.
    """
    if not isinstance(tag, PromptTag | _core.Fiber | dict):
        return TypeError(f"a tag is a PromptTag, or a fiber, not {tag!r}: make one with PromptTag(name)")
    if isinstance(tag, dict):
        return UnhandledError(
            f"the handler {tag!r} is gone: the program was leaving for it, because of a clause made by `final`, and a `finally` block was"
            " captured or suspended on the way; go on with that where the handler is in force"
        )
    here: list[Any] = []
    behind: list[Any] = []
    fibers: list[Any] = []
    for item in _core.prompts():
        if type(item) is tuple:
            fibers += item
        elif item is not None:
            (behind if fibers else here).append(item)
    if tag in behind or tag in fibers[1:]:
        return PromptNotFoundError(
            f"the prompt {tag!r} is outside of {fibers[0]!r}, which was resumed by C code, its method: nothing is captured across that;"
            f" resume it by the function, stackful.resume(fiber), or make the prompt inside of it. {_list(here)}"
        )
    if isinstance(tag, _core.Fiber):
        return PromptNotFoundError(f"{tag!r} does not run this code as a prompt. {_list(here)}")
    make = "prompt(thunk) or run(main)" if tag is DEFAULT else f"prompt(thunk, {tag!r})"
    return PromptNotFoundError(f"no prompt {tag!r} is here: make one with {make}. {_list(here)}")


def _list(tags: list[Any]) -> str:
    if not tags:
        return "There is no prompt in reach."
    return "The prompts in reach are, innermost first: " + ", ".join(map(repr, tags))
