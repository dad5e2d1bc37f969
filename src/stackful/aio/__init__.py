"""asyncio from ordinary functions: `await_` wherever an event loop's task runs, and synchronous libraries that wait without blocking.

Nothing of asyncio is replaced or patched: loops, tasks, futures, contexts and cancellation are its own, or uvloop's.
"""

from __future__ import annotations

from stackful.aio.patching import patched
from stackful.aio.portals import await_, call, can_await, eager_task_factory, run, spawn, task_factory

__all__ = ["await_", "call", "can_await", "eager_task_factory", "patched", "run", "spawn", "task_factory"]
