"""``stackful ps``: the runs of a store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from stackful.cli.options import exists, opened
from stackful.durable.overview import last_checkpoint, list_runs, run_data
from stackful.durable.store import Checkpoint, Run, Status

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from rich.text import Text

    from stackful.durable.records import Filter

__all__ = ["COLOURS", "ago", "count", "listed", "print_runs", "print_table", "program_text", "size_text"]

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


_ENDLESS = 1 << 20  # columns: more than any row has


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
        how = "`durable.start` in a program" if "://" in store else "`stackful run program.py`"
        print(f"No runs in {store} yet; {how} starts one.")


def _runs(store: str, where: Filter, limit: int | None) -> list[tuple[Run, Checkpoint | None]]:
    if not exists(store):
        return []
    with opened(store) as found:
        return [(run, last_checkpoint(found, run)) for run in list_runs(found, where, limit)]


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
    rows = [_cells(run, checkpoint) for run, checkpoint in found]
    print_table(("RUN", "PROGRAM", "STATUS", "STARTED", "LAST CHECKPOINT", "SIZE"), rows, numbers={"SIZE"})


def print_table(titles: Sequence[str], rows: Iterable[Sequence[Text]], numbers: Container[str]) -> None:
    """Print a table with one line for each row, however narrow the terminal: for eyes, and for grep.

    Args:
        titles: of the columns.
        rows: their cells.
        numbers: the titles of columns whose cells stand on the right.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True, justify="right" if title in numbers else "left")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, width=_ENDLESS).print(table)


def _cells(run: Run, checkpoint: Checkpoint | None) -> list[Text]:
    from rich.text import Text

    status = _status_text(run)
    last = (f"{ago(checkpoint.when)} (no. {checkpoint.seq})", size_text(checkpoint.size)) if checkpoint else ("-", "-")
    cells = (run.id, program_text(run), status, ago(run.created), *last)
    return [Text(cell, style=COLOURS[run.status] if cell is status else "") for cell in cells]


def program_text(run: Run) -> str:
    """The function of a run, or the script with its arguments; on one line, and without what a terminal would obey."""
    text = " ".join(run.argv) if run.kind == "script" else run.program
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def count(number: int, noun: str) -> str:
    """So many of something.

    Example:
        >>> count(1, "step"), count(2, "step")
        ('1 step', '2 steps')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _status_text(run: Run) -> str:
    """The status, with what a person asks next."""
    if run.exit_status:
        return f"{run.status.value} ({run.exit_status})"
    if run.status is Status.RUNNING and run.kind == "function" and not run.owner:
        return "running (waits for a worker)"
    if run.status is Status.SLEEPING and run.wake:
        return f"sleeping ({ago(run.wake)})"
    if run.status is Status.WAITING and run.waits:
        return f"waiting ({run.waits})"
    return run.status.value
