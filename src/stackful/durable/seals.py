"""Values and states of runs as sealed bytes, and back. Each belongs to one run, and a state to its number: no other is taken for it."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from stackful import snapshot
from stackful.durable.functions import has_main, options_of
from stackful.durable.unwinding import Before
from stackful.errors import KeyFileError
from stackful.snapshot.blobs import Stored
from stackful.snapshot.format import reseal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stackful.durable.large import LargeValues
    from stackful.durable.records import State
    from stackful.fibers import Fiber
    from stackful.snapshot import Keys

__all__ = ["Seals"]


class Seals:
    """The keys of a store, and what they are used for.

    Args:
        key: seals; of several the first one does, and all are accepted. Or the reason why there is none.
    """

    def __init__(self, key: bytes | tuple[bytes, ...] | Keys | KeyFileError) -> None:
        self._keys = (
            snapshot.Keys(key) if isinstance(key, bytes) else snapshot.Keys(*key) if isinstance(key, tuple) else key
        )

    @property
    def keys(self) -> Keys:
        """The keys; KeyFileError where they could not be read."""
        if isinstance(self._keys, KeyFileError):
            raise self._keys
        return self._keys

    @cached_property
    def _script(self) -> snapshot.Program | None:
        return _live_program()

    @property
    def program(self) -> snapshot.Program | None:
        """The program's own ``__main__``, if it has functions that are runs."""
        return self._script if has_main() else None

    def seal(self, run_id: str, value: object) -> bytes:
        """A value for a run, as bytes.

        Raises:
            UnsaveableError: it cannot be stored.
        """
        return snapshot.dumps(value, key=self.keys, program=self.program, run=run_id)

    def unseal(self, run_id: str, data: bytes) -> Any:
        """What `seal` was given; SealError if these bytes are not for this run."""
        return snapshot.loads(data, key=self.keys, program=self.program, run=run_id)

    def seal_state(
        self,
        run_id: str,
        seq: int,
        fiber: Fiber,
        told: bool,
        large: LargeValues | None = None,
        before: Sequence[Before] = (),
    ) -> bytes:
        """A state of a run: its fiber, and whether it has been told of its end; `large` shares values with other states, `before`: see `unwinding`.

        Raises:
            UnsaveableError, FiberError: it cannot be stored.
        """
        history = None if large is None else large.begin()
        content = (told, fiber, [tuple(each) for each in before]) if before else (told, fiber)
        return snapshot.dumps(
            content, key=self.keys, program=self.program, run=run_id, sequence=seq, blobs=history,
            compression=None if large is None or history is None else large.compression,
        )  # fmt: skip

    def load_state(
        self, state: State, program: str = "", large: LargeValues | None = None
    ) -> tuple[Fiber, bool, list[Before]]:
        """What `seal_state` was given.

        Args:
            state: as it is in the store.
            program: the function, whose `run` says what to do where code has changed.
            large: its large values, as `large_values_of` gives them.

        Raises:
            SealError: these are not the bytes that were stored as this state of this run.
            SnapshotError: they cannot be understood by this Python, or with the code as it is now.
        """
        told, fiber, *before = snapshot.loads(
            state.data or b"", key=self.keys, program=self.program, run=state.run, sequence=state.seq,
            blobs=None if large is None else large.history, on_change=options_of(program).on_change,
        )  # fmt: skip
        return fiber, told, [Before(*each) for each in before[0]] if before else []

    def sealed_again(self, run_id: str, seq: int, data: bytes, large: LargeValues | None) -> bytes:
        """A state of a run as another, later one; nothing is unpickled. Errors as of `taken_over`."""
        base_of = None if large is None else Stored(large.blobs, self.keys).data
        return reseal(data, self.keys, self.keys, run_id, seq, base_of)

    def taken_over(
        self,
        data: bytes,
        origin: Seals,
        run_id: str,
        seq: int | None = None,
        base_of: Callable[[bytes], bytes] | None = None,
    ) -> bytes:
        """What another store has sealed, for a run of this one; nothing is unpickled. `base_of` finds large values.

        Raises:
            SealError: it was sealed with none of the keys of `origin`.
            SnapshotVersionError: by another Python.
        """
        return reseal(data, origin.keys, self.keys, run_id, seq, base_of)

    def findings(self, data: bytes, program: str = "", large: LargeValues | None = None) -> list[snapshot.Finding]:
        """What speaks against going on from sealed bytes with the code that is here; nothing is built or run."""
        on_change = options_of(program).on_change
        history = None if large is None else large.history
        return snapshot.check_code(data, key=self.keys, program=self.program, blobs=history, on_change=on_change)


def _live_program() -> snapshot.Program | None:
    """``__main__`` as a module that every process of this program makes anew, by running its file."""
    module = sys.modules.get("__main__")
    file = getattr(module, "__file__", None)
    if not isinstance(module, ModuleType) or not file:
        return None
    try:
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
    return snapshot.Program(module, code, True)
