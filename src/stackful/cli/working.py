"""``stackful worker``: a process that drives runs."""

from __future__ import annotations

import sys

import click

from stackful.cli.options import AT_LEAST_0, MORE_THAN_0, command, store
from stackful.cli.status import IN_FLIGHT

__all__ = ["COMMANDS"]


@command("worker")
@store
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="How many runs may be under way here at once.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=32,
    show_default=True,
    help="How many may be inside of their own code at once.",
)
@click.option("--queues", metavar="A,B", help='Take only runs of these queues; "-" stands for runs that are in none.')
@click.option(
    "--patience",
    type=AT_LEAST_0,
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="At the end, wait so long for steps in flight.",
)
@click.option(
    "--lease",
    type=MORE_THAN_0,
    metavar="SECONDS",
    help="Be taken for dead when not heard of for so long; PostgreSQL only, 15 by default.",
)
@click.option("--quiet", is_flag=True, help="Tell only of what goes wrong.")
@click.argument("modules", nargs=-1, required=True, metavar="MODULE...")
def _worker(
    store: str,
    concurrency: int,
    threads: int,
    queues: str | None,
    patience: float,
    lease: float | None,
    quiet: bool,
    modules: tuple[str, ...],
) -> None:
    """Drive the runs of the functions in these modules that are marked with @durable.run.

    Any number of workers, on any number of machines, may share a store. SIGTERM and Ctrl-C end one: it takes up nothing more, gives its
    runs back, and waits for the steps in flight; the second signal does not wait.
    """
    from stackful.durable.workers import work

    _log_to_stderr(quiet)
    names = None if queues is None else [name.strip() for name in queues.split(",") if name.strip()]
    if names == []:
        raise click.BadParameter('names none; "-" stands for runs that are in no queue', param_hint="--queues")
    left = work(store, modules, concurrency=concurrency, threads=threads, queues=names, patience=patience, lease=lease)
    if left:
        sys.exit(IN_FLIGHT)


def _log_to_stderr(is_quiet: bool) -> None:
    """Where the modules have not said already where it goes."""
    import logging  # which no other command pays for

    level = logging.WARNING if is_quiet else logging.INFO
    logging.basicConfig(stream=sys.stderr, format="stackful: %(message)s")
    logging.getLogger("stackful").setLevel(level)


COMMANDS = (_worker,)
