"""``stackful ps``: the runs of a store."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from stackful.durable.runs import list_runs
from stackful.durable.store import Checkpoint, Run, Status

__all__ = ["ago", "print_runs", "run_data", "size_text"]

COLOURS = {
    Status.RUNNING: "green",
    Status.INTERRUPTED: "yellow",
    Status.FINISHED: "dim",
    Status.FAILED: "red",
}


def print_runs(store: Path, as_json: bool) -> None:
    """Print the runs of a store as a table, or as a JSON list.

    Raises:
        StoreError: the store cannot be read.
    """
    found = list_runs(store)
    if as_json:
        print(json.dumps([run_data(run, checkpoint) for run, checkpoint in found], indent=2))
    elif found:
        _print_table(found)
    else:
        print(f"No runs in {store} yet; `stackful run program.py` starts one.")


def run_data(run: Run, checkpoint: Checkpoint | None) -> dict[str, Any]:
    """A run for ``--json``; times are seconds since the epoch."""
    return {
        "id": run.id,
        "script": run.program,
        "argv": list(run.argv),
        "cwd": run.cwd,
        "status": run.status.value,
        "exit_status": run.exit_status,
        "python": run.python,
        "every": run.every,
        "created": run.created,
        "updated": run.updated,
        "checkpoint": checkpoint and {"seq": checkpoint.seq, "when": checkpoint.when, "size": checkpoint.size},
    }


def ago(when: float) -> str:
    """How long ago something was.

    Example:
        >>> ago(time.time() - 200)
        '3 min ago'
    """
    seconds = max(0, time.time() - when)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit} ago"
    return f"{int(seconds)} s ago"


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
    for title in ("RUN", "SCRIPT", "STATUS", "STARTED", "LAST CHECKPOINT"):
        table.add_column(title, overflow="fold", no_wrap=title in {"RUN", "STATUS"})
    table.add_column("SIZE", justify="right", no_wrap=True)
    for run, checkpoint in found:
        table.add_row(*_cells(run, checkpoint))
    Console(soft_wrap=False, highlight=False).print(table)


def _cells(run: Run, checkpoint: Checkpoint | None) -> list[Any]:
    from rich.text import Text

    status = run.status.value if not run.exit_status else f"{run.status.value} ({run.exit_status})"
    last = (f"{ago(checkpoint.when)} (no. {checkpoint.seq})", size_text(checkpoint.size)) if checkpoint else ("-", "-")
    cells = (run.id, " ".join(run.argv), status, ago(run.created), *last)
    return [Text(cell, style=COLOURS[run.status] if cell is status else "") for cell in cells]
