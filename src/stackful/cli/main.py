"""The command ``stackful``."""

from __future__ import annotations

import os
import sys

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
        import click as _  # noqa: F401 - to say it clearly when it is missing
    except ImportError:
        sys.exit("stackful: error: the command line needs click; pip install 'stackful[durable]'")
    from stackful.cli.commands import parse

    todo = parse()
    if todo:
        todo()
