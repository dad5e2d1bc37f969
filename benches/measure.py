"""Interleaved timing, and the rows of the table.

Contenders take turns within one process, a few milliseconds each, so that a slow moment of the machine hits all of them;
the median of the rounds is kept. Ratios are of medians from the same run.
"""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


class Timekeeper(Protocol):
    """A contender that looks at its own clock: it runs in another process, or not all that it does is measured."""

    def seconds(self, number: int, /) -> float:
        """What `number` operations took."""

    def close(self) -> None:
        """All turns are over."""


Contender = Callable[[int], object] | Timekeeper

TURNS = 20  # in a round; a shared machine changes its speed by half, for tens of milliseconds at a time


@dataclass(frozen=True)
class Row:
    """One line of the table: a measurement of ours beside another, and what was aimed at."""

    subject: str
    ours: str
    beside: str = ""
    ratio: float | None = None
    target: str = "none"
    is_met: bool | None = None


def clocked(contender: Contender, number: int) -> float:
    """Seconds of a turn."""
    if not callable(contender):
        return contender.seconds(number)
    start = time.perf_counter()
    contender(number)
    return time.perf_counter() - start


def interleaved(contenders: dict[str, Contender], number: int, rounds: int) -> dict[str, float]:
    """Seconds for one operation of each contender: the median over rounds of about `number` operations."""
    for contender in contenders.values():
        if callable(contender):
            contender(min(number, 1000))  # CPython specialises what it has run a few times
    turn = max(1, number // TURNS)
    turns = number // turn
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        gc.collect()
        spent = dict.fromkeys(contenders, 0.0)
        for _ in range(turns):
            for name, contender in contenders.items():
                spent[name] += clocked(contender, turn)
        for name, time_spent in spent.items():
            seconds[name].append(time_spent)
    for contender in contenders.values():
        if not callable(contender):
            contender.close()
    return {name: statistics.median(times) / (turn * turns) for name, times in seconds.items()}


def expect(what: object, wanted: object) -> None:
    """A benchmark of a wrong answer is worth nothing: checked before the clock starts, with -O too."""
    if what != wanted:
        raise AssertionError(f"expected {wanted!r}, got {what!r}")


def time_text(seconds: float) -> str:
    """A duration in the unit that a reader would choose."""
    for limit, factor, unit in ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.2f} s"


def at_most(subject: str, ours: float, other: float, name: str, limit: float | None = None) -> Row:
    """We take `ratio` times the other's time; fewer is better."""
    ratio = ours / other
    target = f"≤ {limit:g}x" if limit else "none"
    beside = f"{name} {time_text(other)}"
    return Row(subject, time_text(ours), beside, ratio, target, ratio <= limit if limit else None)


def at_least(subject: str, ours: float, other: float, name: str, limit: float | None = None) -> Row:
    """We are `ratio` times faster than the other; more is better."""
    ratio = other / ours
    target = f"≥ {limit:g}x faster" if limit else "none (times faster)"
    beside = f"{name} {time_text(other)}"
    return Row(subject, time_text(ours), beside, ratio, target, ratio >= limit if limit else None)


def missing(subject: str, ours: str, peer: str, target: str = "none") -> Row:
    """The other is not here to be measured."""
    return Row(subject, ours, f"{peer} not installed", None, target)
