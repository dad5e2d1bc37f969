"""Runs the benchmarks and prints one table. A report: a missed target is shown, and fails nothing."""

import argparse
import importlib
import json
import platform
import sys
from dataclasses import asdict
from pathlib import Path

from measure import Row

# Subject -> operations a round; the module is bench_<subject>.
SUBJECTS = {
    "switch": 200_000,
    "generators": 50_000,
    "control": 20_000,
    "effects": 20_000,
    "create": 50_000,
    "memory": 100_000,
    "pickle": 2_000,
    "snapshot": 2_000,
    "run": 100,
    "tasks": 20_000,
    "aio": 1_000,
    "service": 20_000,
    "search": 10_000,
    "durable": 1_000,
    "postgres": 1_000,
    "durable_peers": 1_000,
}
NEEDS_FULL_SIZE = {"memory"}


def rows_of(subject: str, rounds: int, share: float) -> list[Row]:
    """The rows of a subject; one row that says why when it cannot be measured."""
    number = SUBJECTS[subject]
    number = number if subject in NEEDS_FULL_SIZE else max(1, int(number * share))
    try:
        return importlib.import_module(f"bench_{subject}").benchmark(rounds, number)
    except Exception as error:  # noqa: BLE001 - the other subjects are still worth a row
        message = str(error).splitlines()[-1] if str(error) else ""
        return [Row(subject, "not measured", f"{type(error).__name__}: {message}")]


def table(rows: list[Row]) -> str:
    """The rows as a markdown table."""
    verdict = {None: "", True: "met", False: "**not met**"}
    lines = ["| what | Stackful | beside | ratio | target | |", "|---|---|---|---|---|---|"]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.subject} | {row.ours} | {row.beside} | {ratio} | {row.target} | {verdict[row.is_met]} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"some of: {', '.join(SUBJECTS)} (all)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of which the median is taken (7)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work, in 3 rounds: to see that it runs")
    parser.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="X",
        help="X times the work: of durable_peers, 10 is a history of 10,000 steps",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows as JSON")
    options = parser.parse_args()
    if unknown := set(options.subjects) - set(SUBJECTS):
        parser.error(f"no such subject: {', '.join(sorted(unknown))}")
    rounds, share = (3, 0.1) if options.quick else (options.rounds, options.scale)
    rows = []
    for subject in options.subjects or SUBJECTS:
        print(f"measuring {subject} ...", file=sys.stderr)
        rows += rows_of(subject, rounds, share)
    print(
        f"CPython {platform.python_version()}, {platform.system()} {platform.machine()}, median of {rounds} rounds (run: of 3 at most)\n"
    )
    print(table(rows))
    if options.json:
        document = {"python": platform.python_version(), "rounds": rounds, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
