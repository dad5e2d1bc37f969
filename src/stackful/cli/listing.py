"""``stackful ps``: the runs of a store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from stackful.cli.options import connected, exists
from stackful.durable.overview import last_checkpoint, list_runs, run_data
from stackful.durable.store import Checkpoint, Run, Status

if TYPE_CHECKING:
    from stackful.durable.records import Filter

__all__ = ["COLOURS", "ago", "listed", "print_runs", "size_text"]

COLOURS = {
    Status.PENDING: "cyan",
    Status.RUNNING: "green",
    Status.SLEEPING: "blue",
    Status.WAITING: "blue",
    Status.INTERRUPTED: "yellow",
    Status.FINISHED: "dim",
    Status.FAILED: "red",
    Status.CANCELLED: "red",
}


def print_runs(store: str, where: Filter, limit: int | None, as_json: bool) -> None:
    """Print the runs of a store as a table, or as a JSON list.

    Raises:
        StoreError: the store cannot be read.
    """
    found = _runs(store, where, limit)
    if as_json:
        print(json.dumps([listed(run, checkpoint) for run, checkpoint in found], indent=2))
    elif found:
        _print_table(found)
    elif any(value for value in (where.statuses, where.text, where.program, where.attributes, where.queue)):
        print(f"No run in {store} matches.")
    else:
        print(f"No runs in {store} yet; `stackful run program.py` starts one.")


def _runs(store: str, where: Filter, limit: int | None) -> list[tuple[Run, Checkpoint | None]]:
    if not exists(store):
        return []
    with connected(store) as engine:
        return [(run, last_checkpoint(engine.store, run)) for run in list_runs(engine.store, where, limit)]


def listed(run: Run, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """A run for ``--json``; times are seconds since the epoch."""
    data = run_data(run)
    if run.kind == "script":
        data["script"] = run.program
    return data | {
        "checkpoint": checkpoint and {"seq": checkpoint.seq, "when": checkpoint.when, "size": checkpoint.size}
    }


def ago(when: float) -> str:
    """How long ago something was, or how far ahead it is.

    Example:
        >>> ago(time.time() - 200)
        '3 min ago'
        >>> ago(time.time() + 7300)
        'in 2 h'
    """
    seconds = time.time() - when
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= length:
            return _distance(f"{int(abs(seconds) // length)} {unit}", seconds)
    return _distance(f"{int(abs(seconds))} s", seconds)


def _distance(text: str, seconds: float) -> str:
    return f"in {text}" if seconds <= -1 else f"{text} ago"


def size_text(size: float) -> str:
    """A number of bytes for people.

    Example:
        >>> size_text(12345)
        '12.1 KiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _print_table(found: list[tuple[Run, Checkpoint | None]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in ("RUN", "PROGRAM", "STATUS", "STARTED", "LAST CHECKPOINT"):
        table.add_column(title, overflow="fold", no_wrap=title in {"RUN", "STATUS"})
    table.add_column("SIZE", justify="right", no_wrap=True)
    for run, checkpoint in found:
        table.add_row(*_cells(run, checkpoint))
    Console(soft_wrap=False, highlight=False).print(table)


def _cells(run: Run, checkpoint: Checkpoint | None) -> list[Any]:
    from rich.text import Text

    status = _status_text(run)
    last = (f"{ago(checkpoint.when)} (no. {checkpoint.seq})", size_text(checkpoint.size)) if checkpoint else ("-", "-")
    program = " ".join(run.argv) if run.kind == "script" else run.program
    cells = (run.id, program, status, ago(run.created), *last)
    return [Text(cell, style=COLOURS[run.status] if cell is status else "") for cell in cells]


def _status_text(run: Run) -> str:
    """The status, with what a person asks next."""
    if run.exit_status:
        return f"{run.status.value} ({run.exit_status})"
    if run.status is Status.SLEEPING and run.wake:
        return f"sleeping ({ago(run.wake)})"
    if run.status is Status.WAITING and run.waits:
        return f"waiting ({run.waits})"
    return run.status.value
