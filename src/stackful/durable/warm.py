"""What a worker does once before it takes up runs, so that no run waits for it."""

from __future__ import annotations

from importlib import import_module
from itertools import islice
from types import CodeType

from stackful import snapshot, stackmap
from stackful.durable.functions import find, known_programs
from stackful.snapshot.allowed import installed_folders

__all__ = ["warm_up"]

# The operations that runs wait in for long, and are found in when a process has died.
_OPERATIONS = ("step", "wait_signal", "sleep", "ask", "gather")
# So many functions of the program are looked at: each takes a millisecond or so.
_MOST = 32


def warm_up() -> None:
    """Load what opens a store and goes on with a run, make and load a snapshot, and follow the bytecode that restored frames stand in.

    Each takes milliseconds, the first time.
    """
    for name in ("operations", "folders", "keys", "sqlite", "sqlite.wakeups"):
        import_module(f"stackful.durable.{name}")
    import_module("stackful.fibers.guard")
    snapshot.loads(snapshot.dumps(warm_up))
    installed_folders()
    for code in _codes():
        try:
            stackmap.locals_needed(code, 0)  # all that is found on the way is kept
        except ValueError:
            pass  # whoever restores a frame of it is told


def _codes() -> list[CodeType]:
    operations = import_module("stackful.durable.operations")
    functions = [getattr(operations, name) for name in _OPERATIONS]
    functions += [find(name) for name in islice(known_programs(), _MOST)]
    return [function.__code__ for function in functions]
