"""What a worker does once before it takes up runs, so that no run waits for it."""

from __future__ import annotations

from importlib import import_module

from stackful import snapshot
from stackful.snapshot.allowed import installed_folders

__all__ = ["warm_up"]


def warm_up() -> None:
    """Make and load a snapshot, and find out where packages are installed: the first time takes milliseconds."""
    for name in ("stackful.durable.operations", "stackful.fibers.guard"):
        import_module(name)
    snapshot.loads(snapshot.dumps(warm_up))
    installed_folders()
