"""Where a failed run is gone on from: before the step that failed, also where `except` and `finally` have taken steps since.

The first state that is stored while an exception is handled carries the state before it along, as bytes, and the exception that it was raised
before. So do the next ones, until the code has caught it and goes on. If that exception is the end of the run, or one that was raised ``from``
it, the state before becomes the run's last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from stackful import snapshot
from stackful.durable.large import LargeValues
from stackful.errors import RunCancelled, StackfulError
from stackful.snapshot.format import HAS_PARTS, head_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from stackful.durable.records import State
    from stackful.durable.seals import Seals
    from stackful.durable.store import Store

__all__ = ["Before", "note", "reason"]

# Handlers within handlers, of different exceptions: each state before carries those before it.
_MOST = 4
# As many of those that were being handled when one was raised.
_CONTEXTS = 8


class Before(NamedTuple):
    """The state before an exception was raised: part of the states that are stored while that is handled.

    Attributes:
        errors: the exception, and those during whose handling it was raised, which may go on when it has been handled.
        seq, steps, step, line, data: of that state; seq is 0, and data empty, where the run had only begun.
        digests: the large values that it needs.
    """

    errors: tuple[BaseException, ...]
    seq: int
    steps: int = 0
    step: str = ""
    line: str = ""
    data: bytes = b""
    digests: tuple[bytes, ...] = ()


def note(
    before: list[Before], handled: BaseException | None, store: Store, seals: Seals, run_id: str, seq: int
) -> None:
    """A state of a run is about to be stored, after that of number `seq`: keep account of what is handled in it. Outer handlers come first."""
    if handled is None or isinstance(handled, RunCancelled):  # which nobody tries again
        before.clear()
        return
    known = _find(before, handled)
    if known is not None:
        del before[known + 1 :]
        return
    try:
        state = store.state(run_id) if seq else None
        if state is None or state.seq == seq:
            before.append(_before(_raised(before, handled), state, store, seals))
            del before[:-_MOST]
    except StackfulError:
        pass  # the run can still be gone on with from where it will stand then


def reason(before: Sequence[Before], error: BaseException) -> Before | None:
    """The state before that which ends a run was raised, if it is not the run's last one anyway."""
    known = _find(before, error)
    return None if known is None else before[known]


def _find(before: Sequence[Before], error: BaseException) -> int | None:
    """An exception is known by itself, by what it was raised from, and by what is in it, where it is a group."""
    sought = {id(part) for cause in _causes(error) for part in _parts(cause)} if before else set()
    for place in reversed(range(len(before))):
        if any(id(part) in sought for error in before[place].errors for part in _parts(error)):
            return place
    return None


def _raised(before: Sequence[Before], handled: BaseException) -> tuple[BaseException, ...]:
    """What has been raised since the last state, as far as it can be seen."""
    found: list[BaseException] = []
    error: BaseException | None = handled
    while error is not None and len(found) < _CONTEXTS and _find(before, error) is None:
        found.append(error)
        error = error.__context__
    return tuple(found)


def _before(errors: tuple[BaseException, ...], state: State | None, store: Store, seals: Seals) -> Before:
    if state is None:
        return Before(errors, 0)
    data = state.data or b""
    return Before(errors, state.seq, state.steps, state.step, state.line, data, _digests_of(data, store, seals))


def _digests_of(data: bytes, store: Store, seals: Seals) -> tuple[bytes, ...]:
    """The large values that a state needs."""
    if not head_of(data).flags & HAS_PARTS:
        return ()
    return tuple(snapshot.references(data, key=seals.keys, blobs=LargeValues(store).history))


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: Any = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__


def _parts(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _parts(part)
