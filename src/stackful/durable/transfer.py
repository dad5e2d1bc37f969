"""Runs of functions as files, to be taken to another store. Nothing of them is unpickled on either side."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from stackful import snapshot
from stackful.durable.inspect import state_with_values
from stackful.durable.large import checked
from stackful.durable.names import checked_name
from stackful.durable.records import NewRun, NewSignal, State
from stackful.durable.seals import Seals
from stackful.durable.store import ENDED, Run, Status
from stackful.errors import SnapshotFormatError, StoreError
from stackful.keyfiles import read_key_file
from stackful.snapshot.blobs import Stored

if TYPE_CHECKING:
    from os import PathLike

    from stackful.durable.engine import Engine

__all__ = ["export_run", "import_run"]

_PLACE = "an exported run"
_KEPT = ("program", "python", "queue", "priority", "deadline", "attributes", "version", "history", "created")


def export_run(engine: Engine, run: Run) -> bytes:
    """A run with its last state, its arguments and the signals that wait for it, sealed with the keys of its store.

    Raises:
        StoreError: it is a script's, or has ended well.
    """
    if run.kind == "script":
        raise StoreError(
            f"{run.id} is the run of a script, which is bound to its file and folder: copy those, and the store with its key"
        )
    if run.status in ENDED - {Status.FAILED}:
        raise StoreError(f"{run.id} is {run.status.value}: there is nothing of it that could go on")
    state, large = engine.store.state(run.id), None
    if state is not None:
        state, large = state_with_values(engine.store, engine.seals, run.id)
    content = {
        "id": run.id,
        "run": {name: getattr(run, name) for name in _KEPT},
        "arguments": engine.store.arguments(run.id),
        "state": None if state is None else (state.seq, state.steps, state.step, state.line, state.taken, state.data),
        "blobs": {} if large is None else large.blobs.found,
        "signals": [(signal.name, signal.payload) for signal in engine.store.signals(run.id)],
    }
    return engine.seals.seal(_PLACE, content)


def import_run(
    engine: Engine, data: bytes, key_file: str | PathLike[str] | None = None, name: str | None = None
) -> str:
    """Add an exported run to a store, due at once; its id.

    Args:
        engine: of the store.
        data: what `export_run` gave.
        key_file: the keys of the store that it comes from; None: of this one.
        name: its new id; by default the one that it had.

    Raises:
        SealError: it was sealed with another key. Nothing was unpickled.
        SnapshotVersionError: by another Python.
        StoreError: the id is taken.
    """
    origin = engine.seals if key_file is None else Seals(read_key_file(key_file))
    content = origin.unseal(_PLACE, data)
    if not isinstance(content, dict) or "arguments" not in content:
        raise SnapshotFormatError("this is no exported run")
    run_id = content["id"] if name is None else checked_name(name)
    _add(engine, _new_run(engine, origin, run_id, content), content["id"])
    signals = [
        NewSignal(run_id, name, engine.seals.taken_over(payload, origin, run_id))
        for name, payload in content["signals"]
    ]
    if signals:
        engine.store.send(signals)
    return str(run_id)


def _new_run(engine: Engine, origin: Seals, run_id: str, content: dict[str, Any]) -> NewRun:
    now = engine.store.now()
    fields = content["run"] | {
        "id": run_id,
        "argv": (),
        "cwd": "",
        "every": None,
        "status": Status.PENDING,
        "kind": "function",
    }
    run = Run(
        **fields, updated=now, origin=f"{content['id']}@{content['state'][0]}" if content["state"] else content["id"]
    )
    arguments = engine.seals.taken_over(content["arguments"], origin, run_id) if content["arguments"] else b""
    if content["state"] is None:
        return NewRun(run, arguments)
    seq, steps, step, line, taken, data = content["state"]
    blobs = {digest: checked(digest, blob) for digest, blob in content.get("blobs", {}).items()}
    large = snapshot.MemoryBlobs()
    large.data = blobs
    sealed = engine.seals.taken_over(data, origin, run_id, seq, Stored(large, None).data)
    needed = snapshot.references(sealed, key=engine.seals.keys) if blobs else ()
    state = State(run_id, seq, steps, step, line, taken or time.time(), len(sealed), sealed)
    return NewRun(run, arguments, state=state, blobs={digest.hex(): blobs[digest] for digest in needed} or None)


def _add(engine: Engine, new: NewRun, before: str) -> None:
    """Add it; one that is there already is not taken for it."""
    try:
        ((_, fence),) = engine.store.add_runs([new])
    except StoreError as error:
        raise StoreError(f"{before} cannot be imported: {error}; give it another --name") from error
    if fence < 0:
        raise StoreError(f"there is already a run called {new.run.id}; give the imported one another --name")
