"""The commands that do something to runs: signal, cancel, retry, fork. Each says, or gives as data, what has come of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from stackful.cli.options import as_json, command, completed, connected, pairs, store, tell, the_run, value_of
from stackful.durable.store import ENDED
from stackful.errors import RunNotFoundError, StoreError

if TYPE_CHECKING:
    from stackful.durable.engine import Engine
    from stackful.durable.store import Run

__all__ = ["COMMANDS"]


@command("signal")
@store
@click.option("--key", help="A second signal with the same key is dropped: for those who may send twice.")
@click.option(
    "--answer", "answers", multiple=True, metavar="FIELD=VALUE", help="Answer what the run asks; once for each field."
)
@as_json
@click.argument("run", shell_complete=completed)
@click.argument("name", required=False)
@click.argument("value", default="null")
def _signal(
    store: str, key: str | None, answers: tuple[str, ...], as_json: bool, run: str, name: str | None, value: str
) -> None:
    """Send a run the signal NAME, with a VALUE (JSON, or a word); or answer what it asks, with --answer.

    The run receives it by wait_signal(NAME), now or later; it goes on where a worker is at work.
    """
    if bool(answers) == bool(name):
        raise click.UsageError("give a signal's NAME, or --answer FIELD=VALUE")
    name = name or ""
    with connected(store) as engine:
        found = the_run(engine, run)
        taken = _answer(engine, found.id, answers) if answers else engine.send(found.id, name, value_of(value), key)
    what = "the answer" if answers else f"signal {name}"
    if not taken:
        before = "another answer" if answers else "a signal with this key"
        raise StoreError(f"{what} was not taken in: run {found.id} has ended, or {before} was sent before")
    tell(as_json, f"{what} is in the store for {found.id}", run=found.id, taken=True)


def _answer(engine: Engine, run_id: str, answers: Iterable[str]) -> bool:
    """Answer a run; what does not fit its question is a mistake of the command line, not of the program."""
    try:
        return engine.answer(run_id, pairs(answers))
    except ValueError as error:
        raise click.UsageError(str(error)) from None


@command("cancel")
@store
@as_json
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completed)
def _cancel(store: str, as_json: bool, runs: tuple[str, ...]) -> None:
    """Ask for the end of runs: RunCancelled is raised where each is suspended, and its finally blocks run."""
    from stackful.durable.overview import as_it_stands

    with connected(store) as engine:
        for run in [as_it_stands(engine.store, run) for run in runs]:
            has_ended = run.status in ENDED
            engine.store.cancel(run.id)
            status = as_it_stands(engine.store, run.id).status
            tell(as_json, f"{run.id} is {status.value}; {_hears(run, has_ended)}", run=run.id, status=status.value)


def _hears(run: Run, has_ended: bool) -> str:
    if has_ended:
        return "it had ended before"
    return "its end was asked for" + (
        ": a script hears of it at its next step, sleep or other durable operation" if run.kind == "script" else ""
    )


@command("retry")
@store
@as_json
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", shell_complete=completed)
def _retry(store: str, as_json: bool, runs: tuple[str, ...]) -> None:
    """Have failed runs go on from their last state before the failure: the step that failed is tried again."""
    with connected(store) as engine:
        for run in [the_run(engine, run) for run in runs]:
            engine.retry(run.id)
            tell(as_json, f"{run.id} goes on from its last state", run=run.id)


@command("fork")
@store
@click.option(
    "--at", type=int, metavar="N", help="A checkpoint, as `stackful log` lists them; by default the last state."
)
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="LOCAL=VALUE",
    help="Give a local variable of the innermost frame another value (JSON, or a word).",
)
@click.option("--result", metavar="VALUE", help="What the step before that is to have returned (JSON, or a word).")
@click.option("--name", help="The new run's id; by default made from the first one's.")
@as_json
@click.argument("run", shell_complete=completed)
def _fork(
    store: str, at: int | None, changes: tuple[str, ...], result: str | None, name: str | None, as_json: bool, run: str
) -> None:
    """Make a second run that goes on from where a run stands, or stood.

    What the line at hand is about to assign, --set does not reach: `x = step(...)` takes --result.
    """
    results = [] if result is None else [value_of(result)]
    with connected(store) as engine:
        found = the_run(engine, run)
        if name and _is_taken(engine, name):
            raise StoreError(f"there is already a run called {name}; give the new one another --name")
        made = engine.fork(found.id, at=at, edit=pairs(changes) or None, result=results, id=name)
        tell(as_json, f"{made.id} goes on from {found.id}{f' at {at}' if at else ''}", run=made.id, origin=found.id)


def _is_taken(engine: Engine, name: str) -> bool:
    try:
        return engine.store.run(name).id == name
    except RunNotFoundError:
        return False


COMMANDS = (_signal, _cancel, _retry, _fork)
