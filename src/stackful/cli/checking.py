"""``stackful check``: what could not be saved of a program, before it matters."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from stackful.cli.exits import one_message
from stackful.cli.listing import count
from stackful.cli.status import UNSAVEABLE
from stackful.durable.readiness import check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stackful.durable.readiness import Report

__all__ = ["check_program"]

_FAILED = 1
_STDERR = 2


def check_program(
    program: str, args: Sequence[str], *, run: bool, timeout: float | None, strict: bool, as_json: bool
) -> None:
    """Check a program, print what was found, and end with the status that says it.

    Args:
        program: the script.
        args: its arguments.
        run: whether it is rehearsed.
        timeout: seconds for that.
        strict: whether warnings count as errors do.
        as_json: data for programs, on standard output, where then nothing else appears.

    Raises:
        SystemExit: 0, 1 if the program itself failed, 71 if something cannot be saved.
    """
    with one_message():
        report = check(program, args, run=run, timeout=timeout, stdout=_STDERR if as_json else None)
    if as_json:
        print(report.to_json())
    else:
        _print(report)
    sys.exit(_status(report, strict))


def _status(report: Report, strict: bool) -> int:
    if report.errors or (strict and report.findings):
        return UNSAVEABLE
    return _FAILED if report.exit_status or report.timed_out else 0


def _print(report: Report) -> None:
    sys.stdout.flush()
    for finding in report.findings:
        print(finding)
    print(_summary(report))


def _summary(report: Report) -> str:
    errors, warnings = len(report.errors), len(report.findings) - len(report.errors)
    found = f"{count(errors, 'error')}, {count(warnings, 'warning')}"
    if not report.was_run:
        return f"{found}; the program was not run"
    tried = f"{count(report.tried, 'snapshot')} tried at {count(report.places, 'place')}"
    if report.timed_out:
        return f"{found}; the program did not end in time"
    if report.error:
        return f"{found}; {tried}; the program ended with {report.error}"
    return f"{found}; {tried}; the program ended with status {report.exit_status}"
