"""``stackful show --raw``: the bytes of a snapshot as they are. Nothing that they name is imported, called or made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stackful.cli.listing import size_text
from stackful.cli.options import connected
from stackful.durable.instrument import compile_script
from stackful.durable.large import StoreBlobs
from stackful.durable.runs import load_raw
from stackful.snapshot import Program
from stackful.snapshot.keys import KEY_VARIABLE, Keys
from stackful.snapshot.listing import Listing, look

if TYPE_CHECKING:
    from stackful.durable.store import Store

__all__ = ["print_raw"]


def print_raw(store: str, what: str, as_json: bool) -> None:
    """Print what is in the last checkpoint of a run, or in a file that holds a snapshot, sealed with a key of the environment or with none.

    Raises:
        StackfulError: there is neither, or the bytes are no snapshot.
    """
    shown = {what: _look_at_file(Path(what))} if Path(what).is_file() else _listings(store, what)
    if as_json:
        print(json.dumps({name: _data(listing) for name, listing in shown.items()}, indent=2))
        return
    for name, listing in shown.items():
        print(*_text(name, listing), sep="\n")


def _look_at_file(path: Path) -> Listing:
    return look(path.read_bytes(), key=Keys.from_environment() if KEY_VARIABLE in os.environ else None)


def _listings(store: str, what: str) -> dict[str, Listing]:
    with connected(store) as engine:
        run = engine.store.run(what)
        if run.kind == "script":
            return _script_listings(engine.store, run.id)
        state = engine.store.state(run.id)
        name, data = ("arguments", engine.store.arguments(run.id)) if state is None else ("state", state.data or b"")
        return {name: look(data, key=engine.seals.keys, blobs=StoreBlobs(engine.store))}


def _script_listings(store: Store, run_id: str) -> dict[str, Listing]:
    run, source, state, keys = load_raw(store.path, run_id)
    try:
        code = compile_script(source, run.program, run.every is not None)
    except SyntaxError:  # of a later Python
        program = None
    else:
        program = Program(ModuleType("__main__"), code)
    stored = {"environment": state.environment, "program": state.program}
    return {name: look(data, key=keys, program=program, blobs=StoreBlobs(store)) for name, data in stored.items()}


def _data(listing: Listing) -> dict[str, Any]:
    frames = [frame._asdict() for frame in listing.frames]
    told = {"header": listing.header, "seal": listing.seal, "note": listing.note or None, "sizes": listing.sizes}
    return told | {
        "frames": frames,
        "names": listing.names,
        "blobs": listing.blobs,
        "pickle": [*listing.instructions()],
    }


def _text(name: str, listing: Listing) -> list[str]:
    lines = [name, *(f"  {field:12} {value}" for field, value in listing.header.items() if value is not None)]
    lines += [f"  {'its seal':12} {listing.seal}", f"  {'bytes':12} {_sizes(listing.sizes)}"]
    lines += [f"  {'note':12} {listing.note}"] if listing.note else []
    lines += ["", "  frames, the innermost first"] if listing.frames else []
    for frame in listing.frames:
        where = f"line {frame.line}" if frame.line is not None else f"somewhere from line {frame.first_line} on"
        lines.append(f"    {frame.module}:{frame.function or 'code that travels along'}  {where}, byte {frame.offset}")
        if frame.variables:
            lines.append(f"      variables: {', '.join(frame.variables)}")
    lines += ["", "  names", *(f"    {name}" for name in listing.names)] if listing.names else []
    lines += ["", "  blobs", *(f"    {digest}" for digest in listing.blobs)] if listing.blobs else []
    lines += ["", "  pickle", *(f"    {line}" for line in listing.instructions()), ""]
    return lines


def _sizes(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name} {size_text(size)}" for name, size in sizes.items() if size)
