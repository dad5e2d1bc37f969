"""Task groups: a block that is not left before its tasks have ended."""

from __future__ import annotations

from stackful.errors import BarrierError, FiberError, FiberExit, PromptNotFoundError
from stackful.fibers.portable import Portable
from stackful.tasks.scheduling import Task, find_task, must_not_wait, wait_for

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self

__all__ = ["TaskGroup"]


class _Failed(FiberExit):
    """Leaves the block of a group in which a task has failed."""


class TaskGroup(Portable):
    """A context manager: leaving the block waits for all tasks that were spawned in the group.

    The first that ends by an exception has the others killed, and the block left; when all have ended, their exceptions come out of the
    block as an ExceptionGroup. So does an exception of the block itself. A task that was killed is no failure. (asyncio.TaskGroup;
    Nathaniel J. Smith, "Notes on structured concurrency", 2018.)

    >>> from stackful.tasks import run
    >>> def main():
    ...     with TaskGroup() as group:
    ...         tasks = [group.spawn(pow, 2, n) for n in range(4)]
    ...     return [task.result for task in tasks]
    >>> run(main)
    [1, 2, 4, 8]
    """

    __slots__ = ("_errors", "_is_failing", "_is_left", "_is_waiting", "_owner", "_tasks")

    def __init__(self) -> None:
        self._owner: Task | None = None
        self._tasks: dict[Task, None] = {}
        self._errors: list[BaseException] = []
        self._is_failing = False  # the tasks have been killed
        self._is_waiting = False  # the owner is at the end of the block
        self._is_left = False

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Those that have not ended, oldest first."""
        return tuple(self._tasks)

    def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
        """A new task of the group; `FiberError` outside of its block, or when the group is failing."""
        if self._owner is None or self._is_left or self._is_failing:
            why = (
                "is failing"
                if self._is_failing
                else "is over"
                if self._is_left
                else "has not begun: use it in a with statement"
            )
            raise FiberError(f"cannot spawn a task: {self!r} {why}")
        task = self._owner._scheduler.spawn(function, *args, **kwargs)
        task._group = self
        self._tasks[task] = None
        return task

    def __enter__(self) -> Self:
        if self._owner is not None:
            raise FiberError(f"{self!r} can be entered once")
        self._owner = find_task("TaskGroup")
        return self

    @property
    def __exit__(self) -> Callable[[type[BaseException] | None, BaseException | None, TracebackType | None], None]:  # noqa: PLE0302, PYI036
        # A function, not a method: a with statement calls functions without C code in between, so a task that waits at the end of the block
        # can be saved. (v3.11.2 to v3.13.0 Python/ceval.c and bytecodes.c, CALL: bound methods are unpacked only where no self is given, and
        # there None stands in its place.) Where the block is left by an exception, C code calls.
        def leave(
            kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
        ) -> None:
            raised = self._leave(None if isinstance(error, _Failed) and self._errors else error)
            if raised is not None and raised is not error:
                raise raised from None

        return leave

    def _leave(self, error: BaseException | None) -> BaseException | None:
        """Wait for the tasks. What is to come out of the block, which has been left by `error`."""
        owner = self._owner
        assert owner is not None
        if error is not None:
            self._fail(error)
        if self._tasks:
            must_not_wait(owner, "the end of a TaskGroup")
        self._is_waiting = True
        while self._tasks and owner._scheduler._is_running:  # else it was dropped, and waits for nothing
            try:
                wait_for(self, owner)
            except (BarrierError, PromptNotFoundError) as refused:
                self._fail(refused)
                self._is_left = True
                raise
            except BaseException as thrown:  # noqa: BLE001 - the owner was killed; the tasks go first
                error = error or thrown
                self._fail(thrown)
        self._is_left = True
        if error is not None and not isinstance(error, Exception):
            return error
        return BaseExceptionGroup("tasks of a group have failed", self._errors) if self._errors else error

    def _fail(self, error: BaseException) -> None:
        """Kill those that are left."""
        if not isinstance(error, FiberExit):
            self._errors.append(error)
        if not self._is_failing:
            self._is_failing = True
            for task in self._tasks:
                task.raise_later(FiberExit())

    # For tasks

    def end(self, task: Task) -> None:
        """One of the group has ended."""
        owner = self._owner
        assert owner is not None
        del self._tasks[task]
        error = task.exception
        if error is not None and not isinstance(error, FiberExit):
            was_failing = self._is_failing
            self._fail(error)
            if not was_failing and not self._is_waiting:
                owner.raise_later(_Failed())
        if self._is_waiting and not self._tasks and owner._waits is self:
            owner._waits = None
            owner._ready.append(owner)

    def forget(self, task: Task) -> None:
        """`task`, which waited at the end of the block, was killed."""

    def describe_wait(self, task: Task) -> str:  # noqa: ARG002
        """Whom `task` waits for."""
        return f"for the end of {', '.join(task.name for task in self._tasks)}"

    def __repr__(self) -> str:
        return f"<TaskGroup of {len(self._tasks)} tasks>"
