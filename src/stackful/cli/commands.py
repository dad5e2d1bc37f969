"""The commands, for click. Each loads what it needs, and says what is to be done when click is out of the way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click

from stackful.cli import acting, completing, keeping, looking, serving, working
from stackful.cli.options import MORE_THAN_0, completed, on_change
from stackful.cli.status import USAGE

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from stackful.durable.runs import OnChange

__all__ = ["parse"]

_DEFAULT_STORE = Path(".stackful/runs.db")

# What remains to be done when the command line has been understood.
_Todo = Callable[[], None]

_store = click.option(
    "--store",
    type=click.Path(dir_okay=False, path_type=Path),
    default=_DEFAULT_STORE,
    envvar="STACKFUL_STORE",
    show_default=True,
    show_envvar=True,
    help="The SQLite file that holds the runs.",
)


def parse() -> _Todo | None:
    """Understand the command line in ``sys.argv``.

    Returns:
        What is to be done; None when click has done it, as with ``--help``.

    Raises:
        SystemExit: the command line is wrong; click has said why.
    """
    try:
        todo = _cli.main(prog_name="stackful", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(USAGE)
    return todo if callable(todo) else None


def _print_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    if is_wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            print("stackful", version("stackful"))
        except PackageNotFoundError:
            print("stackful, run from its sources")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Show the version."
)
def _cli() -> None:
    """Run Python scripts that survive kill -9 and go on from the same line.

    `stackful PROGRAM.PY [ARGS]...` runs a script under a prompt, for continuations; nothing of it is stored.
    """


@_cli.command("run", context_settings={"allow_interspersed_args": False})
@click.option("--every", type=MORE_THAN_0, metavar="SECONDS", help="Also checkpoint by the clock.")
@_store
@click.option("--name", help="The run's id; by default made from the script's name.")
@click.argument("script", metavar="PROGRAM.PY")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
def _run(every: float | None, store: Path, name: str | None, script: str, args: tuple[str, ...]) -> _Todo:
    """Run a script as a durable run.

    Everything behind PROGRAM.PY is passed to it untouched. The script calls stackful.checkpoint() where it wants to be
    stored, or --every does it by the clock.
    """
    from stackful.cli.scripts import start

    return lambda: start(store, [script, *args], every=every, name=name)


@_cli.command("resume")
@_store
@on_change
@click.argument("run", required=False, shell_complete=completed)
def _resume(store: Path, on_change: OnChange, run: str | None) -> _Todo:
    """Go on with a run from its last checkpoint.

    RUN is an id or its beginning; by default the newest run that did not finish.
    """
    from stackful.cli.scripts import go_on

    return lambda: go_on(store, run, on_change)


@_cli.command("check", context_settings={"allow_interspersed_args": False})
@click.option("--no-run", is_flag=True, help="Read the program's text only.")
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@click.option("--timeout", type=MORE_THAN_0, metavar="SECONDS", help="End the rehearsal after that.")
@click.option("--json", "as_json", is_flag=True, help="Print data for programs; the program prints to standard error.")
@click.argument("script", metavar="PROGRAM.PY")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
def _check(
    no_run: bool, strict: bool, timeout: float | None, as_json: bool, script: str, args: tuple[str, ...]
) -> _Todo:
    """Find ahead of time what could not be saved of a program.

    The program is run, with all that it does, and wherever it could be stored a snapshot is tried and thrown away. Ends with 0,
    with 71 if a checkpoint would fail, with 1 if the program itself fails.
    """
    from stackful.cli.checking import check_program

    return lambda: check_program(script, args, run=not no_run, timeout=timeout, strict=strict, as_json=as_json)


for _command in (
    *looking.COMMANDS,
    *acting.COMMANDS,
    *keeping.COMMANDS,
    *serving.COMMANDS,
    *working.COMMANDS,
    *completing.COMMANDS,
):
    _cli.add_command(_command)
