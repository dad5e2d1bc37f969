"""The commands that look at runs: ps, show, log. None changes anything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from stackful.cli.options import as_json, command, completed, opened, pairs, store
from stackful.durable.store import ENDED, Status

if TYPE_CHECKING:
    from stackful.durable.records import State
    from stackful.durable.store import Run

__all__ = ["COMMANDS"]


def _attributes(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any]:
    return pairs(given)


@command("ps")
@store
@click.option("--status", type=click.Choice([s.value for s in Status]), multiple=True, help="Only runs that stand so.")
@click.option("--text", help="Only runs with this in their id or program.")
@click.option("--program", help="Only runs of this MODULE:FUNCTION or script.")
@click.option("--queue", help="Only runs of this queue.")
@click.option(
    "--attribute",
    "attributes",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_attributes,
    help="Only runs with this attribute.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@as_json
def _ps(store: str, status: tuple[str, ...], limit: int | None, as_json: bool, **given: Any) -> None:
    """List the runs, the newest first."""
    from stackful.cli.listing import print_runs
    from stackful.durable.records import Filter

    print_runs(store, Filter(statuses=tuple(map(Status, status)), **given), limit, as_json)


@command("show")
@store
@click.option(
    "--at", type=int, metavar="N", help="A checkpoint, as `stackful log` lists them; by default the last state."
)
@click.option("--raw", is_flag=True, help="Show what the stored bytes hold, without loading them.")
@as_json
@click.argument("run", shell_complete=completed)
def _show(store: str, run: str, at: int | None, raw: bool, as_json: bool) -> None:
    """Show where a run stands: its suspended stack, frame by frame.

    RUN is an id or its beginning; with --raw also a file that holds a snapshot. Nothing of the run is executed; modules that its frames stand in are imported, unless --raw is given.
    """
    if raw:
        from stackful.cli.raw import print_raw

        print_raw(store, run, as_json)
        return
    from stackful.cli.show import print_run

    print_run(store, run, at, as_json)


@command("log")
@store
@as_json
@click.argument("run", shell_complete=completed)
def _log(store: str, run: str, as_json: bool) -> None:
    """List the checkpoints of a run, the oldest first: the step before each, and the line.

    Runs of functions keep checkpoints when they are marked with @durable.run(history=...); others have their last state only.
    """
    from stackful.durable.overview import as_it_stands, states_of_run

    with opened(store) as kept:
        found = as_it_stands(kept, run)
        states = _script_states(kept, found) if found.kind == "script" else states_of_run(kept, found)
    states.reverse()
    if as_json:
        print(json.dumps([_state_data(state) for state in states], indent=2))
    elif states:
        _print_log(states)
    else:
        ended = found.status in ENDED
        print(
            f"Run {found.id} has {'kept no checkpoint' if ended else 'no checkpoint yet'}; it is {found.status.value}."
        )


def _script_states(kept: Any, run: Run) -> list[State]:
    from stackful.durable.records import State

    return [State(run.id, each.seq, 0, "", "", each.when, each.size) for each in kept.checkpoints(run.id)]


def _state_data(state: State) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("seq", "steps", "step", "line", "taken", "size")}


def _print_log(states: list[State]) -> None:
    from rich.text import Text

    from stackful.cli.listing import ago, print_table, size_text

    rows = []
    for state in states:
        step = f"{state.step} (no. {state.steps})" if state.step else "-"
        cells = (str(state.seq), step, state.line or "-", ago(state.taken), size_text(state.size))
        rows.append([Text(cell) for cell in cells])
    print_table(("NO.", "STEP", "STANDS AT", "TAKEN", "SIZE"), rows, numbers={"NO.", "SIZE"})


COMMANDS = (_ps, _show, _log)
