"""Which run the code of this thread belongs to. No frame may hold it in a local, or a run would be stored with what drives it."""

from __future__ import annotations

from _thread import _local
from collections import namedtuple
from contextvars import ContextVar

from stackful import _core
from stackful.errors import BarrierError, FiberError
from stackful.fibers import current

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from typing import Any, Protocol

    from stackful.durable.store import Store
    from stackful.durable.telemetry import Telemetry
    from stackful.fibers import Fiber
else:
    Protocol = object

__all__ = ["Driver", "Drives", "Step", "check_capturable", "elsewhere", "here", "host"]


class Drives(Protocol):
    """What the operations need of whoever drives runs: an Engine, or the process of a script."""

    version: str
    telemetry: Telemetry | None

    @property
    def store(self) -> Store:
        """Where the runs are."""

    def seal(self, run_id: str, value: object) -> bytes:
        """A value for this run, as bytes that only who has the store's key can make."""

    def unseal(self, run_id: str, data: bytes) -> Any:
        """What `seal` was given."""


class Driver(Protocol):
    """What the operations need of whoever drives this run.

    Attributes:
        id: the run's.
        seq: the number of its last state.
        steps: how many steps it has behind it.
        begun: the number of the step that has begun last: one that failed keeps it, and the next one gets another, and another key.
        is_in_step: a step's function is running.
        step, key, attempt: of that step, or of the last one.
        handled: the exception that is handled in the coroutine which suspends; None elsewhere.
    """

    id: str
    seq: int
    steps: int
    begun: int
    is_in_step: bool
    step: str
    key: str | None
    attempt: int
    handled: BaseException | None

    @property
    def fiber(self) -> Fiber | None:
        """Whose suspensions are requests."""

    @property
    def drives(self) -> Drives:
        """Who drives it."""


_STEP = namedtuple("_STEP", ["run", "number", "name", "attempt", "key"])  # noqa: PYI024 - typing is slow to load


class Step(_STEP):
    """The step whose function is running.

    Attributes:
        run: the run's id.
        number: which step of the run it is, from 1 on.
        name: the function's name, or the one that was given.
        attempt: from 1 on.
        key: the same for every attempt, also after a crash: for services that drop duplicates.
    """

    __slots__ = ()

    run: str
    number: int
    name: str
    attempt: int
    key: str


class _Here(_local):
    """The run that this thread is driving."""

    driver: Driver | None = None


here = _Here()

elsewhere: ContextVar[Step | None] = ContextVar("elsewhere", default=None)
"""The step whose function runs in this context, in another thread than its run's."""


def host(operation: str) -> Fiber:
    """The fiber to be suspended to for an operation of the run that this code belongs to.

    Raises:
        FiberError: this is no code of a run, or a step's function.
        BarrierError: this is another fiber, which the run resumed by its method.
    """
    driver = here.driver
    if driver is None:
        raise FiberError(
            f"{operation}() is for the code of a durable run: start a function marked with @durable.run, or a script by `stackful run`"
            " (and call it in the run's own thread)"
        )
    if driver.is_in_step:
        raise FiberError(
            f"{operation}() was called within the step {driver.step!r}, which is recorded as one: call it outside of the step"
        )
    fiber = driver.fiber
    if fiber is None or _core.host() is not fiber:
        raise _in_the_way(operation)
    return fiber


def _in_the_way(operation: str) -> BarrierError:
    place = "a fiber that the run resumed by its method" if current() is not None else "code that is not the run's"
    return BarrierError(
        f"{operation}() stores the run's own call stack, but was called in {place}; resume such fibers by stackful.resume(fiber)"
    )


def check_capturable(operation: str) -> None:
    """Refuse before anything has happened what could not be stored afterwards."""
    driver = here.driver
    if driver is not None and _core.host() is not driver.fiber:
        raise _in_the_way(operation)
