"""A run as others see it: its id, and what can be asked by it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from stackful.durable.connections import current_engine
from stackful.durable.contexts import here, host
from stackful.durable.requests import AwaitRuns, CancelRuns
from stackful.durable.store import Status
from stackful.errors import RunFailedError
from stackful.fibers import suspend_to

if TYPE_CHECKING:
    from stackful.durable.engine import Engine
    from stackful.durable.records import Outcome
    from stackful.durable.store import Run, Store

__all__ = ["Handle", "error_of", "result_of"]

_T_co = TypeVar("_T_co", covariant=True)


class Handle(Generic[_T_co]):
    """A run, by its id. Handles can be stored, sent, compared, and made from an id: ``Handle("order-k3f9")``.

    Args:
        run_id: the run's id.

    Attributes:
        id: the same.
    """

    __slots__ = ("id",)

    def __init__(self, run_id: str) -> None:
        self.id = run_id

    def result(self, timeout: float | None = None) -> _T_co:
        """What the run returns: within a run waits durably, elsewhere blocks.

        Raises:
            RunFailedError: it failed, or was cancelled.
            TimeoutError: that many seconds were not enough.
        """
        return result_of(self._outcome(timeout))  # type: ignore[no-any-return]

    def wait(self, timeout: float | None = None) -> Status:
        """Wait as `result` does, but only for the end; how it ended."""
        return self._outcome(timeout).status

    @property
    def status(self) -> Status:
        """How the run stands now."""
        return _store().outcomes([self.id])[0].status

    @property
    def run(self) -> Run:
        """The run's record."""
        return _store().run(self.id)

    def cancel(self) -> None:
        """Ask for its end: `RunCancelled` is raised where it is suspended. Harmless if it has ended."""
        if here.driver is None or here.driver.is_in_step:
            _engine().store.cancel(self.id)
        else:
            suspend_to(host("cancel"), CancelRuns([self.id]))

    def _outcome(self, timeout: float | None) -> Outcome:
        if here.driver is None or here.driver.is_in_step:
            return _engine().wait(self.id, timeout)
        until = None if timeout is None else here.driver.drives.store.now() + timeout
        while True:
            outcomes = suspend_to(host("result"), AwaitRuns((self.id,), until))
            if outcomes == ():
                raise TimeoutError(f"run {self.id} has not ended within {timeout} seconds")
            if outcomes is not None:
                return outcomes[0]  # type: ignore[no-any-return]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Handle) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __reduce__(self) -> tuple[Any, ...]:
        return Handle, (self.id,)

    def __repr__(self) -> str:
        return f"Handle({self.id!r})"


def _engine() -> Engine:
    return current_engine()


def _store() -> Store:
    """The store of the run that this code belongs to, else the one that is connected."""
    return current_engine().store if here.driver is None else here.driver.drives.store


def result_of(outcome: Outcome) -> Any:
    """The result of a run that has finished; RunFailedError for one that has not."""
    if outcome.status is not Status.FINISHED:
        raise error_of(outcome)
    return None if outcome.result is None else _unsealed(outcome)


def error_of(outcome: Outcome) -> RunFailedError:
    """What those are told who waited for a run that failed, or was cancelled."""
    text = (outcome.error or "").rstrip()
    last = text.rpartition("\n")[2] or "no reason was recorded"
    error = RunFailedError(
        f"run {outcome.run} {_verb(outcome.status)}: {last}", outcome.run, outcome.status.value, text
    )
    if outcome.result is not None:
        try:
            error.__cause__ = _unsealed(outcome)
        except Exception:  # noqa: BLE001 - an exception's own class may do anything when it is made again; the text says it all
            pass
    return error


def _verb(status: Status) -> str:
    return {Status.FAILED: "failed", Status.CANCELLED: "was cancelled"}.get(status, f"is {status.value}")


def _unsealed(outcome: Outcome) -> Any:
    drives = here.driver.drives if here.driver is not None else _engine()
    return drives.unseal(outcome.run, outcome.result or b"")
