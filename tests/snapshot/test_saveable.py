"""Each entry of `saveable`, held against what happens."""

import copy
import itertools
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import stackful
from saveable import BY_NAME, ENTRIES, RECONNECTED, REFUSED, document
from saveable.iterators import BUILTIN, ITERTOOLS, moved, rest
from saveable.places import in_a_cell, in_a_local, on_the_stack, stopped, twice
from stackful import UnsaveableError, snapshot

# The originals are dropped as they are.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore:(?i)(unclosed|implicitly):ResourceWarning"),
]

SAVED = [entry for entry in ENTRIES if entry.how != REFUSED]
REFUSALS = [entry for entry in ENTRIES if entry.how == REFUSED]


ATOMS = (int, float, complex)  # equal ones are as good as the same
PLACES = [in_a_local, on_the_stack, in_a_cell]


def each(entries):
    """Parametrise a test with entries; what this Python has not, or what is not installed, is skipped by name."""
    return pytest.mark.parametrize("entry", [with_reason(entry) for entry in entries], ids=str)


def with_reason(entry):
    reason = f"needs {entry.needs or 'Python {}.{}'.format(*entry.since)}"
    return pytest.param(entry, marks=pytest.mark.skipif(not entry.is_here, reason=reason))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@each(SAVED)
def test_it_behaves_after_a_restore_as_a_new_one(entry, place):
    """Wherever in a frame it stands."""
    made = entry.make()
    kind, wanted = type(made), entry.look(made)
    restored = snapshot.loads(snapshot.dumps(stopped(place, entry.make))).resume()
    if entry.same_type:
        assert type(restored) is kind or type(restored).__name__ == kind.__name__
    assert entry.look(restored) == wanted


@each(SAVED)
def test_saving_leaves_it_as_it_was(entry):
    """The program that was saved goes on as if nobody had looked."""
    wanted = entry.look(entry.make())
    fiber = stopped(in_a_local, entry.make)
    snapshot.dumps(fiber)
    assert entry.look(fiber.resume()) == wanted


@each(SAVED)
def test_what_is_one_object_stays_one(entry):
    """Two variables that name one object name one object afterwards."""
    first, second = snapshot.loads(snapshot.dumps(stopped(twice, entry.make))).resume()
    assert first is second or type(first) in ATOMS


@each(SAVED)
def test_a_deepcopy_has_its_own(entry):
    """``copy.deepcopy`` of a fiber goes the same way; what is outside of the program both have."""
    wanted = entry.look(entry.make())
    fiber = stopped(in_a_local, entry.make)
    twin = copy.deepcopy(fiber)
    assert entry.look(twin.resume()) == wanted
    if entry.how not in (BY_NAME, RECONNECTED):
        assert entry.look(fiber.resume()) == wanted


@each(REFUSALS)
def test_what_is_refused_is_named_with_its_variable(entry):
    """The error says which variable of which frame, and why."""
    with pytest.raises(UnsaveableError, match=entry.because) as caught:
        snapshot.dumps(stopped(in_a_local, entry.make))
    assert 'frame "in_a_local"' in str(caught.value)
    assert 'local "value"' in caught.value.path


def test_another_process_restores_them_all(tmp_path):
    """With another hash seed and another working directory."""
    saved = {}
    for entry in filter(lambda entry: entry.is_here, SAVED):
        saved[str(entry)] = snapshot.dumps(stopped(in_a_local, entry.make))
    bodies = tmp_path / "bodies"
    bodies.write_bytes(pickle.dumps(saved))
    command = [sys.executable, "-m", "saveable.elsewhere", str(bodies)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=elsewhere())
    assert (done.stdout.splitlines()[-1:], done.returncode) == ([f"{len(saved)} restored"], 0), (
        done.stdout + done.stderr
    )


def elsewhere():
    """The environment of that process."""
    path = [Path(__file__).parents[1], Path(stackful.__file__).parents[1]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONHASHSEED": "4711"}


ITERATORS = {
    **BUILTIN,
    **{name: make for name, make in ITERTOOLS.items() if hasattr(itertools, name.split()[0].split(".")[0])},
}


@pytest.mark.parametrize("steps", range(10))
@pytest.mark.parametrize("name", ITERATORS)
def test_an_iterator_goes_on_from_wherever_it_stood(name, steps):
    """Untouched, begun, at its last item, at its end: and its own copies do, too."""
    iterator = moved(ITERATORS[name], steps)
    first = snapshot.loads(snapshot.dumps(iterator))
    again = snapshot.loads(snapshot.dumps(first))
    wanted = rest(moved(ITERATORS[name], steps))
    assert [rest(iterator), rest(again), rest(first)] == [wanted] * 3


def test_the_page_is_what_the_table_says():
    """`make saveable` writes it."""
    assert document.FILE.read_text(encoding="utf-8") == document.text()
