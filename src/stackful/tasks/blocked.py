"""What a deadlock looks like, in words: who waits, for what, at which line."""

from __future__ import annotations

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Iterable

    from stackful.fibers.frames import Frame
    from stackful.tasks.scheduling import Task

__all__ = ["describe_deadlock", "place_of"]


def place_of(task: Task) -> Frame | None:
    """The innermost frame of the program itself; None where the task has not begun."""
    own = [frame for frame in task.frames if not str(frame.function.__module__).startswith("stackful.")]
    return own[-1] if own else None


def _describe(task: Task) -> str:
    wait = task._waits
    what = "for nothing" if wait is None else wait.describe_wait(task)
    frame = place_of(task)
    where = "" if frame is None else f', in {frame.code.co_qualname}, "{frame.file}", line {frame.line}'
    return f"  {task.name} waits {what}{where}"


def describe_deadlock(tasks: Iterable[Task]) -> str:
    """The message of a `DeadlockError`."""
    lines = [_describe(task) for task in tasks]
    return "\n".join(("all tasks wait, and none is left to wake them:", *lines))
