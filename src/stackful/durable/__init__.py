"""Durable runs: programs that survive ``kill -9`` and go on from the same line.

Kept empty of imports: ``stackful.checkpoint`` reaches ``durable.checkpoints`` from any program, and
pays for nothing else of this floor. What is used first is loaded first.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from typing import Any

    from stackful.durable.connections import connect
    from stackful.durable.contexts import Step
    from stackful.durable.engine import Engine
    from stackful.durable.forms import Field
    from stackful.durable.functions import run
    from stackful.durable.handles import Handle
    from stackful.durable.operations import (
        ask,
        cancel,
        current_run,
        current_step,
        gather,
        send,
        set_attributes,
        sleep,
        sleep_until,
        start,
        step,
        transaction,
        wait_signal,
    )
    from stackful.durable.records import Filter, Queue
    from stackful.durable.schedules import schedule, unschedule
    from stackful.durable.store import Status
    from stackful.errors import DeadlineError, RunCancelled, RunFailedError

__all__ = [
    "DeadlineError",
    "Engine",
    "Field",
    "Filter",
    "Handle",
    "Queue",
    "RunCancelled",
    "RunFailedError",
    "Status",
    "Step",
    "ask",
    "cancel",
    "connect",
    "current_run",
    "current_step",
    "gather",
    "run",
    "schedule",
    "send",
    "set_attributes",
    "sleep",
    "sleep_until",
    "start",
    "step",
    "transaction",
    "unschedule",
    "wait_signal",
]


def __getattr__(name: str) -> Any:
    """Load what is asked for."""
    homes = {
        "stackful.errors": ("DeadlineError", "RunCancelled", "RunFailedError"),
        "stackful.durable.connections": ("connect",),
        "stackful.durable.contexts": ("Step",),
        "stackful.durable.engine": ("Engine",),
        "stackful.durable.forms": ("Field",),
        "stackful.durable.functions": ("run",),
        "stackful.durable.handles": ("Handle",),
        "stackful.durable.records": ("Filter", "Queue"),
        "stackful.durable.schedules": ("schedule", "unschedule"),
        "stackful.durable.store": ("Status",),
        "stackful.durable.operations": (
            "ask",
            "cancel",
            "current_run",
            "current_step",
            "gather",
            "send",
            "set_attributes",
            "sleep",
            "sleep_until",
            "start",
            "step",
            "transaction",
            "wait_signal",
        ),
    }
    for home, names in homes.items():
        if name in names:
            globals()[name] = getattr(import_module(home), name)
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
