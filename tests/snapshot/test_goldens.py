"""Snapshots that exist can be read: one file for each schema and each minor version of CPython."""

import importlib.util

import golden_programs
import pytest

from stackful import CodeChangedError, SealError, SnapshotVersionError, snapshot

FILES = sorted(golden_programs.FOLDER.glob("*.snapshot"))
MINORS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
HERE = (snapshot.header(snapshot.dumps(1))["python"], importlib.util.MAGIC_NUMBER.hex())


def test_there_is_one_for_each_schema_and_each_minor_version():
    """`python tests/snapshot/golden_programs.py` makes what is missing."""
    wanted = [f"schema-{schema}-python-{minor}.snapshot" for schema in (1, 2, 3) for minor in MINORS]
    assert [path.name for path in FILES] == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_golden_snapshot_loads_or_is_refused_by_name(path):
    """On its own version of Python everything in it comes back and goes on; elsewhere the message says which one it needs.

    They have a frame in `perform`, which has changed since: it goes on in its source as it was then. Those of schema 1 carry none.
    """
    data = path.read_bytes()
    told = snapshot.header(data)
    if (told["python"], told["bytecode"]) == HERE and told["schema"] == 1:
        with pytest.raises(CodeChangedError, match='the code of "perform"'):
            snapshot.loads(data, key=golden_programs.KEY)
    elif (told["python"], told["bytecode"]) == HERE:
        golden_programs.check(snapshot.loads(data, key=golden_programs.KEY))
    else:
        with pytest.raises(
            SnapshotVersionError, match=f"was made by Python {told['python']}, this is Python {HERE[0]}"
        ):
            snapshot.loads(data, key=golden_programs.KEY)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_seal_of_a_golden_snapshot_is_checked_first(path):
    """Whatever its schema and its version."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    with pytest.raises(SealError, match="nothing was unpickled"):
        snapshot.loads(bytes(data), key=golden_programs.KEY)
