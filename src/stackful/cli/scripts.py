"""``stackful run`` and ``stackful resume``: the script becomes this process's program."""

from __future__ import annotations

from stackful.cli.exits import one_message, play
from stackful.durable import runs

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from stackful.durable.runs import OnChange

__all__ = ["go_on", "start"]


def start(
    store: str | PathLike[str], argv: Sequence[str], *, every: float | None = None, name: str | None = None
) -> None:
    """Run a script from its beginning; ends as the script ends.

    Args:
        store: the store; made if it is not there.
        argv: the script and its arguments.
        every: seconds between checkpoints by the clock.
        name: the run's id.

    Raises:
        SystemExit: the script's own, or after the one message that says why there is no run.
    """
    with one_message():
        execution = runs.start(store, argv, every, name)
    play(execution)


def go_on(store: str | PathLike[str], run: str | None, on_change: OnChange = "refuse") -> None:
    """Go on with a run; ends as the script ends.

    Args:
        store: the store.
        run: the id or its beginning; None for the newest that did not finish.
        on_change: see :func:`runs.resume`.

    Raises:
        SystemExit: as for :func:`start`.
    """
    with one_message():
        execution = runs.resume(store, run, on_change)
    play(execution, True)
