"""The timer behind ``--every``: one thread that says when the next checkpoint is due."""

from __future__ import annotations

import _thread
import os
import time

from stackful.durable.instrument import DUE

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from typing import Any

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
        self._thread: _Thread | None = None
        self._is_halted = False
        namespace[DUE] = None

    def start(self) -> None:
        """Start the thread."""
        self.rearm()
        self._thread = _Thread(self._tick)

    def rearm(self) -> None:
        """A checkpoint is done, or has failed: wait for a whole period."""
        self._wait(self._every)

    def refused(self) -> None:
        """A check came where nothing can be suspended."""
        self._refusals += 1
        if not self.revive() and self._refusals >= _BURST:
            self._refusals = 0
            self._wait(_PAUSE)

    def stop(self) -> None:
        """End the thread; the name stays and says "not due", since functions of the script may still run."""
        thread, self._thread = self._thread, None
        if thread:
            thread.end()
        self._namespace[DUE] = None

    def halt(self) -> None:
        """Before a fork: a process with a second thread would be warned that forking it is not safe."""
        self._is_halted = self._is_halted or self._thread is not None
        self.stop()

    def wake(self) -> None:
        """After a fork, in the parent: the fork is not quite over, so the next check starts the thread again."""
        if self._is_halted:
            self._namespace[DUE] = True

    def revive(self) -> bool:
        """Start the thread again if a fork halted it; True if the flag was up for that reason."""
        if self._is_halted:
            self._is_halted = False
            self.start()
            return True
        return False

    def forget(self) -> None:
        """After a fork, in the child: nothing will be due."""
        self._is_halted = False
        self._namespace[DUE] = None

    def _wait(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._namespace[DUE] = None

    def _tick(self) -> float:
        """Look at the clock; how long to sleep then. When time is up, look now and then whether the deadline moved."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            self._namespace[DUE] = True
        return max(left, _PAUSE)


class _Thread:
    """A thread of the kind that ``threading`` does not know: a script may count its own threads.

    Args:
        tick: called again and again; returns the seconds until the next time.
    """

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._id = 0
        self._stop = _thread.allocate_lock()
        self._over = _thread.allocate_lock()
        self._stop.acquire()
        self._over.acquire()
        _thread.start_new_thread(self._run, ())

    def end(self) -> None:
        """End it, and wait until the system, too, has seen it end."""
        self._stop.release()
        self._over.acquire()
        while os.path.exists(f"/proc/self/task/{self._id}"):  # no Path on the way to a fork
            time.sleep(0.0001)

    def _run(self) -> None:
        self._id = _thread.get_native_id()
        while not self._stop.acquire(timeout=min(self._tick(), _thread.TIMEOUT_MAX)):
            pass
        self._over.release()
