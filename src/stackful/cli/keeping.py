"""The commands for those who keep a store: doctor, gc, export, import."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackful.cli.options import AT_LEAST_0, as_json, command, completed, connected, on_change, store, tell, the_run
from stackful.cli.status import CODE_CHANGED
from stackful.durable.store import ENDED
from stackful.errors import StoreError

if TYPE_CHECKING:
    from stackful.durable.runs import OnChange
    from stackful.durable.store import Run
    from stackful.snapshot import Finding

__all__ = ["COMMANDS"]

_DAY = 86400.0


@command("doctor")
@store
@on_change
@as_json
@click.argument("runs", nargs=-1, metavar="[RUN]...", shell_complete=completed)
def _doctor(store: str, on_change: OnChange, as_json: bool, runs: tuple[str, ...]) -> None:
    """Find out whether stored runs would resume with the code that is here now, before it is deployed.

    RUN is an id or its beginning; by default all that can go on. Nothing is resumed; modules are imported. Status 68 where one would not resume.
    """
    from stackful.durable.doctor import examine

    with connected(store) as engine:
        examined = examine(engine, runs, on_change)
    if as_json:
        found = [{"run": run.id, "findings": [finding._asdict() for finding in findings]} for run, findings in examined]
        print(json.dumps(found))
    else:
        _print_examined(examined)
    if any(findings for _, findings in examined):
        sys.exit(CODE_CHANGED)


def _print_examined(examined: list[tuple[Run, list[Finding]]]) -> None:
    for run, findings in examined:
        print(f"{run.id}: {'would not resume' if findings else 'would resume'}")
        for finding in findings:
            print("    " + str(finding).replace("\n", "\n    "))


@command("gc")
@store
@click.option(
    "--older-than",
    "days",
    type=AT_LEAST_0,
    default=30.0,
    show_default=True,
    metavar="DAYS",
    help="Only runs that ended so long ago.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@as_json
def _gc(store: str, days: float, dry_run: bool, as_json: bool) -> None:
    """Delete runs that have ended, with their checkpoints, results and signals."""
    from stackful.durable.records import Filter

    before = time.time() - days * _DAY
    with connected(store) as engine:
        old = [run.id for run in engine.runs(Filter(statuses=tuple(ENDED))) if run.updated < before]
        deleted = 0 if dry_run else engine.store.delete(old)
    if as_json:
        print(json.dumps({"runs": old, "deleted": deleted}))
    else:
        print(f"{len(old)} runs would be deleted" if dry_run else f"{deleted} runs deleted")


@command("export")
@store
@click.option(
    "--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="The file; by default RUN.stackful."
)
@as_json
@click.argument("run", shell_complete=completed)
def _export(store: str, output: Path | None, as_json: bool, run: str) -> None:
    """Write a run with its last state to a file, sealed with the store's key, for `stackful import`."""
    from stackful.durable.transfer import export_run

    with connected(store) as engine:
        found = the_run(engine, run)
        data = export_run(engine, found)
    path = output or Path(f"{found.id}.stackful")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}; choose another --output") from error
    tell(as_json, f"{found.id}: {len(data)} bytes in {path}", run=found.id, file=str(path), size=len(data))


@command("import")
@store
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The key file of the store that it was exported from; by default this store's own.",
)
@click.option("--name", help="The new run's id; by default the exported run's, if it is free.")
@as_json
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def _import(store: str, key_file: Path | None, name: str | None, as_json: bool, file: Path) -> None:
    """Add an exported run to this store, which is made if need be: the run goes on from the state that it was exported with.

    Its code must be importable here, and unchanged; the key must be one that you trust: whoever has it can make this program run code of his.
    """
    from stackful.durable.transfer import import_run

    data = file.read_bytes()
    with connected(store, make=True) as engine:
        run_id = import_run(engine, data, key_file, name)
    tell(as_json, f"{run_id} is in the store and goes on from its state", run=run_id)


COMMANDS = (_doctor, _gc, _export, _import)
