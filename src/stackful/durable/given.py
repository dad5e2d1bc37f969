"""What callers have given, where it is not what a function takes: the rule, the object, the way out, at once and not in a store or a thread."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["check_callable", "check_count", "check_number", "check_path", "check_text", "id_of", "texts"]


def check_text(what: str, given: object) -> None:
    """TypeError unless it is a text.

    >>> check_text("the name of a signal", 5)
    Traceback (most recent call last):
    TypeError: the name of a signal is a text, not 5
    """
    if not isinstance(given, str):
        raise TypeError(f"{what} is a text, not {given!r}")


def check_number(what: str, given: object) -> None:
    """TypeError unless it is a number; True and False are none.

    >>> check_number("delay", "1 s")
    Traceback (most recent call last):
    TypeError: delay is a number of seconds, not '1 s'
    """
    if not hasattr(given, "__float__") or isinstance(given, str | bool):
        raise TypeError(f"{what} is a number of seconds, not {given!r}")


def check_count(what: str, given: object, least: int) -> None:
    """TypeError unless it is a whole number (True is 1), ValueError if it is less than that.

    >>> check_count("threads", 0, 1)
    Traceback (most recent call last):
    ValueError: threads is at least 1, not 0
    """
    if not isinstance(given, int):
        raise TypeError(f"{what} is a whole number, not {given!r}")
    if given < least:
        raise ValueError(f"{what} is at least {least}, not {given}")


def check_callable(operation: str, given: object) -> None:
    """TypeError unless it can be called: most often it has been, already.

    >>> check_callable("step", len([1, 2]))
    Traceback (most recent call last):
    TypeError: step() takes a function and its arguments, not 2: step(f, x), where step(f(x)) calls f itself
    """
    if not callable(given):
        raise TypeError(
            f"{operation}() takes a function and its arguments, not {given!r}: {operation}(f, x), where {operation}(f(x)) calls f itself"
        )


def check_path(what: str, given: object) -> None:
    """TypeError unless it is a path of characters.

    >>> check_path("a store", b"runs.db")
    Traceback (most recent call last):
    TypeError: a store is named by a path or a URL, not by b'runs.db'
    """
    if not isinstance(given, str | os.PathLike) or not isinstance(os.fspath(given), str):
        raise TypeError(f"{what} is named by a path or a URL, not by {given!r}")


def texts(what: str, given: Iterable[str] | None) -> tuple[str, ...] | None:
    """A list of texts, and no single one, which would be a list of its letters; TypeError.

    >>> texts("queues=", "mail")
    Traceback (most recent call last):
    TypeError: queues= takes a list of texts: ['mail']
    """
    if given is None:
        return None
    if isinstance(given, str):
        raise TypeError(f"{what} takes a list of texts: [{given!r}]")
    try:
        found = tuple(given)
    except TypeError:
        raise TypeError(f"{what} takes a list of texts, not {given!r}") from None
    for each in found:
        check_text(f"each of {what}", each)
    return found


def id_of(run: Any) -> str:
    """The id of a run that is given by it, or by a handle; TypeError for anything else.

    >>> id_of(5)
    Traceback (most recent call last):
    TypeError: a run is named by its id, a text, or by its handle, not by 5
    """
    found = getattr(run, "id", run)
    if not isinstance(found, str):
        raise TypeError(f"a run is named by its id, a text, or by its handle, not by {run!r}")
    return found
