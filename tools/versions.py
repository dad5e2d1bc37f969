"""The table of docs/versions.md, written by the runs themselves.

    versions.py record RESULT VERSION KIND WHAT STATUS    after a run: RESULT.xml is pytest's report; writes RESULT.json
    versions.py write                                     put all results of build/results into the table
    versions.py test [ARGUMENT FOR PYTEST...]             run the tests but the slow ones, and keep the result of all of them

A row stands until a run of the same version and build replaces it.
"""

import datetime as dt
import json
import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "versions.md"
RESULTS = ROOT / "build" / "results"
BEGIN, END = "<!-- results: begin -->\n", "<!-- results: end -->\n"
HEAD = "| CPython | build | what ran | result | on |\n|---|---|---|---|---|\n"
KINDS = {"release": "release", "debug": "debug", "sanitize": "ASan + UBSan", "valgrind": "valgrind"}


def outcome(report: Path, status: int) -> str:
    """What a report comes to, in words: `120 passed, 3 skipped`."""
    try:
        suite = ET.parse(report).getroot().find("testsuite")
    except (OSError, ET.ParseError):
        suite = None
    if suite is None:
        return f"ended with status {status}, without a report"
    count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    count["passed"] = count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    words = [f"{count[key]} {word}" for key, word in (("passed", "passed"), ("failures", "failed")) if count[key]]
    words += [f"{count[key]} {word}" for key, word in (("errors", "errors"), ("skipped", "skipped")) if count[key]]
    if status and not count["failures"] + count["errors"]:
        words.append(f"then status {status}")
    return ", ".join(words) or "nothing ran"


def record(result: str, version: str, kind: str, what: str, status: str) -> None:
    """Keep what a run came to, and say it in one line."""
    said = outcome(Path(f"{result}.xml"), int(status))
    day = dt.datetime.now(dt.UTC).date().isoformat()
    row = {"version": version, "build": KINDS[kind], "what": what, "result": said, "on": day}
    Path(f"{result}.json").write_text(json.dumps(row) + "\n", encoding="utf-8")
    print(f"{KINDS[kind]}, Python {version}: {said} ({what})")


def test(*arguments: str) -> None:
    """All tests but the slow ones, on this interpreter as it is; or those that are asked for, and then nothing is kept."""
    kind, mark = ("debug", "d") if hasattr(sys, "gettotalrefcount") else ("release", "")
    result = RESULTS / f"{kind}-{sys.version_info.major}.{sys.version_info.minor}{mark}"
    command = [sys.executable, "-m", "pytest", "-m", "not slow", *arguments]
    if arguments:
        sys.exit(subprocess.call(command, cwd=ROOT))
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = result.with_name(f"{result.name}.xml")
    report.unlink(missing_ok=True)
    status = subprocess.call([*command, f"--junitxml={report}"], cwd=ROOT)
    record(str(result), platform.python_version(), kind, "everything but the slow tests", str(status))
    sys.exit(status)


def order(row: list[str]) -> tuple[object, ...]:
    """By version, then by build in the order of KINDS."""
    builds = list(KINDS.values())
    return (*map(int, row[0].split(".")[:2]), builds.index(row[1]) if row[1] in builds else 9)


def write() -> None:
    """Put the results into the table; rows of other runs stay."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    table, _, after = rest.partition(END)
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.splitlines()[2:]]
    known = {order(row): row for row in rows}
    for file in sorted(RESULTS.glob("*.json")):
        row = list(json.loads(file.read_text(encoding="utf-8")).values())
        known[order(row)] = row
    lines = [f"| {' | '.join(known[key])} |\n" for key in sorted(known)]
    PAGE.write_text(f"{before}{BEGIN}{HEAD}{''.join(lines)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    {"record": record, "write": write, "test": test}[command](*arguments)
