"""Open files: reopened where they were, checked, cut back; refused where they cannot be found again."""

import itertools
import os
import pickle
import sys

import pytest

from stackful import ReconnectError, UnsaveableError, snapshot

TEXT = "".join(f"line {number}: äöü €\n" for number in range(3000))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text(TEXT, encoding="utf-8", newline="")
    return path


def again(value):
    return snapshot.loads(snapshot.dumps(value))


@pytest.mark.parametrize("newline", [None, "", "\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("stop", [0, 1, 170, 400, 2998])
def test_a_loop_over_lines_goes_on_with_the_next_line(tmp_path, newline, encoding, ends, stop):
    """Whatever is buffered, in encodings of one, two and several bytes; `tell` would not answer there."""
    path = tmp_path / "lines"
    path.write_bytes(TEXT.replace("\n", ends).encode(encoding))
    with path.open(encoding=encoding, newline=newline) as file:
        lines = list(file)
    with path.open(encoding=encoding, newline=newline) as file:
        begun = list(itertools.islice(file, stop))
        with again(file) as restored:
            assert begun + list(restored) == lines
        assert begun + list(file) == lines


def test_saving_in_a_loop_leaves_the_loop_as_it_was(path):
    """Every tenth line a snapshot; no line is lost or read twice."""
    seen = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            seen.append(line)
            if len(seen) % 500 == 0:
                with again(file) as restored:
                    assert seen + restored.readlines() == TEXT.splitlines(keepends=True)
    assert seen == TEXT.splitlines(keepends=True)


def test_a_loop_in_an_encoding_with_states_is_refused(tmp_path):
    """It does not tell where a line begins; readline() does."""
    path = tmp_path / "file"
    path.write_text("äöü\n" * 9, encoding="utf-16")
    with path.open(encoding="utf-16") as file:
        next(file)
        with pytest.raises(UnsaveableError, match=r"utf-16 does not tell where they begin: use readline\(\)"):
            snapshot.dumps(file)
    with path.open(encoding="utf-16") as file:
        file.readline()
        with again(file) as restored:
            assert restored.read() == "äöü\n" * 8


def test_changed_content_is_an_error(path):
    """In what was in the file then; what was added behind it is none."""
    with path.open("rb") as file:
        file.read(100)
        data = snapshot.dumps(file)
    with path.open("ab") as file:
        file.write(b"added")
    snapshot.loads(data).close()
    with path.open("r+b") as file:
        file.seek(2000)
        file.write(b"X")
    with pytest.raises(ReconnectError, match=r"file.txt has changed since the snapshot"):
        snapshot.loads(data)


def test_a_change_in_a_large_file_near_the_offset_is_an_error(tmp_path):
    """Of such a file the beginning, the end and what lies before the offset are compared."""
    path = tmp_path / "large"
    path.write_bytes(bytes(3 << 20))
    with path.open("rb") as file:
        file.seek(2 << 20)
        data = snapshot.dumps(file)
    with path.open("r+b") as file:
        file.seek((2 << 20) - 10)
        file.write(b"X")
    with pytest.raises(ReconnectError, match="has changed"):
        snapshot.loads(data)


def test_a_file_that_is_gone_or_shorter_is_an_error(path):
    """By name, with what the system says."""
    with path.open("rb") as file:
        data = snapshot.dumps(file)
    os.truncate(path, 10)
    with pytest.raises(ReconnectError, match="has changed"):
        snapshot.loads(data)
    path.unlink()
    with pytest.raises(ReconnectError, match=r"file.txt cannot be opened .*: No such file"):
        snapshot.loads(data)


def test_what_was_written_after_the_snapshot_is_cut_off(tmp_path):
    """So what a run writes is there once, however often it is resumed."""
    path = tmp_path / "out"
    with path.open("w") as file:
        file.write("one\n")
        data = snapshot.dumps(file)
        assert path.read_text() == "one\n"  # flushed
        file.write("two, lost with the process\n")
    for _ in range(2):
        with snapshot.loads(data) as restored:
            restored.write("two\n")
        assert path.read_text() == "one\ntwo\n"
        assert (restored.mode, restored.name) == ("w", str(path))


def test_what_is_appended_to_is_not_cut(tmp_path):
    """Others may have added to it."""
    path = tmp_path / "log"
    with path.open("a") as file:
        file.write("mine\n")
        data = snapshot.dumps(file)
    with path.open("a") as other:
        other.write("of others\n")
    with snapshot.loads(data) as restored:
        restored.write("mine again\n")
    assert path.read_text() == "mine\nof others\nmine again\n"


def test_a_file_of_the_snapshot_is_never_made_or_emptied(tmp_path):
    """Also in the modes that do."""
    path = tmp_path / "out"
    with path.open("x") as file:
        file.write("one")
        data = snapshot.dumps(file)
    with snapshot.loads(data) as restored:
        assert (path.read_text(), restored.mode) == ("one", "x")
    path.unlink()
    with pytest.raises(ReconnectError, match="cannot be opened"):
        snapshot.loads(data)
    assert not path.exists()


def test_a_relative_name_leads_to_the_same_file_from_elsewhere(path, monkeypatch):
    """The path is remembered as it was; `name` is what it was."""
    monkeypatch.chdir(path.parent)
    with open(path.name, encoding="utf-8") as file:
        data = snapshot.dumps(file)
    monkeypatch.chdir("/")
    with snapshot.loads(data) as restored:
        assert (restored.name, restored.readline()) == ("file.txt", TEXT[: TEXT.index("\n") + 1])


def test_devices_are_opened_again():
    """They have no content that could change."""
    with open(os.devnull, "w", encoding="utf-8") as file, again(file) as restored:
        assert (restored.name, restored.write("x")) == (os.devnull, 1)


def test_a_named_temporary_file_that_is_gone_is_made_again(tmp_path):
    """At its path, with its content; and it is removed when it is closed."""
    import tempfile

    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        file.write(b"content")
        file.seek(3)
        data = snapshot.dumps(file)
    assert list(tmp_path.iterdir()) == []
    with snapshot.loads(data) as restored:
        assert (restored.read(), restored.name) == (b"tent", file.name)
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_two_variables_name_one_file(path):
    """And the buffer beneath a file of text is the file's."""
    with path.open(encoding="utf-8") as file:
        first, second = again([file, file])
    with first:
        assert first is second


def test_standard_streams_are_those_of_the_loading_process():
    """Each of them, and what lies beneath."""
    streams = [sys.__stdin__, sys.__stdout__, sys.__stderr__, sys.__stdout__.buffer, sys.__stderr__.buffer]
    assert all(one is other for one, other in zip(again(streams), streams, strict=True))


def test_a_file_in_a_plain_pickle_is_still_refused(path):
    """Only snapshots know files."""
    with path.open() as file, pytest.raises(TypeError):
        pickle.dumps(file)
