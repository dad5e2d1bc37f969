"""What a run says to the person who watches it: on stderr, with the program's name in front."""

from __future__ import annotations

import sys

__all__ = ["flush_output", "notice"]


def notice(text: str) -> None:
    """Say something about the run itself; a process without stderr says nothing."""
    if sys.stderr is not None:
        print(f"stackful: {text}", file=sys.stderr)


def flush_output() -> None:
    """Hand over what the script printed so far: what comes before a checkpoint is printed once.

    Raises:
        OSError: the other end is gone.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "flush") and not getattr(stream, "closed", False):
            stream.flush()
