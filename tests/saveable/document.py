"""Writes docs/saveable.md from the table of entries: `python -m saveable.document`, or `make saveable`."""

from pathlib import Path

from saveable import ENTRIES, HOWS

FILE = Path(__file__).parents[2] / "docs" / "saveable.md"

HEAD = """# What can be saved

What may stand in a frame, and what a snapshot makes of it. This page is written by `make saveable` from the table that the tests hold against
what happens: each entry is made in a local variable, on an evaluation stack and in a cell, saved, restored here and in another process, and must
then behave as one made anew. [How to register what lives outside of the program](howto.md#save-something-that-is-connected-to-the-outside).

"""

FOOT = """
Where another Python is named, the type, or what saves it, is there from that version on; all others: 3.11. What needs `cloudpickle`, `numpy` or `pandas` needs that package.
What cannot be saved raises `UnsaveableError` with the frame, the line and the variable, before anything is written; `stackful check` finds it
[ahead of time](howto.md#find-out-ahead-of-time-what-cannot-be-saved).
"""


def text():
    """The page."""
    parts = [HEAD, "| how | what that means |\n|---|---|\n", *(f"| {how} | {what} |\n" for how, what in HOWS.items())]
    families = sorted({entry.family for entry in ENTRIES})
    for family in families:
        parts.append(f"\n## {family}\n\n| what | how | remarks |\n|---|---|---|\n")
        parts += [row(entry) for entry in ENTRIES if entry.family == family]
    return "".join([*parts, FOOT])


def row(entry):
    remarks = [entry.remark, entry.because.partition("|")[0], entry.needs and f"needs {entry.needs}"]
    remarks.append(f"Python {'.'.join(map(str, entry.since))}" if entry.since > (3, 11) else "")
    return f"| {entry.name.replace('|', chr(92) + '|')} | {entry.how} | {'; '.join(filter(None, remarks))} |\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
