"""What the code of a run asks of whoever drives it: each is what its fiber suspends with. None is ever part of a stored state."""

from __future__ import annotations

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from stackful.durable.records import NewRun, NewSignal

__all__ = [
    "DONE",
    "Abort",
    "AwaitRuns",
    "Begin",
    "CancelRuns",
    "Commit",
    "Done",
    "Receive",
    "Request",
    "Resolve",
    "Sleep",
    "Submit",
    "Transact",
]


class Request:
    """A request. What follows from it is stored with the state in which the fiber is suspended, unless said otherwise."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Done(Request):
    """A step is done: commit the state, then go on. The answer is None."""

    __slots__ = ()


DONE = Done()


class Commit(Request):
    """Commit these things with the state. The answer is None."""

    __slots__ = ("attributes", "runs", "signals")

    def __init__(
        self,
        runs: Sequence[NewRun] = (),
        signals: Sequence[NewSignal] = (),
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self.runs, self.signals, self.attributes = tuple(runs), tuple(signals), attributes


class Sleep(Request):
    """Go on at this time of the store's clock, not earlier. The answer is None."""

    __slots__ = ("is_retry", "wake")

    def __init__(self, wake: float, is_retry: bool = False) -> None:
        self.wake, self.is_retry = wake, is_retry


class Receive(Request):
    """Wait for a signal. The answer: ``(value,)``; ``()`` when the time is up; None: ask again."""

    __slots__ = ("name", "question", "until")

    def __init__(self, name: str, until: float | None, question: str | None = None) -> None:
        self.name, self.until, self.question = name, until, question


class AwaitRuns(Request):
    """Wait until all of these runs have ended, or one has ended without success. The answer: outcomes; ``()`` when the time is up; None: ask again."""

    __slots__ = ("run_ids", "until")

    def __init__(self, run_ids: tuple[str, ...], until: float | None = None) -> None:
        self.run_ids, self.until = run_ids, until


class Resolve(Request):
    """Which run has this id, or else this dedup key? The answer is its id. Nothing is stored."""

    __slots__ = ("dedup", "run_id")

    def __init__(self, run_id: str, dedup: str) -> None:
        self.run_id, self.dedup = run_id, dedup


class CancelRuns(Request):
    """Ask for the end of these runs. The answer is None. Nothing is stored: asking again changes nothing."""

    __slots__ = ("run_ids",)

    def __init__(self, run_ids: Sequence[str]) -> None:
        self.run_ids = tuple(run_ids)


class Submit(Request):
    """Call this elsewhere: in an executor, or, a coroutine function, in an event loop. The answer is its result; nothing is stored meanwhile.

    Attributes:
        executor: has ``submit(function, *args, **kwargs)``, which returns a future; None: a thread of the driver's, or its event loop.
        timeout: seconds until it is given up with TimeoutError.
    """

    __slots__ = ("args", "executor", "function", "keywords", "timeout")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        keywords: Mapping[str, Any],
        executor: Any,
        timeout: float | None,
    ) -> None:
        self.function, self.args, self.keywords = function, args, keywords
        self.executor, self.timeout = executor, timeout


class Begin(Request):
    """Begin a transaction of the store. The answer is its connection. Then comes `Transact`, or `Abort`."""

    __slots__ = ()


class Abort(Request):
    """Roll the transaction back, for this error. The answer is None, or another error is raised that says more."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Transact(Request):
    """Commit the state in the transaction that was begun, with all that was done in it. The answer is None."""

    __slots__ = ()
