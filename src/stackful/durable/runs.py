"""Start a script as a durable run, go on with one, look at one."""

from __future__ import annotations

import os
import sys
import time
from contextlib import ExitStack, closing

from stackful.durable.execution import Execution
from stackful.durable.folders import make_folder
from stackful.durable.instrument import compile_script
from stackful.durable.keys import keys_of_store, load_key
from stackful.durable.locks import RunLock, is_locked
from stackful.durable.names import checked_name, new_id
from stackful.durable.notices import notice
from stackful.durable.program import Script, absolute_path, read_script
from stackful.durable.sqlite import SqliteStore
from stackful.durable.state import Keeper
from stackful.durable.store import Checkpoint, Run, SavedState, Status, Store
from stackful.errors import (
    CodeChangedError,
    RunLockedError,
    RunNotFoundError,
    SealError,
    SnapshotFormatError,
    SnapshotVersionError,
    StackfulError,
    StoreError,
)

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike
    from typing import Literal

    from stackful.fibers import Fiber

    OnChange = Literal["refuse", "keep", "move"]

__all__ = [
    "NothingToResumeError",
    "Suspended",
    "as_it_is",
    "load_raw",
    "load_script",
    "load_suspended",
    "resume",
    "start",
]

_PYTHON = sys.version.partition(" ")[0]


class NothingToResumeError(RunNotFoundError):
    """The run has finished, or was never stored."""


class Suspended:
    """A run as it is stored, to be looked at; ``fiber`` and ``checkpoint`` are None when none is stored."""

    def __init__(
        self, run: Run, source: bytes, checkpoint: Checkpoint | None = None, fiber: Fiber | None = None
    ) -> None:
        self.run = run
        self.source = source
        self.checkpoint = checkpoint
        self.fiber = fiber


def start(
    store_path: str | PathLike[str], argv: Sequence[str], every: float | None = None, name: str | None = None
) -> Execution:
    """Make a script this process's program, as a new run.

    Args:
        store_path: the store; made if it is not there.
        argv: ``sys.argv``: the script, as the user named it, and its arguments.
        every: seconds between checkpoints that the script does not ask for; None for no such.
        name: the run's id; by default one is made from the script's name.

    Returns:
        What plays the script.

    Raises:
        ScriptError: there is no such script.
        SyntaxError: it does not compile.
        StoreError: the store cannot be used, or the name is taken.
    """
    filename = absolute_path(argv[0])
    script = Script(filename, read_script(filename), tuple(argv), every is not None)
    if os.fspath(store_path).startswith(("postgresql:", "postgres:")):
        raise StoreError(
            "the run of a script is kept in an SQLite file on its machine: name one with --store; runs of functions may be in PostgreSQL"
        )
    path = make_folder(store_path)
    with ExitStack() as undo:
        store = undo.enter_context(closing(SqliteStore(path)))
        keeper = Keeper(keys_of_store(store), store)
        run = _new_run(script, every, _id_for(filename, store) if name is None else checked_name(name))
        lock = RunLock(path, run.id)
        undo.callback(lock.release)
        store.add_run(run, script.source)
        undo.pop_all()
    script.install()
    return Execution(run, script, script.fiber(), store=store, keeper=keeper, lock=lock)


def resume(store_path: str | PathLike[str], run_id: str | None = None, on_change: OnChange = "refuse") -> Execution:
    """Make a stored run this process's program, suspended where its last checkpoint was.

    Args:
        store_path: the store.
        run_id: the run, or the beginning of its id; by default the newest that nobody is at work on.
        on_change: where the script, or code of a module that its frames stand in, has changed: "refuse"; "keep" to the code as it was; or
            "move" to the same statement of the new text, which then is the run's text: a checkpoint that belongs to it is stored at once.

    Returns:
        What plays the rest of the script, when told to with the value True.

    Raises:
        RunNotFoundError: there is no such run, or it has nothing to resume.
        RunLockedError: another process is at work on it.
        ScriptError, CodeChangedError: the script is gone, or is not what it was, and `on_change` does not help.
        SnapshotError: the checkpoint is damaged, sealed with another key, or of another Python.
        StoreError: the store cannot be used.
    """
    path = os.path.realpath(store_path)
    with ExitStack() as undo:
        store = undo.enter_context(closing(SqliteStore(path, create=False)))
        lock = RunLock(path, (store.run(run_id) if run_id else _newest_unfinished(path, store)).id)
        undo.callback(lock.release)
        run = store.run(lock.run_id)  # read again: only now nobody else changes it
        script, fiber, keeper = _load(path, store, run, on_change)
        run = run._replace(seq=store.checkpoints(run.id)[0].seq)
        store.set_status(run.id, Status.RUNNING)
        undo.pop_all()
    return Execution(run, script, fiber, store=store, keeper=keeper, lock=lock)


def load_suspended(store_path: str | PathLike[str], run_id: str) -> Suspended:
    """A run with its last checkpoint and its suspended fiber; the script is taken as it was when the run started.

    Raises:
        RunNotFoundError, SnapshotError, StoreError: as :func:`resume`.
    """
    path = os.path.realpath(store_path)
    with closing(SqliteStore(path, create=False)) as store:
        run = as_it_is(path, store.run(run_id))
        source, stored = store.source(run), store.checkpoints(run.id)
        if not stored:
            return Suspended(run, source)
        _check_version(run)
        script = Script(run.program, source, run.argv, run.every is not None)
        fiber = _load_checkpoint(script, Keeper(load_key(path), store), store, stored[0])
        return Suspended(run, source, stored[0], fiber)


