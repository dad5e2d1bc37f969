"""Functions whose calls can be durable runs, and how another process finds them again."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from inspect import Signature, iscoroutinefunction, signature
from types import FunctionType
from typing import Any, Generic, NamedTuple, ParamSpec, Protocol, TypeVar, cast, overload

from stackful.durable.given import check_callable, check_count, check_number
from stackful.errors import CodeChangedError, FiberError

__all__ = [
    "Options",
    "RunFunction",
    "check_arguments",
    "find",
    "has_main",
    "known_programs",
    "name_of",
    "options_of",
    "run",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class Options(NamedTuple):
    """What `run` was given: for every run of the function."""

    history: int = 0
    queue: str | None = None
    deadline: float | None = None
    is_async: bool = False
    on_change: str = "refuse"


class RunFunction(Protocol, Generic[_P, _R_co]):
    """A function marked by `run`: called as before, or started as a run by `durable.start`."""

    __module__: str
    __name__: str
    __qualname__: str

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Call it as any function."""


_options: dict[str, Options] = {}
_main = [False]
# The default of `history=True`.
_HISTORY = 100


@overload
def run(function: Callable[_P, _R], /) -> RunFunction[_P, _R]: ...
@overload
def run(
    *, history: bool | int = False, queue: str | None = None, deadline: float | None = None, on_change: str = "refuse"
) -> Callable[[Callable[_P, _R]], RunFunction[_P, _R]]: ...
def run(
    function: Callable[..., Any] | None = None,
    /,
    *,
    history: bool | int = False,
    queue: str | None = None,
    deadline: float | None = None,
    on_change: str = "refuse",
) -> Any:
    """Mark a function as one whose calls can be started as durable runs; called directly it is what it was.

    Args:
        function: stands at the top level of a module, where any process finds it by its name; ``def`` or ``async def``.
        history: keep checkpoints: True for the last 100, a number for so many, and of older ones fewer and fewer; for `fork` and the viewer.
        queue: the queue that its runs wait in.
        deadline: seconds from the start after which a run is cancelled.
        on_change: what to do with a run whose code has changed while it was suspended: "refuse" to go on (it fails, and can be retried with the
            old code), "keep" to the old code to the end, or "move" to the same place in the new code.

    Returns:
        The function itself.

    Raises:
        FiberError: it is nested in another function, or no plain function.

    Example:
        >>> @run
        ... def order(item):
        ...     return f"bought {item}"
        >>> order("tea")
        'bought tea'
    """
    if function is None:
        return lambda given: _mark(given, history, queue, deadline, on_change)
    return _mark(function, history, queue, deadline, on_change)


def _mark(function: Any, history: bool | int, queue: str | None, deadline: float | None, on_change: str) -> Any:
    if on_change not in ("refuse", "keep", "move"):
        raise ValueError(f"on_change={on_change!r} is none of 'refuse', 'keep', 'move'")
    if type(function) is not FunctionType:
        raise FiberError(f"@run marks functions, not {function!r}: put it above `def`, below all other decorators")
    if "<locals>" in function.__qualname__:
        raise FiberError(
            f"{function.__qualname__} cannot be found by its name from another process: move it to the top level of its module"
        )
    check_count("history", history, 0)
    if deadline is not None:
        check_number("deadline", deadline)
    kept = _HISTORY if history is True else int(history)
    options = Options(kept, queue, deadline, iscoroutinefunction(function), on_change)
    vars(function)["__durable__"] = options
    _know(_name_of(function), options)
    return function


def _know(name: str, options: Options) -> None:
    _options[name] = options
    _main[0] = _main[0] or name.startswith("__main__:")


def _name_of(function: Any) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def name_of(function: Callable[..., Any], operation: str = "start") -> str:
    """Under which name its runs are stored; FiberError if it is not marked, TypeError if it is no function.

    >>> name_of(len)
    Traceback (most recent call last):
    stackful.errors.FiberError: <built-in function len> is not marked: put @durable.run above it
    """
    options = getattr(function, "__durable__", None)
    if options is None:
        check_callable(operation, function)
        raise FiberError(f"{function!r} is not marked: put @durable.run above it")
    name = _name_of(function)
    _know(name, options)  # a script that was resumed has not come by its decorators
    return name


def check_arguments(function: Callable[..., Any], args: Sequence[Any], keywords: Mapping[str, Any]) -> None:
    """Refuse what a function cannot be called with, before a run of it is stored, which could only fail.

    >>> check_arguments(run, (), {"histroy": True})
    Traceback (most recent call last):
    TypeError: run() cannot be started so: got an unexpected keyword argument 'histroy'; it takes (function=None, /, *, history=False, queue=None, deadline=None, on_change='refuse')
    """
    takes = _signature_of(function)
    if takes is None:
        return
    try:
        takes.bind(*args, **keywords)
    except TypeError as error:
        raise TypeError(f"{function.__qualname__}() cannot be started so: {error}; it takes {_plain(takes)}") from None


@lru_cache(maxsize=256)
def _signature_of(function: Callable[..., Any]) -> Signature | None:
    """What it is called with itself, whatever it wraps; None where it says something else than it does."""
    if type(function) is not FunctionType or "__signature__" in vars(function):
        return None
    return signature(function, follow_wrapped=False)


def _plain(takes: Signature) -> Signature:
    bare = [parameter.replace(annotation=Signature.empty) for parameter in takes.parameters.values()]
    return Signature(bare)


def options_of(name: str) -> Options:
    """What the function of that name was marked with."""
    return _options.get(name, Options())


def known_programs() -> list[str]:
    """The names of all functions that this process has marked so far."""
    return sorted(_options)


def has_main() -> bool:
    """Whether functions of the program's ``__main__`` are marked."""
    return _main[0]


def find(program: str) -> Callable[..., Any]:
    """The function with this name; its module is imported.

    Raises:
        CodeChangedError: there is none, or it is not marked any more.
    """
    module, _, qualname = program.partition(":")
    try:
        found: Any = sys.modules.get(module) or importlib.import_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise CodeChangedError(f"the function {program} of this run is not to be found: {error}; restore it") from error
    options = getattr(found, "__durable__", None)
    if options is None:
        raise CodeChangedError(f"the function {program} of this run is not marked with @durable.run any more")
    _know(program, options)
    return cast("Callable[..., Any]", found)
