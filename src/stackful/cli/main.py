"""The command ``stackful``."""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]


def main() -> None:
    """Run the command line given in ``sys.argv``; ends the process as ``cli/status.py`` says."""
    # `run script.py` without options has nothing to be parsed, and a script should not wait for a parser.
    if sys.argv[1:2] == ["run"] and len(sys.argv) > 2 and not sys.argv[2].startswith("-"):
        from stackful.cli.scripts import start

        start(os.environ.get("STACKFUL_STORE") or ".stackful/runs.db", sys.argv[2:])
    elif len(sys.argv) > 1 and sys.argv[1].endswith(".py"):
        from stackful.cli.program import run_program

        run_program(sys.argv[1:])
    else:
        _main_with_click()


def _main_with_click() -> None:
    try:
        todo = _understood()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a command as the system would, in silence
        signal.raise_signal(signal.SIGINT)
        return
    if todo:
        todo()


def _understood() -> Callable[[], None] | None:
    """What remains to be done: a script to be run. All other commands are done here.

    Raises:
        KeyboardInterrupt: Ctrl-C, at any moment.
    """
    try:
        import click
    except ImportError:
        sys.exit("stackful: error: the command line needs click; pip install 'stackful[durable]'")
    from stackful.cli.commands import parse

    try:
        return parse()
    except click.Abort:
        raise KeyboardInterrupt from None
