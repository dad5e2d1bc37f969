"""What a checkpoint holds, besides the script's fiber, and how it is put back."""

from __future__ import annotations

import importlib.util
import os
import sys

from stackful.durable.store import SavedState
from stackful.errors import StoreError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from stackful.durable.large import LargeValues
    from stackful.durable.program import Script
    from stackful.durable.store import Store
    from stackful.fibers import Fiber
    from stackful.snapshot import Finding, Program

__all__ = ["Keeper"]

# stackful.snapshot is loaded by the first checkpoint: a script that runs to its end without one does not pay for it.

_STREAMS = ("stdin", "stdout", "stderr")


class Keeper:
    """Turns a suspended script into bytes and back; knows the key, and the variables that the process began with.

    Args:
        key: the key that seals the bytes, or several, the newest first.
        store: where the large values of states are; None where nothing is stored.

    Example:
        >>> state = Keeper(key).save(script, fiber)  # doctest: +SKIP
        >>> fiber = Keeper(key).load_program(script, state)  # doctest: +SKIP
    """

    def __init__(self, key: bytes | tuple[bytes, ...], store: Store | None = None) -> None:
        self.key = key
        self._store = store
        self._large: LargeValues | None = None
        self.progress: dict[str, Any] = {}
        self._variables = dict(os.environ)

    def save(self, script: Script, fiber: Fiber, progress: dict[str, Any] | None = None) -> SavedState:
        """The state of a program whose fiber is suspended; and how far it is, as `progress` will say after loading.

        Raises:
            UnsaveableError: the program refers to a value that cannot be stored.
        """
        from stackful.snapshot import dumps
        from stackful.snapshot.reconnectors import registered

        program = _program(script)
        state = {"fiber": fiber, "globals": script.globals(), "streams": _streams(), "random": _random_state()}
        state["progress"] = progress or {"answer": True}
        state["reconnectors"] = registered()  # the script does not run again, and would not register them
        environment = dumps(self._environment(), key=self.key)
        large = self._large
        history = None if large is None else large.begin()
        how = None if large is None or history is None else large.compression
        data = dumps(state, key=self.key, program=program, blobs=history, compression=how)
        if large is None:
            self._share(data)
            return SavedState(environment, data)
        return SavedState(environment, data, *large.changes(data))

    def _share(self, data: bytes) -> None:
        """The states that come share what is large in them, if they are likely to be large as well."""
        from stackful.durable.large import LEAST, LargeValues

        if self._store is not None and len(data) >= LEAST:
            self._large = LargeValues(self._store)

    def forget(self) -> None:
        """The last state has not been stored, or is not the one that is gone on from: what it shared is not there."""
        if self._large is not None:
            self._large.forget()

    def load_environment(self, state: SavedState) -> None:
        """Bring the process into the surroundings that the program was in: its modules must be found again.

        Raises:
            SealError: the bytes are not those that were stored.
            StoreError: the working directory is gone.
        """
        from stackful.snapshot import loads

        saved = loads(state.environment, key=self.key)
        _enter(saved["cwd"])
        sys.path[:] = saved["path"] + [entry for entry in sys.path if entry not in saved["path"]]
        sys.setrecursionlimit(saved["recursion_limit"])
        _set_variables(saved["variables"])

    def load_program(self, script: Script, state: SavedState) -> Fiber:
        """The suspended fiber, with all it refers to; ``script`` gets its globals back.

        Raises:
            SealError: the bytes are not those that were stored.
            CodeChangedError: the script is not what it was.
            SnapshotError: the bytes cannot be understood by this Python.
        """
        from stackful.durable.large import large_values_of
        from stackful.snapshot import loads

        program = _program(script)
        large = None if self._store is None else large_values_of(self._store, self.key, state.program)
        history = None if large is None else large.history
        saved = loads(state.program, key=self.key, program=program, on_change=script.on_change, blobs=history)
        if large is not None:
            large.loaded()
        self._large = large
        if program.before is not None:
            _check_globals(program, saved)
        script.set_globals(saved["globals"])
        for name, stream in saved["streams"].items():
            setattr(sys, name, stream)
        _set_random_state(saved["random"])
        self.progress = saved.get("progress", {"answer": True})
        for reconnector in saved["reconnectors"]:
            reconnector.register()
        fiber: Fiber = saved["fiber"]
        return fiber

    def check(self, script: Script, state: SavedState) -> list[Finding]:
        """What speaks against going on with the code that is here now; nothing is rebuilt.

        Raises:
            SealError, SnapshotFormatError: the bytes are not those that were stored.
        """
        from stackful.durable.large import LargeValues
        from stackful.snapshot import check_code

        history = None if self._store is None else LargeValues(self._store).history
        return check_code(
            state.program, key=self.key, program=_program(script), on_change=script.on_change, blobs=history
        )

    def _environment(self) -> dict[str, Any]:
        return {
            "cwd": os.getcwd(),  # a plain string is what is stored
            "path": list(sys.path),
            "recursion_limit": sys.getrecursionlimit(),
            "variables": self._changed_variables(),
        }

    def _changed_variables(self) -> dict[str, str | None]:
        """What the program did to ``os.environ``; the rest belongs to the shell that resumes it."""
        changed: dict[str, str | None] = dict.fromkeys(self._variables.keys() - os.environ.keys())
        changed |= {name: value for name, value in os.environ.items() if self._variables.get(name) != value}
        return changed


def _program(script: Script) -> Program:
    from stackful.snapshot import Program

    if script.before is None:
        return Program(script.module, script.code)
    from stackful.durable.instrument import add_checks, compile_script
    from stackful.snapshot.editions import Edition

    instrument = add_checks if script.every else None
    before, now = (
        Edition(importlib.util.decode_source(text), code, instrument)
        for text, code in (
            (script.before, compile_script(script.before, script.filename, script.every)),
            (script.source, script.code),
        )
    )
    return Program(script.module, script.code, False, before, now)


def _check_globals(program: Program, saved: dict[str, Any]) -> None:
    from stackful.snapshot.changes import check_globals

    given = {*saved["globals"], *vars(program.module)}
    for frame in saved["fiber"].frames:
        if frame.code is program.code:
            check_globals(program, given, frame.offset)


def _enter(cwd: str) -> None:
    try:
        os.chdir(cwd)
    except OSError as error:
        raise StoreError(
            f"the run's working directory {cwd} cannot be entered: {error.strerror}; make it again"
        ) from error
    # Some entries of sys.path are relative to it, and what importers remember may be out of date.
    sys.path_importer_cache.clear()


def _set_variables(changed: Mapping[str, str | None]) -> None:
    for name, value in changed.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _streams() -> dict[str, Any]:
    """The standard streams that the script replaced."""
    return {name: getattr(sys, name) for name in _STREAMS if getattr(sys, name) is not getattr(sys, f"__{name}__")}


def _random_state() -> dict[str, Any]:
    """The state of the generators behind the functions of `random` and `numpy.random`."""
    random, numpy = sys.modules.get("random"), sys.modules.get("numpy.random")
    state = {} if random is None else {"random": random.getstate()}
    return state if numpy is None else {**state, "numpy": numpy.get_state()}


def _set_random_state(state: Mapping[str, Any]) -> None:
    if "random" in state:
        import random  # only programs that use it pay for it

        random.setstate(state["random"])
    if "numpy" in state:
        importlib.import_module("numpy.random").set_state(state["numpy"])
