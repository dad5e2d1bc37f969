"""Whether a program could be stored wherever it may be: what `stackful check` reports."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackful.durable.program import read_script
from stackful.durable.suspects import find_suspects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from os import PathLike

__all__ = ["Finding", "Report", "check"]

_PLACE = re.compile(r'frame "(?P<function>[^"]*)" line \d+')
_VARIABLE = re.compile(r'(?:local|global) "(?P<name>[^"]*)"')


@dataclass(frozen=True)
class Finding:
    """Something that cannot be saved, or may not.

    Attributes:
        when: ``"checkpoint()"``: that call would raise; ``"--every"``: a checkpoint by the clock would be left out;
            ``"text"``: the program's text looks like it.
        file, line, function: where the program was, or where the name is bound.
        path: which variable, and the way from it to the value.
        kind: the type of the value, or of the error.
        reason: why, and the way out.
        count: at how many tries the same was found.
    """

    when: str
    file: str
    line: int
    function: str
    path: str
    kind: str
    reason: str
    count: int = 1

    @property
    def is_error(self) -> bool:
        """A run of the program would be stopped by it."""
        return self.when == "checkpoint()"

    def __str__(self) -> str:
        level = "error" if self.is_error else "warning"
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.file}:{self.line}: {level}: in {self.function}, {self.when}: {self.reason}{times}"


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        findings: errors first.
        was_run: whether there was a rehearsal.
        exit_status: that of the rehearsed program; None without one, negative for a signal, as in `subprocess`.
        error: what the program itself raised at its end, or None.
        tried: how many snapshots were tried.
        places: at how many places of the program.
        timed_out: the rehearsal was ended because its time was up.
    """

    findings: tuple[Finding, ...]
    was_run: bool = False
    exit_status: int | None = None
    error: str | None = None
    tried: int = 0
    places: int = 0
    timed_out: bool = False

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Those that would stop a run."""
        return tuple(finding for finding in self.findings if finding.is_error)

    def to_json(self) -> str:
        """For programs: an object with these attributes; each finding has ``level`` as well."""
        facts = asdict(self)
        for fact, finding in zip(facts["findings"], self.findings, strict=True):
            fact["level"] = "error" if finding.is_error else "warning"
        return json.dumps(facts, indent=2)


def check(
    program: str | PathLike[str],
    args: Sequence[str] = (),
    *,
    run: bool = True,
    timeout: float | None = None,
    stdout: int | None = None,
) -> Report:
    r"""Look for what could not be saved of a program: in its text, and by a rehearsal.

    The rehearsal runs the program in a process of its own, *with all that it does*: what it prints, writes and sends. At each call of `checkpoint`, and
    wherever ``stackful run --every`` could store it, a snapshot is tried and thrown away: eight times at each place, then at each
    power of two. Nothing is stored, nothing is restored.

    Args:
        program: the script.
        args: its arguments.
        run: False: its text only.
        timeout: seconds, after which the rehearsal is killed; what was found until then counts.
        stdout: where the program's output goes, as for `subprocess.run`; by default to this process's.

    Raises:
        ScriptError: there is no such script.
        SyntaxError: it does not compile.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from stackful.durable.readiness import check
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     program = Path(folder, "program.py")
    ...     _ = program.write_text("import stackful, socket\ns = socket.socket()\nstackful.checkpoint()\ns.close()\n")
    ...     [(finding.when, finding.line, finding.path) for finding in check(program).findings]
    [('checkpoint()', 3, 'global "s": socket.socket')]
    """
    path = str(Path(program).absolute())
    suspects = find_suspects(read_script(path), path)
    report = _rehearse(path, args, timeout, stdout) if run else Report(())
    known = {_key_of_variable(finding.function, finding.path) for finding in report.findings}
    for suspect in suspects:
        if not known & {(suspect.function, suspect.name), ("", suspect.name)}:
            found = Finding(
                "text", path, suspect.line, suspect.function, suspect.name, suspect.kind,
                f'"{suspect.name}" may be a {suspect.kind} when the program is stored: {suspect.reason}',
            )  # fmt: skip
            report = replace(report, findings=(*report.findings, found))
    return report


def _key_of_variable(function: str, path: str) -> tuple[str, str]:
    """(function, variable) of a finding; globals have no function."""
    frame, variable = _PLACE.search(path), _VARIABLE.search(path)
    return (frame["function"] if frame else "", variable["name"] if variable else path)


def _rehearse(path: str, args: Sequence[str], timeout: float | None, stdout: int | None) -> Report:
    with tempfile.TemporaryDirectory(prefix="stackful-check-") as folder:
        notes = Path(folder, "notes")
        notes.touch()
        command = [sys.executable, "-m", "stackful.durable.rehearsal", str(notes), path, *args]
        try:
            status, timed_out = subprocess.run(command, timeout=timeout, stdout=stdout, check=False).returncode, False
        except subprocess.TimeoutExpired:
            status, timed_out = None, True
        facts = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    end: dict[str, Any] = next((fact for fact in facts if "ended" in fact), {})
    findings = _merged(Finding(**fact) for fact in facts if "when" in fact)
    error = end.get("error")
    return Report(findings, True, status, error, end.get("tried", 0), end.get("places", 0), timed_out)


def _merged(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """One for each variable; where it stood at first, and how often it was found."""
    found: dict[tuple[Any, ...], list[Finding]] = {}
    for finding in findings:
        key = (finding.when, finding.kind, finding.path if not finding.path else _without_lines(finding.path))
        found.setdefault(key, []).append(finding)
    merged = [replace(same[0], count=len(same)) for same in found.values()]
    return tuple(sorted(merged, key=lambda finding: (not finding.is_error, finding.file, finding.line)))


def _without_lines(path: str) -> str:
    return re.sub(r"line \d+", "line", path)
