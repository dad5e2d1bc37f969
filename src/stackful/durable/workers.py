"""A process that does nothing but drive runs: until it is told to end, and then without anything being lost, repeated or left waiting."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from stackful.durable.connections import connect
from stackful.durable.functions import known_programs
from stackful.durable.program import ScriptError
from stackful.durable.warm import warm_up
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from stackful.durable.engine import Engine

__all__ = ["load_modules", "work"]

_log = logging.getLogger("stackful.durable")

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def load_modules(modules: Sequence[str]) -> list[str]:
    """Import modules, as ``python -m`` finds them; the names of the functions that are marked with ``@durable.run`` then.

    Raises:
        ScriptError: one is not to be found, or there is no marked function in them.
    """
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for module in modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ScriptError(f"the module {module} cannot be imported: {error}; {_way_out(module)}") from error
        except SyntaxError:
            raise  # says itself where
        except Exception as error:
            kind, place = type(error).__name__, traceback.extract_tb(error.__traceback__)[-1]
            raise ScriptError(
                f"the module {module} cannot be imported: {kind}: {error} ({place.filename}:{place.lineno})"
            ) from error
    found = known_programs()
    if not found:
        raise ScriptError(
            f"no function in {', '.join(modules)} is marked with @durable.run: there is nothing to work on"
        )
    return found


def _way_out(module: str) -> str:
    if module.endswith(".py"):
        return f"give its name, {module.removesuffix('.py').replace(os.sep, '.')}, not its file"
    return "is its folder on PYTHONPATH?"


def work(
    store: str | None,
    modules: Sequence[str],
    *,
    concurrency: int = 1000,
    threads: int = 32,
    queues: Sequence[str] | None = None,
    patience: float = 30.0,
    lease: float | None = None,
) -> int:
    """Drive the runs of these modules' functions until SIGTERM or SIGINT comes; then drain.

    The first signal ends it as `Engine.drain` says; a second one does not wait for the steps in flight.

    Args:
        store: the store, as for `connect`.
        modules: where the functions are.
        concurrency: how many runs may be under way here at once.
        threads: how many may be inside of their own code at once.
        queues: take only runs of these queues.
        patience: seconds to wait for steps in flight at the end.
        lease: as for `connect`.

    Returns:
        How many steps were still in flight at the end, and are done again elsewhere.

    Raises:
        ScriptError: as from `load_modules`.
        StoreError: the store cannot be used.
    """
    programs = load_modules(modules)
    warm_up()
    with (
        _signals() as signals,
        connect(
            store, threads=threads, concurrency=concurrency, programs=programs, queues=queues, lease=lease
        ) as engine,
    ):
        _log.info("%s takes up runs of %s in %s", engine.worker, ", ".join(programs), engine.store.path)
        signals.wait()
        _log.info("%s takes up no more runs; under way: %d", engine.worker, len(engine.active))
        left = _drain(engine, patience, signals)
    if left:
        _log.warning("steps that were still in flight: %d; they are done again elsewhere", left)
    return left


def _drain(engine: Engine, patience: float, signals: _Signals) -> int:
    """In a thread, so that a second signal is heard meanwhile."""
    left: list[int] = []

    def drain() -> None:
        try:
            left.append(engine.drain(patience))
        except StoreError as error:
            _log.warning("the store cannot be told that this worker ends: %s", error)
        finally:
            signals.wake()

    threading.Thread(target=drain, name="stackful-drain", daemon=True).start()
    signals.wait()
    return left[0] if left else len(engine.active)


class _Signals:
    """Waits for a signal. The system may hand one to any thread, and only the main thread runs Python's handlers: so a pipe wakes it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._writer, False)

    def wait(self) -> None:
        os.read(self._reader, 1)

    def wake(self) -> None:
        os.write(self._writer, b"!")

    def file(self) -> int:
        return self._writer

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    file = signal.set_wakeup_fd(signals.file(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in _SIGNALS}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(file)
        signals.close()
