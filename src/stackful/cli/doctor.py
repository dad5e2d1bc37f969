"""``stackful doctor``: what would keep stored runs from resuming."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from stackful.cli.status import CODE_CHANGED
from stackful.durable.doctor import examine

__all__ = ["print_findings"]


def print_findings(store: Path, runs: Sequence[str], as_json: bool) -> None:
    """Print what was found, a run a line; ends the process with status 68 where a run would not resume.

    Raises:
        RunNotFoundError, SnapshotError, StoreError: as `examine`.
    """
    examined = examine(store, runs)
    if as_json:
        print(
            json.dumps(
                [{"run": run.id, "findings": [finding._asdict() for finding in found]} for run, found in examined]
            )
        )
    for run, found in () if as_json else examined:
        print(f"{run.id}: {'would not resume' if found else 'would resume'}")
        for finding in found:
            print("\n".join(f"    {line}" for line in str(finding).splitlines()))
    if any(found for _, found in examined):
        sys.exit(CODE_CHANGED)
