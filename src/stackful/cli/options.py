"""What the commands share: the store that they work on, and how they say what went wrong."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackful.cli.exits import one_message
from stackful.errors import StackfulError, StoreError

if TYPE_CHECKING:
    from stackful.durable.engine import Engine
    from stackful.durable.store import Run, Store

__all__ = [
    "AT_LEAST_0",
    "MORE_THAN_0",
    "as_json",
    "command",
    "completed",
    "connected",
    "exists",
    "on_change",
    "opened",
    "pairs",
    "store",
    "tell",
    "the_run",
    "value_of",
]

DEFAULT_STORE = ".stackful/runs.db"


class _Number(click.FloatRange):
    """A number in a range, and no NaN, which is in none and compares as if it were in all."""

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> float:
        number = float(super().convert(value, param, context))
        if math.isnan(number):
            self.fail(f"{value} is no number", param, context)
        return number


_OFFERED = 1000  # runs, to a shell that completes a line
AT_LEAST_0 = _Number(min=0)
MORE_THAN_0 = _Number(min=0, min_open=True)

store = click.option(
    "--store",
    metavar="PATH|URL",
    default=DEFAULT_STORE,
    envvar="STACKFUL_STORE",
    show_default=True,
    show_envvar=True,
    help="The SQLite file, or the PostgreSQL database (postgresql://...), that holds the runs.",
)
on_change = click.option(
    "--on-change",
    type=click.Choice(["refuse", "keep", "move"]),
    default="refuse",
    show_default=True,
    help="Where a script has changed: refuse; keep to it as it was; or move to the same statement of the new text.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print data for programs.")


def value_of(text: str) -> Any:
    """What a user means by a word: JSON where it is JSON, else the text itself.

    Example:
        >>> value_of("[1]"), value_of("tea")
        ([1], 'tea')
    """
    try:
        return json.loads(text)
    except ValueError:
        return text


def pairs(given: Iterable[str]) -> dict[str, Any]:
    """What a user means by several NAME=VALUE.

    Raises:
        click.BadParameter: one is not of that form.
    """
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} is not of the form NAME=VALUE")
        found[name] = value_of(value)
    return found


def tell(as_json: bool, text: str, **data: Any) -> None:
    """Say what has come of a command: to a person, or as data."""
    print(json.dumps(data) if as_json else text)


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command that says what goes wrong in one message, and ends with the status of `cli/status.py`."""

    def make(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def explained(**arguments: Any) -> None:
            _print_what_can_be_printed()
            with one_message(), _full_disks_named():
                function(**arguments)

        return click.command(name)(explained)

    return make


def _print_what_can_be_printed() -> None:
    """Letters that the terminal's encoding does not have are shown by their numbers."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextmanager
def _full_disks_named() -> Iterator[None]:
    """A disk that has no room for the output is no bug; nor is a pipe that was closed, which is what `head` does."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is not tried again at the end
        raise StoreError(f"not all could be written: {error.strerror}; make room, or write elsewhere") from error


def exists(store: str) -> bool:
    """Whether there is such a store; of a database only its server knows."""
    return "://" in store or Path(store).exists()


@contextmanager
def opened(store: str) -> Iterator[Store]:
    """A store alone, for what needs neither its keys nor the code of its runs: an engine, and all that it loads, is five times as slow to be had.

    Raises:
        StoreError: there is no store, or it cannot be used.
    """
    from stackful.durable.connections import open_store

    _check_exists(store)
    found, _ = open_store(store)
    with closing(found):
        yield found


def _check_exists(store: str) -> None:
    if not exists(store):
        raise StoreError(f"there is no store of runs at {store}; start a run first, or name the store with --store")


@contextmanager
def connected(store: str, *, make: bool = False) -> Iterator[Engine]:
    """An engine of the store that drives no runs. Modules of programs are found as by ``python -m``.

    Args:
        store: a path or URL.
        make: whether it is made where there is none.

    Raises:
        StoreError: there is no store.
    """
    from stackful.durable import connect

    if not make:
        _check_exists(store)
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with connect(store, work=False) as engine:
        yield engine


def completed(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """The ids of runs that begin so, the newest first, for the shell; none where the store cannot be read."""
    from stackful.durable.records import Filter

    path = str(context.params.get("store") or DEFAULT_STORE)
    if not exists(path):
        return []
    with suppress(StackfulError), opened(path) as found:
        return [run.id for run in found.runs(Filter(text=begun), limit=_OFFERED) if run.id.startswith(begun)]
    return []


def the_run(engine: Engine, name: str) -> Run:
    """The run with this id, or whose id begins so.

    Raises:
        RunNotFoundError: there is none, or there are several.
    """
    return engine.store.run(name)
