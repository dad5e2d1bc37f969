"""What a worker does once before it takes up runs, so that no run waits for it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from stackful import stackmap
from stackful.durable import operations
from stackful.durable.active import ActiveRun
from stackful.durable.contexts import here
from stackful.durable.engine import Engine
from stackful.durable.functions import find, known_programs
from stackful.durable.records import Change, NewSignal, Save
from stackful.durable.services import SERVICES
from stackful.durable.starting import new_run_of
from stackful.durable.store import Status
from stackful.errors import StackfulError
from stackful.fibers import Fiber
from stackful.snapshot.allowed import allowed_of

__all__ = ["warm_up"]

_log = logging.getLogger("stackful.durable")

# The operations that runs wait in for long, or are found in when their process has died.
_OPERATIONS = ("step", "wait_signal", "sleep", "ask", "gather")
# So many functions of the program are looked at: each takes about a millisecond.
_MOST = 32
_RUN, _SIGNAL, _NOBODY = "rehearsal", "go on", "nobody"


def warm_up() -> None:
    """Take a run through its life in a store in memory, and follow the bytecode that restored frames will stand in.

    All that it needs is then loaded; what is done for the first time takes several times as long, milliseconds together.
    """
    _rehearse()
    for name in (*_OPERATIONS, *known_programs()[:_MOST]):
        try:
            _look_at(find(name) if ":" in name else getattr(operations, name))
        except (StackfulError, ImportError, AttributeError, ValueError):
            _log.debug("%s cannot be looked at; who restores a frame of it is told", name, exc_info=True)


def _look_at(function: Callable[..., Any]) -> None:
    """Find out what whoever restores a frame of a function has to know: what is found on the way is kept."""
    allowed_of(None).check(function.__module__, function.__qualname__)
    stackmap.locals_needed(function.__code__, 0)


def _life() -> None:
    """What the run does."""
    operations.wait_signal(_SIGNAL)
    operations.step(int)


def _rehearse() -> None:
    driver = here.driver
    try:
        from stackful.durable import folders, keys  # noqa: F401 - they are needed with the true store
        from stackful.durable.sqlite import SqliteStore, wakeups  # noqa: F401

        with Engine(SqliteStore(":memory:"), os.urandom(32)) as engine:
            _perform(engine)
    except Exception:  # noqa: BLE001 - whatever is wrong here, and matters, is wrong with the next run as well, which tells
        _log.debug("the rehearsal of a run failed", exc_info=True)
    finally:
        here.driver = driver


def _perform(engine: Engine) -> None:
    """The run waits for a signal, is stored, claimed, loaded, goes on, makes a step, and ends."""
    store, new = engine.store, new_run_of(engine, "", (), {}, _RUN)
    store.add_runs([new], _NOBODY)
    run = ActiveRun(new.run, 1, engine, engine.seals)
    run.fiber = Fiber(_life)
    store.commit([_next(run, Change(Status.WAITING, waits=f"signal:{_SIGNAL}"))])
    store.send([NewSignal(_RUN, _SIGNAL, engine.seal(_RUN, None))])
    store.recover()
    run = engine.active_run(store.claim(_NOBODY, 1)[0])
    run.load()
    here.driver = run
    request = run.go()
    SERVICES[type(request)](engine, run, request)
    store.commit([_next(run)])
    run.go()
    store.commit([run.last_state(Change(Status.FINISHED))])


def _next(run: ActiveRun, change: Change | None = None) -> Save:
    """Go on with the run to its next request, and make its state."""
    here.driver = run
    run.go()
    return run.next_state(change)
