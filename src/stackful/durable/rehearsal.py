"""The dry run behind ``stackful check``: a script is run, and wherever it could be stored that is tried, and nothing stored.

    python -m stackful.durable.rehearsal REPORT PROGRAM.PY [ARGS]...

It has a process of its own, for the script may end it in any way. Each finding is a line of JSON in REPORT at once.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import stackful
from stackful import _core
from stackful.durable import checkpoints
from stackful.durable.checkpoints import Suspension
from stackful.durable.instrument import DUE
from stackful.durable.program import Script, absolute_path, read_script
from stackful.durable.state import Keeper
from stackful.errors import FiberError, UnsaveableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from stackful.fibers.frames import Frame

__all__ = ["main"]

_OWN_FOLDER = os.path.dirname(stackful.__file__) + os.sep
_CLOSELY = 8  # so often a place is tried each time that it is passed; then at each second, fourth, eighth ... time


class _Rehearsal:
    """Runs a script; each suspension is a checkpoint that is only tried."""

    def __init__(self, script: Script, report: Path) -> None:
        self._script = script
        self._report = report
        self._fiber = script.fiber()
        self._keeper = Keeper((b"nothing is stored",))
        self._passed: dict[tuple[Any, int, bool], int] = {}
        self._tried = 0
        self._is_over = False

    def play(self) -> None:
        """Run it to its end. Whatever it raises leaves as from plain ``python``."""
        vars(self._script.module)[DUE] = True
        _core.script(self._fiber)
        checkpoints.activate(self._fiber)
        os.register_at_fork(after_in_child=self._forget)
        step: Callable[[], object] = partial(self._fiber.resume, None)
        try:
            while True:
                request = step()
                if self._fiber.status == "dead":
                    break
                step = self._answer(request)
        except BaseException as error:
            self._end(error)
            raise
        self._end(None)

    def _answer(self, request: object) -> Callable[[], object]:
        if not isinstance(request, Suspension):
            wrong = FiberError(
                "suspend() was called outside of every fiber that the script made: nobody would resume it"
            )
            return partial(self._fiber.throw, wrong)
        self._try(request is Suspension.EXPLICIT)
        return partial(self._fiber.resume, True)

    def _try(self, explicit: bool) -> None:
        frame = next((frame for frame in reversed(self._fiber.frames) if not _is_own(frame)), None)
        if frame is None or not self._is_due((frame.code, frame.line, explicit)):
            return
        self._tried += 1
        try:
            self._keeper.save(self._script, self._fiber, {})
        except Exception as error:  # noqa: BLE001 - a value's own way of being pickled may raise anything
            self._note(_finding(error, frame, explicit))

    def _is_due(self, place: tuple[Any, int, bool]) -> bool:
        passed = self._passed[place] = self._passed.get(place, 0) + 1
        return passed <= _CLOSELY or passed & (passed - 1) == 0

    def _end(self, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        checkpoints.deactivate()
        vars(self._script.module)[DUE] = None
        text = None if error is None or isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        self._note({"ended": True, "error": text, "tried": self._tried, "places": len(self._passed)})

    def _forget(self) -> None:
        """A forked child is not the run."""
        self._is_over = True
        checkpoints.deactivate()
        vars(self._script.module)[DUE] = None

    def _note(self, fact: dict[str, Any]) -> None:
        with self._report.open("a", encoding="utf-8") as file:
            file.write(json.dumps(fact) + "\n")


def _is_own(frame: Frame) -> bool:
    return frame.code.co_filename.startswith(_OWN_FOLDER)


def _finding(error: Exception, frame: Frame, explicit: bool) -> dict[str, Any]:
    path, kind = (error.path, error.value_type) if isinstance(error, UnsaveableError) else ("", type(error).__name__)
    return {
        "when": "checkpoint()" if explicit else "--every",
        "file": frame.code.co_filename,
        "line": frame.line,
        "function": frame.code.co_qualname,
        "path": path,
        "kind": kind,
        "reason": str(error),
    }


def main(argv: list[str]) -> None:
    """Rehearse the program that `argv` names, behind the file for the report."""
    report, program, *args = argv
    filename = absolute_path(program)
    script = Script(filename, read_script(filename), (program, *args), every=True)
    rehearsal = _Rehearsal(script, Path(report))
    script.install()
    rehearsal.play()


if __name__ == "__main__":
    main(sys.argv[1:])
