"""``python -m stackful program.py``: a script whose continuation can be captured."""

from __future__ import annotations

from types import FunctionType

from stackful.cli.exits import one_message, showing_from
from stackful.continuations import run
from stackful.durable.program import Script, absolute_path, read_script

__all__ = ["run_program"]


def run_program(argv: list[str]) -> None:
    """Run a script above a prompt; it prints, fails and ends as under ``python``, and nothing of it is stored.

    Args:
        argv: the script and its arguments.

    Raises:
        SystemExit: the script's own, or after the one message that says why it cannot be read.
    """
    with one_message():
        filename = absolute_path(argv[0])
        script = Script(filename, read_script(filename), tuple(argv), every=False)
    script.install()
    with showing_from(script.code):
        run(FunctionType(script.code, vars(script.module)))
