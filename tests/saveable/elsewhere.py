"""Restores in another process what `tests/snapshot/test_saveable.py` has saved: `python -m saveable.elsewhere FILE`."""

import pickle
import sys
import traceback
from pathlib import Path

from saveable import ENTRIES
from stackful import snapshot


def outcome(entry, data):
    """What is seen of a new one and of the restored one; what is outside of the program is made as it was before that."""
    wanted = entry.look(entry.make())
    there = entry.make()
    found = entry.look(snapshot.loads(data).resume())
    del there
    return wanted, found


def main(file):
    entries = {str(entry): entry for entry in ENTRIES}
    restored = 0
    for name, data in pickle.loads(Path(file).read_bytes()).items():
        entry = entries[name]
        try:
            wanted, found = outcome(entry, data)
        except Exception:
            print(f"{name}:\n{traceback.format_exc()}")
            continue
        if found == wanted:
            restored += 1
        else:
            print(f"{name}: {found!r}, not {wanted!r}")
    print(f"{restored} restored")


if __name__ == "__main__":
    main(sys.argv[1])
