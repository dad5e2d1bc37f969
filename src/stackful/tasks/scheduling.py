"""Tasks and their scheduler: who runs next, who waits, and what becomes of those that have ended."""

from __future__ import annotations

from collections import deque

from stackful import _core
from stackful.errors import DeadlockError, FiberError, FiberExit
from stackful.fibers import Fiber, is_capturable, resume, suspend, suspend_to
from stackful.fibers.portable import Portable
from stackful.tasks.blocked import describe_deadlock

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, NoReturn, Protocol, Self

    class Wait(Protocol):
        """What a task can wait for."""

        def forget(self, task: Task, /) -> None:
            """The task no longer waits for it."""

        def describe_wait(self, task: Task, /) -> str:
            """What the task waits for, after the word "waits"."""

    class Group(Wait, Protocol):
        """What a task can belong to."""

        def end(self, task: Task, /) -> None:
            """The task has ended."""


__all__ = [
    "STAYS",
    "Scheduler",
    "Task",
    "atomic",
    "block",
    "current",
    "find_task",
    "must_not_wait",
    "pause",
    "run",
    "schedule",
    "spawn",
    "wait_for",
]


class _Token:
    """What tasks suspend with: nobody else has it."""


STAYS = _Token()  # the task is where it belongs: in a queue of those that are ready, or of those that wait
_PAUSE = _Token()  # and the scheduler is to return

_resume, _throw = Fiber.resume, Fiber.throw
_current = _core.current


class _Event:
    """What `block` waits for: `Task.wake`."""

    def forget(self, task: Task) -> None:
        """There is nobody to tell."""

    def describe_wait(self, task: Task) -> str:  # noqa: ARG002
        """For messages."""
        return "in block()"

    def __reduce__(self) -> str:
        return "_EVENT"


_EVENT = _Event()


