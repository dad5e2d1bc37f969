"""What the commands share: the store that they work on, and how they say what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stackful.cli.exits import one_message
from stackful.errors import StoreError

if TYPE_CHECKING:
    from stackful.durable.engine import Engine
    from stackful.durable.store import Run

__all__ = ["as_json", "command", "connected", "exists", "on_change", "store", "the_run"]

DEFAULT_STORE = ".stackful/runs.db"

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


def command(name: str) -> Callable[[Callable[..., None]], click.Command]:
    """A command that says what goes wrong in one message, and ends with the status of `cli/status.py`."""

    def make(function: Callable[..., None]) -> click.Command:
        @wraps(function)
        def explained(**arguments: Any) -> None:
            with one_message():
                function(**arguments)

        return click.command(name)(explained)

    return make


def exists(store: str) -> bool:
    """Whether there is such a store; of a database only its server knows."""
    return "://" in store or Path(store).exists()


@contextmanager
def connected(store: str) -> Iterator[Engine]:
    """An engine of the store that drives no runs. Modules of programs are found as by ``python -m``.

    Raises:
        StoreError: there is no store.
    """
    from stackful.durable import connect

    if not exists(store):
        raise StoreError(f"there is no store of runs at {store}; start a run first, or name the store with --store")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    with connect(store, work=False) as engine:
        yield engine


def the_run(engine: Engine, name: str) -> Run:
    """The run with this id, or whose id begins so.

    Raises:
        RunNotFoundError: there is none, or there are several.
    """
    return engine.store.run(name)
