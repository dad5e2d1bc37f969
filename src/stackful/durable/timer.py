"""The timer behind ``--every``: one thread that says when the next checkpoint is due."""

from __future__ import annotations

import _thread
import time
from collections.abc import MutableMapping
from typing import Any

from stackful.durable.instrument import DUE

__all__ = ["Timer"]

# Where a check meets a barrier, it is worth asking again: a barrier is often short. But asking is not free, so after
# a burst of refusals the program runs unasked for a moment. Together: well below a tenth of the time.
_BURST = 500
_PAUSE = 0.05


class Timer:
    """Sets the name that instrumented code looks at, ``every`` seconds after it was last told to wait.

    The next period starts when a checkpoint is done, not when it became due: a program whose checkpoints take longer
    than the period still gets its share of the time.

    Args:
        namespace: the globals of the script.
        every: seconds between checkpoints.

    Example:
        >>> timer = Timer({}, every=5.0)
        >>> timer.start()
        >>> timer.stop()
    """

    def __init__(self, namespace: MutableMapping[str, Any], every: float) -> None:
        self._namespace = namespace
        self._every = every
        self._deadline = 0.0
        self._refusals = 0
        self._stop = _thread.allocate_lock()
        namespace[DUE] = None

    def start(self) -> None:
        """Start the thread, of the kind that ``threading`` does not know: a script may count its own threads."""
        self.rearm()
        self._stop.acquire()
        _thread.start_new_thread(self._watch, ())

    def rearm(self) -> None:
        """A checkpoint is done, or has failed: wait for a whole period."""
        self._wait(self._every)

    def refused(self) -> None:
        """A check came where nothing can be suspended."""
        self._refusals += 1
        if self._refusals >= _BURST:
            self._refusals = 0
            self._wait(_PAUSE)

    def stop(self) -> None:
        """End the thread; the name stays and says "not due", since functions of the script may still run."""
        self._deadline = float("inf")
        self._namespace[DUE] = None
        if self._stop.locked():
            self._stop.release()

    def forget(self) -> None:
        """In a forked child, where the thread is not: nothing will be due."""
        self._namespace[DUE] = None

    def _wait(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._namespace[DUE] = None

    def _watch(self) -> None:
        while not self._stop.acquire(timeout=self._sleep()):
            if time.monotonic() >= self._deadline:
                self._namespace[DUE] = True

    def _sleep(self) -> float:
        """Until the deadline; once that has passed, look now and then whether it was moved."""
        left = self._deadline - time.monotonic()
        return min(max(left, _PAUSE), _thread.TIMEOUT_MAX)
