"""How a script leaves this process: as it would leave ``python script.py``."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

import stackful
from stackful.cli.status import status_of
from stackful.durable.notices import notice
from stackful.errors import BarrierError, FiberError, StackfulError

TYPE_CHECKING = False  # as in stackful/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, TracebackType
    from typing import Any, NoReturn

    from stackful.durable.execution import Execution

__all__ = ["one_message", "play", "showing_from"]

_OWN_FOLDER = os.path.dirname(stackful.__file__) + os.sep  # noqa: PTH120 - compared with plain strings


def play(execution: Execution, value: object = None) -> None:
    """Play a script; what it raises goes on to the interpreter, which ends the process as it always does.

    The interpreter shows it (``sys.excepthook``), waits for threads, calls exit functions, flushes, and chooses the
    exit status, all by its own rules. Only the frames of Stackful are taken off the traceback before it is shown.

    Args:
        execution: what to play.
        value: see :meth:`Execution.play`.
    """
    try:
        execution.play(value)
    except SystemExit:
        raise
    except StackfulError as error:
        if error is not execution.refusal or isinstance(error, BarrierError | FiberError):
            # Of the script's own making: to be found by a traceback.
            _hide_frames(execution)
            raise
        execution.exit_status = status_of(error)
        _fail(error)
    except BaseException:
        _hide_frames(execution)
        raise


@contextmanager
def one_message() -> Iterator[None]:
    """What goes wrong in here ends the process with one clear message and the status that it leads to."""
    try:
        yield
    except StackfulError as error:
        _fail(error)
    except SyntaxError:
        # The script's: shown as python shows it, without a traceback, since none of the script has run.
        _wrap_hook(lambda _error, _traceback: None)
        raise


@contextmanager
def showing_from(code: CodeType) -> Iterator[None]:
    """What is raised in here goes on to the interpreter, which shows it from the script's own frames on."""
    try:
        yield
    except SystemExit:
        raise
    except BaseException:
        _wrap_hook(lambda _error, traceback: _from_script_on(traceback, code))
        raise


def _fail(error: StackfulError) -> NoReturn:
    notice(f"error: {error}")
    raise SystemExit(status_of(error)) from None


def _hide_frames(execution: Execution) -> None:
    # The hook outlives the run: it must not keep the script's module alive.
    code, hint = execution.script.code, _hint(execution)

    def trim(error: BaseException, traceback: TracebackType | None) -> TracebackType | None:
        if hint and isinstance(error, KeyboardInterrupt):
            notice(hint)
        return _from_script_on(traceback, code)

    _wrap_hook(trim, execution.script.on_change == "keep")


def _hint(execution: Execution) -> str | None:
    if not execution.has_checkpoint():
        return None
    return f"interrupted; `stackful resume {execution.run.id}` goes on from the last checkpoint"


def _wrap_hook(
    trim: Callable[[BaseException, TracebackType | None], TracebackType | None], shows_old_lines: bool = False
) -> None:
    """Put a hook before the script's own, or python's, that trims the traceback.

    Python's own reads the lines from the file up to 3.12 (v3.12.1 Python/traceback.c, _Py_DisplaySourceLine); `shows_old_lines` takes
    them from `linecache`.
    """
    shown: Any = getattr(sys, "excepthook", None)
    if shows_old_lines and shown is sys.__excepthook__:
        import traceback as traceback_module

        shown = traceback_module.print_exception

    def hook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        sys.last_traceback = error.__traceback__ = trim(error, traceback)
        if shown is None:
            _write("sys.excepthook is missing\n", error)
            return
        try:
            shown(kind, error, error.__traceback__)
        except SystemExit:
            raise
        except BaseException as failure:  # noqa: BLE001 - shown as the interpreter would
            failure.__traceback__ = failure.__traceback__ and failure.__traceback__.tb_next
            _write("Error in sys.excepthook:\n", failure)
            _write("\nOriginal exception was:\n", error)

    sys.excepthook = hook


def _write(heading: str, error: BaseException) -> None:
    """What v3.13.0 Python/pythonrun.c (_PyErr_PrintEx) writes when a hook is of no use."""
    sys.stderr.write(heading)
    sys.__excepthook__(type(error), error, error.__traceback__)


def _from_script_on(traceback: TracebackType | None, code: CodeType) -> TracebackType | None:
    """The part of a traceback from the script's ``<module>`` to the last frame that is not Stackful's own."""
    while traceback is not None and traceback.tb_frame.f_code is not code:
        traceback = traceback.tb_next
    last, step = traceback, traceback
    while step is not None:
        if not step.tb_frame.f_code.co_filename.startswith(_OWN_FOLDER):
            last = step
        step = step.tb_next
    if last is not None:
        last.tb_next = None
    return traceback