class Task(Fiber):
    """A function that takes turns with others; made by `spawn`.

    A fiber, with all that can be asked of one: `status` (in Lua's words), `result`, `frames`, `context`. Only its scheduler resumes it.
    (Stackless Python's tasklet.)

    >>> def main():
    ...     task = spawn(divmod, 7, 2)
    ...     return task.join()
    >>> run(main)
    (3, 1)
    """

    __slots__ = (
        "_error",
        "_group",
        "_is_atomic",
        "_joiners",
        "_name",
        "_ready",
        "_scheduler",
        "_value",
        "_waits",
        "exception",
    )

    _value: Any  # what the next resumption gives it; while it waits to send, what it sends
    _error: BaseException | None  # or what is to be raised in it
    _waits: Wait | None
    _ready: deque[Task]  # the scheduler's
    _scheduler: Scheduler
    _joiners: list[Task] | None
    _group: Group | None
    _is_atomic: int  # how deep
    _name: str | int
    exception: BaseException | None
    """What it has ended by, when that was an exception; `FiberExit` where it was killed."""

    @property
    def name(self) -> str:
        """For messages: the function's name and a number, unless it was set."""
        if type(self._name) is int:
            return f"{getattr(self.function, '__name__', 'task')}-{self._name}"
        return str(self._name)

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    @property
    def scheduler(self) -> Scheduler:
        """Whose task it is."""
        return self._scheduler

    @property
    def waits_for(self) -> Any:
        """The channel, task or group that it waits for; None when it does not wait, or in `block`."""
        return None if self._waits is _EVENT else self._waits

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for something that others have to do (Stackless's tasklet.blocked)."""
        return self._waits is not None

    def join(self) -> Any:
        """Wait until it has ended; its result. An exception that it has ended by is raised here.

        Then the exception does not leave through the scheduler's `run`. `FiberError` where the task was killed, and for the task itself.

        >>> run(lambda: spawn(pow, 2, 10).join())
        1024
        """
        if self.status != "dead":
            task = find_task("join()")
            if task is self:
                raise FiberError(f"{self!r} cannot wait for its own end")
            must_not_wait(task, "join()")
            if self._joiners is None:
                self._joiners = []
            self._joiners.append(task)
            return wait_for(self, task)
        if self.exception is not None:
            raise _of_joined(self)
        return self.result

    def kill(self, exception: BaseException | type[BaseException] = FiberExit, /, *, pending: bool = False) -> None:
        """Raise `exception` where the task waits, so that its `finally` blocks run; nothing when it has ended.

        It runs at once, and who has killed it goes on next; with `pending`, and from outside of the scheduler, it is put at the end of those
        that are ready. A task that kills itself is left by the exception. (Stackless's ``tasklet.kill``; `FiberExit` is its TaskletExit.)

        >>> def sleeper():
        ...     try:
        ...         block()
        ...     finally:
        ...         print("cleaned up")
        >>> def main():
        ...     task = spawn(sleeper)
        ...     schedule()
        ...     task.kill()
        ...     print(task.status)
        >>> run(main)
        cleaned up
        dead
        """
        if self.status == "dead":
            return
        error = exception() if isinstance(exception, type) else exception
        if not isinstance(error, BaseException):
            raise TypeError(f"kill() takes an exception (an instance or a class), not {exception!r}")
        killer = current()
        if killer is self:
            raise error
        self.raise_later(error)
        if not pending and killer is not None and killer._ready is self._ready and not killer._is_atomic:
            self._ready.remove(self)
            self._ready.appendleft(killer)
            self._ready.appendleft(self)
            leave_turn(killer)

    def raise_later(self, error: BaseException) -> None:
        """Put the task among those that are ready; `error` will be raised where it waits."""
        if self._waits is not None:
            self._waits.forget(self)
            self._waits = None
            self._ready.append(self)
        self._error = error

    def wake(self, value: object = None) -> None:
        """The task, which waits in `block`, is ready again: `block` returns `value` (Stackless's ``tasklet.insert``)."""
        if self._waits is not _EVENT:
            raise FiberError(f"{self!r} does not wait in block()")
        self._value, self._waits = value, None
        self._ready.append(self)

    def forget(self, task: Task) -> None:
        """`task` no longer waits for the end of this one."""
        if self._joiners is not None and task in self._joiners:
            self._joiners.remove(task)

    def describe_wait(self, task: Task) -> str:  # noqa: ARG002
        """`task` waits for the end of this one."""
        return f"for the end of {self.name}"

    def resume(self, value: object = None, /) -> NoReturn:  # noqa: ARG002
        """`FiberError`: the scheduler resumes tasks."""
        raise FiberError(f"{self!r} is resumed by its scheduler; block() and wake() are for that")

    def throw(self, exception: BaseException | type[BaseException], /) -> NoReturn:  # noqa: ARG002
        """`FiberError`: `kill` is for that."""
        raise FiberError(f"{self!r} is resumed by its scheduler; to raise something in it, kill(exception)")

    def __copy__(self) -> Self:
        raise FiberError(f"{self!r} cannot be copied by itself: copy.deepcopy(scheduler) copies all that are connected")

    def __repr__(self) -> str:
        return f"<Task {self.name!r} {describe_state(self)}>"


def describe_state(task: Task) -> str:
    """In a few words, for messages."""
    if task.status == "dead":
        if task.exception is None:
            return "done"
        return "killed" if isinstance(task.exception, FiberExit) else f"failed: {task.exception!r}"
    if task._waits is not None:
        return "blocked"
    return "ready" if task.status == "suspended" else "running"


def _of_joined(task: Task) -> BaseException:
    """What to raise in those that have waited for `task`, which has ended by an exception."""
    assert task.exception is not None
    if isinstance(task.exception, FiberExit):
        return FiberError(f"{task!r} has no result: it was killed")
    return task.exception


# What a running task does


def current() -> Task | None:
    """The task that runs this code, also from within a fiber that it has resumed; None outside of tasks.

    >>> current() is None, run(current).name
    (True, 'current-1')
    """
    fiber = _current()
    if fiber is None or type(fiber) is Task:
        return fiber
    for tag in _core.prompts():
        fiber = tag[0] if type(tag) is tuple else tag
        if isinstance(fiber, Task):
            return fiber
    return None


def find_task(name: str) -> Task:
    """The running task; `FiberError` for the function of that name."""
    task = current()
    if task is None:
        raise FiberError(
            f"{name} would have to wait, and this is no task: tasks.run(function), or Scheduler().spawn(function)"
        )
    return task


def must_not_wait(task: Task, name: str) -> None:
    """`FiberError` in `atomic`."""
    if task._is_atomic:
        raise FiberError(f"{name} would have to let others run: {task!r} is within atomic()")


def leave_turn(task: Task) -> Any:
    """Suspend the running task, which is in some queue; the value that it is resumed with."""
    try:
        return suspend(STAYS) if _current() is task else suspend_to(task, STAYS)
    except BaseException:
        take_back(task)
        raise


def wait_for(what: Wait, task: Task) -> Any:
    """The same, for a task that waits for something."""
    task._waits = what
    try:
        return suspend(STAYS) if _current() is task else suspend_to(task, STAYS)
    except BaseException:
        take_back(task)
        raise


def take_back(task: Task) -> None:
    """The running task could not be suspended, or something was raised where it waited: it is in no queue."""
    if task._waits is not None:
        task._waits.forget(task)
        task._waits = None
    elif task in task._ready:
        task._ready.remove(task)


def spawn(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
    """A new task of the running task's scheduler: it will call the function when its turn comes, after all that are ready.

    Where it ends by an exception and no task waits in `Task.join`, the exception leaves through the scheduler's `run`. To be sure that
    somebody waits, use a `TaskGroup`. (Stackless's ``tasklet(function)(*args)``.)

    >>> def main():
    ...     for word in "one", "two":
    ...         spawn(print, word)
    ...     schedule()
    >>> run(main)
    one
    two
    """
    spawner: Any = _current()
    if type(spawner) is not Task:
        spawner = current()
        if spawner is None:
            raise FiberError("spawn() outside of tasks: tasks.run(function) makes a scheduler, and so does Scheduler()")
    # Where there is nothing to pass on, nothing is: each costs as much as all the rest.
    task = Task(function, *args, **kwargs) if kwargs else Task(function, *args)
    spawner._scheduler._enlist(task)
    return task


def schedule() -> None:
    """Let all others run that are ready, then go on (Stackless's ``schedule``).

    >>> def count(name):
    ...     for number in 1, 2:
    ...         print(name, number)
    ...         schedule()
    >>> scheduler = Scheduler()
    >>> for name in "ab":
    ...     _ = scheduler.spawn(count, name)
    >>> scheduler.run()
    a 1
    b 1
    a 2
    b 2
    True
    """
    task = _current()
    if type(task) is not Task or task._is_atomic:
        task = find_task("schedule()")
        must_not_wait(task, "schedule()")
        task._ready.append(task)
        leave_turn(task)
        return
    task._ready.append(task)
    try:
        suspend(STAYS)
    except BaseException:
        take_back(task)
        raise


def block() -> Any:
    """Wait until somebody calls `Task.wake`; the value that it was given (Stackless's ``schedule_remove``).

    >>> def main():
    ...     task = spawn(lambda: print(block()))
    ...     schedule()
    ...     task.wake("good morning")
    ...     task.join()
    >>> run(main)
    good morning
    """
    task = find_task("block()")
    must_not_wait(task, "block()")
    return wait_for(_EVENT, task)


def pause() -> None:
    """The scheduler's `run` returns False, with all tasks as they are: it can be saved, and run again. This task goes on first.

    >>> scheduler = Scheduler()
    >>> task = scheduler.spawn(lambda: print("one") or pause() or print("two"))
    >>> scheduler.run(), scheduler.run()
    one
    two
    (False, True)
    """
    task = find_task("pause()")
    must_not_wait(task, "pause()")
    task._ready.appendleft(task)
    try:
        suspend(_PAUSE) if _current() is task else suspend_to(task, _PAUSE)
    except BaseException:
        take_back(task)
        raise


class _Atomic:
    __slots__ = ("_task",)

    def __init__(self, task: Task) -> None:
        self._task = task

    def __enter__(self) -> None:
        self._task._is_atomic += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task._is_atomic -= 1


def atomic() -> _Atomic:
    """A context manager: no other task runs before its end.

    Whom a message has woken waits for his turn; what would have to wait, or gives up the turn, is a `FiberError`. (Stackless's
    ``set_atomic`` and ``block_trap``.)

    >>> def main():
    ...     spawn(print, "others")
    ...     with atomic():
    ...         schedule()
    >>> run(main)
    Traceback (most recent call last):
    ...
    stackful.errors.FiberError: schedule() would have to let others run: <Task 'main-1' running> is within atomic()
    """
    return _Atomic(find_task("atomic()"))


# Schedulers


class Scheduler(Portable):
    """Tasks that take turns, each until it waits, ends, or gives up its turn.

    Those that are ready stand in a queue, first come, first served. A scheduler that does not run can be pickled and deep-copied, with
    its tasks and all channels in reach of them. As a context manager it is closed at the end of the block.

    >>> scheduler = Scheduler()
    >>> task = scheduler.spawn(sum, [1, 2, 3])
    >>> scheduler.run(), task.result
    (True, 6)
    """

    __slots__ = ("__weakref__", "_is_running", "_main", "_ready", "_spawned", "_tasks")

    def __init__(self) -> None:
        self._ready: deque[Task] = deque()
        self._tasks: dict[Task, None] = {}  # that have not ended, by age
        self._spawned = 0
        self._is_running = False
        self._main: Task | None = None  # whose end ends the run

    def spawn(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Task:
        """A new task, at the end of those that are ready."""
        task = Task(function, *args, **kwargs)
        self._enlist(task)
        return task

    def _enlist(self, task: Task) -> None:
        self._spawned = task._name = self._spawned + 1
        task._scheduler = self
        task._ready = ready = self._ready
        task._value = task._error = task._waits = task._joiners = task._group = task.exception = None
        task._is_atomic = 0
        self._tasks[task] = None
        ready.append(task)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Those that have not ended, oldest first."""
        return tuple(self._tasks)

    def run(self) -> bool:
        """Run until all tasks have ended: True; or until one calls `pause`: False.

        `DeadlockError` when all that are left wait. An exception that a task ends by leaves through `run`, unless another one waits for
        that task in `Task.join`, or it belongs to a group. In any case the scheduler is as it was left, and can be run again.
        """
        if not self._go(is_capturable()):
            return False
        if self._tasks:
            raise DeadlockError(describe_deadlock(self._tasks), self.tasks)
        return True

    def pump(self) -> None:
        """Run what can run, until all have ended, wait, or one calls `pause`; for a program with a loop of its own.

        (Stackless: "pumping the scheduler".)

        >>> scheduler = Scheduler()
        >>> task = scheduler.spawn(lambda: print("got", block()))
        >>> scheduler.pump()
        >>> task.wake(1)
        >>> scheduler.pump()
        got 1
        """
        self._go(is_capturable())

    def close(self) -> None:
        """Kill all tasks, and run until they have ended; errors in their `finally` blocks are raised afterwards.

        A task that waits again each time that it is killed is a `FiberError`.
        """
        errors: list[BaseException] = []
        for _ in range(10):  # as Stackless does with a tasklet that is dropped
            if not self._tasks:
                break
            for task in self.tasks:
                if task.status == "dead":  # an interrupt came before that was noted
                    del self._tasks[task]
                else:
                    task.raise_later(FiberExit())
            self._ready.clear()
            self._ready.extend(self._tasks)
            self._main = None
            self._pump_all(errors)
        for task in self.tasks:
            del self._tasks[task]
            errors.append(FiberError(f"{task!r} ignored FiberExit: it waited again when it was killed"))
        if len(errors) > 1:
            raise BaseExceptionGroup("tasks failed while they were being closed", errors)
        if errors:
            raise errors[0]

    def _pump_all(self, errors: list[BaseException]) -> None:
        """Run until nothing is ready; what leaves through `run` is collected."""
        while self._ready:
            first = self._ready[0]
            try:
                self._go(False)
            except Exception as error:  # noqa: BLE001 - raised when all have ended
                errors.append(error)
                if self._ready and self._ready[0] is first:
                    return  # it cannot be resumed: there is no room on the stack

    def _go(self, is_nested: bool) -> bool:
        """Run until nothing is ready, or main has ended: True; False after a pause."""
        if self._is_running:
            raise FiberError(f"{self!r} is running")
        try:
            self._is_running = True
            return self._take_turns(is_nested)
        finally:
            self._is_running = False

    def _take_turns(self, is_nested: bool) -> bool:
        ready = self._ready
        while ready:
            task, value = ready[0], None
            try:
                ready.popleft()
                error = task._error
                if error is None:
                    value = task._value
                    task._value = None
                    # By the function, a task's frames lie on those of the fiber that runs the scheduler: it can be suspended, or saved, in a task.
                    answer = resume(task, value) if is_nested else _resume(task, value)
                else:
                    task._error = None
                    answer = resume(task, None, error) if is_nested else _throw(task, error)
            except BaseException as raised:
                if self._fail(task, raised, value):
                    raise
                answer = STAYS
            if answer is not STAYS and self._settle(task, answer):
                return answer is not _PAUSE
        return True

    def _settle(self, task: Task, answer: object) -> bool:
        """The task has ended, or suspended by something else than a function of this module. Is that all?"""
        try:
            task.result  # noqa: B018 - faster than to ask for the status
        except FiberError:
            return answer is _PAUSE or self._refuse(task)
        del self._tasks[task]
        if task._joiners is not None or task._group is not None:
            self._tell(task, answer)
        return task is self._main

    def _refuse(self, task: Task) -> bool:
        task._error = FiberError(
            f"suspend() in a task: nobody but its scheduler resumes {task!r}; schedule() gives up the turn, block() waits, and a Fiber"
            " within the task has a suspend of its own"
        )
        self._ready.appendleft(task)
        return False

    def _tell(self, task: Task, result: object) -> None:
        """Who waits for the end of the task hears of it."""
        if task._joiners is not None:
            error = None if task.exception is None else _of_joined(task)
            for joiner in task._joiners:
                joiner._value, joiner._error, joiner._waits = result, error, None
                joiner._ready.append(joiner)
            task._joiners = None
        if task._group is not None:
            task._group.end(task)

    def _fail(self, task: Task, error: BaseException, value: object) -> bool:
        """The task has ended by an exception, or could not be given the value. Does the exception leave through `run`?"""
        if task.status != "dead":  # somebody has interrupted the scheduler itself
            if task._waits is None and task not in self._ready:
                task._value = value
                self._ready.appendleft(task)
            return True
        if task._waits is not None:  # it was interrupted when it was about to wait
            take_back(task)
        task.exception = error
        is_awaited = task._joiners is not None or task._group is not None
        del self._tasks[task]
        self._tell(task, None)
        if isinstance(error, FiberExit):
            return task is self._main
        return not is_awaited or not isinstance(error, Exception)

    def __repr__(self) -> str:
        blocked = sum(task._waits is not None for task in self._tasks)
        return f"<Scheduler of {len(self._tasks)} tasks, {blocked} of them blocked>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a function as the first task of a new scheduler, until it has ended; its result.

    Tasks that are left then are killed: their `finally` blocks run. (As asyncio.run, and as Go does at the end of main.)
    `DeadlockError` when all tasks wait.

    >>> run(lambda: [spawn(pow, 2, n) for n in range(4)][3].join())
    8
    """
    with Scheduler() as scheduler:
        main = scheduler._main = scheduler.spawn(function, *args, **kwargs)
        is_nested = is_capturable()
        while main.status != "dead":
            scheduler._go(is_nested)
            if main.status != "dead" and not scheduler._ready:
                raise DeadlockError(describe_deadlock(scheduler._tasks), scheduler.tasks)
        return main.result
