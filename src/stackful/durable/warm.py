"""What a process does once before it takes up runs, so that no run waits for it: this is imported with the engine."""

from __future__ import annotations

import stackful.durable.operations
import stackful.fibers.guard  # noqa: F401
from stackful import snapshot
from stackful.snapshot.allowed import installed_folders

__all__ = ["warm_up"]


def warm_up() -> None:
    """Make and load a snapshot, and find out where packages are installed: the first time takes milliseconds."""
    snapshot.loads(snapshot.dumps(warm_up))
    installed_folders()


warm_up()
