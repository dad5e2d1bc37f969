"""The ids of runs: short, readable, and harmless in the name of a file."""

from __future__ import annotations

import os

from stackful.durable.given import check_text
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Container

__all__ = ["checked_name", "new_id"]

# Letters and digits that nobody mistakes for one another.
_ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"
_LETTERS_AND_DIGITS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")


def checked_name(name: str) -> str:
    """A name that a person chose for a run.

    Raises:
        StoreError: files could not be named after it.
        TypeError: it is no text.

    Example:
        >>> checked_name("nightly-7")
        'nightly-7'
    """
    check_text("the id of a run", name)
    if (
        not 1 <= len(name) <= 64
        or name[0] not in _LETTERS_AND_DIGITS
        or not _LETTERS_AND_DIGITS.issuperset(name.replace(".", "").replace("_", "").replace("-", ""))
    ):
        raise StoreError(f"{name!r} cannot name a run; use up to 64 letters, digits, '.', '_' and '-'")
    return name


def new_id(script: str, taken: Container[str], letters: int = 4) -> str:
    """A script's name and a few letters: short to type, and its beginning is known without looking.

    Example:
        >>> new_id("Cross Reference", taken=())[:-4]
        'cross-reference-'
    """
    words = "".join(letter if letter in _LETTERS_AND_DIGITS else " " for letter in script.lower()).split()
    stem = "-".join(words)[:20] or "run"
    while True:
        run_id = f"{stem}-{''.join(_ALPHABET[byte % len(_ALPHABET)] for byte in os.urandom(letters))}"
        if run_id not in taken:
            return run_id