def load_script(run: Run, before: bytes, on_change: OnChange = "refuse") -> Script:
    """The script of a run as it is now, or as `on_change` says; ``before`` is its text as it was.

    Raises:
        ScriptError, CodeChangedError: the script is gone, or is not what it was.
        SnapshotVersionError: the run belongs to another version of Python.
    """
    _check_version(run)
    return _script_of(run, before, on_change)


def load_raw(store_path: str | PathLike[str], run_id: str) -> tuple[Run, bytes, SavedState, tuple[bytes, ...] | None]:
    """A run, its script as it was when it started, its last checkpoint as bytes, and the store's keys if they can be read.

    Raises:
        RunNotFoundError: there is no such run, or it has no checkpoint.
        StoreError: the store cannot be used.
    """
    path = os.path.realpath(store_path)
    with closing(SqliteStore(path, create=False)) as store:
        run = as_it_is(path, store.run(run_id))
        stored = store.checkpoints(run.id)
        if not stored:
            raise NothingToResumeError(f"run {run.id} has no checkpoint that could be shown")
        try:
            keys = load_key(path)
        except StoreError:
            keys = None
        return run, store.source(run), store.load(stored[0]), keys


def _load(path: str, store: Store, run: Run, on_change: OnChange) -> tuple[Script, Fiber, Keeper]:
    """The newest checkpoint that is whole; one that has come to be of a new text is stored as such before anything runs."""
    stored = store.checkpoints(run.id)
    _check_resumable(run, stored)
    _check_version(run)
    keeper = Keeper(load_key(path), store)
    damage: StackfulError | None = None
    for checkpoint in stored:
        script = _script_of(run, store.source(run), on_change)
        try:
            fiber = _load_checkpoint(script, keeper, store, checkpoint)
        except (SealError, SnapshotFormatError) as error:
            damage = damage or error
            continue
        if damage:
            keeper.forget()
            notice(f"warning: the last checkpoint is damaged; going on from checkpoint {checkpoint.seq}: {damage}")
        if script.before is not None:
            from stackful.durable.records import Change

            state = keeper.save(script, fiber, keeper.progress)
            store.add_checkpoint(run.id, state, Change(source=script.source))
        return script, fiber, keeper
    raise damage or StoreError(f"run {run.id} has lost its checkpoints")


def _script_of(run: Run, before: bytes, on_change: OnChange) -> Script:
    """The script as it is now, which must be what it was, but for comments and the like; or as `on_change` says."""
    if on_change == "keep":
        return Script(run.program, before, run.argv, run.every is not None, on_change)
    source = read_script(run.program)
    try:
        script = Script(run.program, source, run.argv, run.every is not None, on_change)
    except SyntaxError as error:
        raise CodeChangedError(f"the script of run {run.id} was changed and no longer compiles: {error}") from error
    if source != before and on_change == "move":
        script.before = before
    elif source != before:
        from stackful.snapshot.changes import check_same_program  # only a changed script pays for it

        before_code = compile_script(before, run.program, run.every is not None)
        check_same_program(before_code, script.code, (before, source))
    return script


def _load_checkpoint(script: Script, keeper: Keeper, store: Store, checkpoint: Checkpoint) -> Fiber:
    state = store.load(checkpoint)
    script.install()
    keeper.load_environment(state)
    return keeper.load_program(script, state)


def _check_resumable(run: Run, stored: Sequence[Checkpoint]) -> None:
    if run.status is Status.FINISHED:
        raise NothingToResumeError(
            f"run {run.id} has finished with exit status {run.exit_status}; `stackful run` starts the script anew"
        )
    if run.status is Status.CANCELLED:
        raise NothingToResumeError(f"run {run.id} was cancelled; `stackful run` starts the script anew")
    if not stored:
        raise NothingToResumeError(
            f"run {run.id} has no checkpoint to go on from; `stackful run` starts the script anew, "
            "with --every or a call of checkpoint() it will have some"
        )


def _check_version(run: Run) -> None:
    minor = ".".join(run.python.split(".")[:2])
    if minor != f"{sys.version_info.major}.{sys.version_info.minor}":
        raise SnapshotVersionError(
            f"run {run.id} belongs to Python {minor}, this is {_PYTHON}; use python{minor} -m stackful"
        )


def _newest_unfinished(path: str, store: Store) -> Run:
    open_runs = [run for run in store.runs() if run.status in {Status.RUNNING, Status.INTERRUPTED}]
    free = [run for run in open_runs if not is_locked(path, run.id)]
    if not open_runs:
        raise NothingToResumeError(f"all runs in {path} have ended; `stackful ps` lists them")
    if not free:
        raise RunLockedError(f"every unfinished run in {path} is being worked on; `stackful ps` lists them")
    return free[0]


def as_it_is(path: str, run: Run) -> Run:
    """The store knows only that a run began; whether somebody is at work on it, the lock knows."""
    if run.status is Status.RUNNING and not is_locked(path, run.id):
        return run._replace(status=Status.INTERRUPTED)
    return run


def _id_for(filename: str, store: Store) -> str:
    return new_id(os.path.splitext(os.path.basename(filename))[0], {run.id for run in store.runs()})


def _new_run(script: Script, every: float | None, run_id: str) -> Run:
    cwd = os.getcwd()  # a plain string is what is stored
    return Run(run_id, script.filename, script.argv, cwd, every, _PYTHON, time.time())
