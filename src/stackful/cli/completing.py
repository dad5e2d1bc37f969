"""``stackful completion``: what a shell needs to complete commands, options and ids of runs."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

__all__ = ["COMMANDS"]

_PROGRAM = "stackful"
_VARIABLE = "_STACKFUL_COMPLETE"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), required=False)
@click.pass_context
def _completion(context: click.Context, shell: str | None) -> None:
    """Print what makes your shell complete commands, options and ids of runs.

    For bash: `eval "$(stackful completion bash)"` in ~/.bashrc; zsh: the same in ~/.zshrc; fish: `stackful completion fish |
    source` in its configuration. By default for the shell in $SHELL.
    """
    name = shell or os.path.basename(os.environ.get("SHELL", ""))  # noqa: PTH119 - a name, not a path
    found = get_completion_class(name)
    if found is None:
        raise click.UsageError(f"there is no completion for the shell {name!r}: name bash, zsh or fish")
    print(found(context.find_root().command, {}, _PROGRAM, _VARIABLE).source())


COMMANDS = (_completion,)
