"""Tasks and channels: functions that take turns, and hand each other values; a whole system of them is a value, too.

`scheduling` is who runs next, `channels` how values go from one to the other, `groups` who waits for whose end, `blocked` what a deadlock
looks like. After Stackless Python (Christian Tismer, Richard Tew and others; the chapters of its manual on tasklets, channels and the
scheduler) and Hoare's CSP, with the manners of today: groups of tasks, deadlocks as errors.
"""

from __future__ import annotations

from stackful.tasks.channels import Channel
from stackful.tasks.groups import TaskGroup
from stackful.tasks.scheduling import Scheduler, Task, atomic, block, current, pause, run, schedule, spawn

__all__ = [
    "Channel",
    "Scheduler",
    "Task",
    "TaskGroup",
    "atomic",
    "block",
    "current",
    "pause",
    "run",
    "schedule",
    "spawn",
]
