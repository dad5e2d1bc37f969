"""The pickle inside of a snapshot."""

import io
import pickletools
import sys
import traceback
from decimal import Decimal

import pytest

from stackful import Fiber, SnapshotFormatError, snapshot, suspend
from stackful.snapshot.format import seal, unseal


def ask(question):
    return question + suspend(question)


def a_snapshot():
    fiber = Fiber(ask, "why? ")
    fiber.resume()
    return snapshot.dumps(fiber)


def test_a_body_is_a_pickle_that_tools_can_read():
    """Nothing is taken for granted that the body does not bring into the memo itself."""
    listing = io.StringIO()
    pickletools.dis(unseal(a_snapshot(), None), listing)
    assert "STOP" in listing.getvalue()


@pytest.mark.parametrize("word", [b"K\xff", b"N", b"]", b"J\xff\xff\xff\xff"], ids=["255", "None", "[]", "-1"])
def test_an_unknown_word_is_refused(word):
    """A body that asks for a word that this release does not know is no snapshot."""
    with pytest.raises(SnapshotFormatError, match="rebuilt"):
        snapshot.loads(seal(b"\x80\x05" + word + b"Q.", None))


def test_words_are_appended_only():
    """Where a word stands is part of the format: snapshots that exist refer to it by its index."""
    wanted = "fiber fill_fiber code function fill_function cell fill_cell module_globals Fiber NULL".split()
    words = [a for operation, a, _ in pickletools.genops(unseal(a_snapshot(), None)) if operation.name == "BININT1"]
    assert words[: len(wanted)] == list(range(len(wanted)))
    found = [snapshot.loads(seal(b"\x80\x05K" + bytes([i]) + b"Q.", None)) for i in range(len(wanted))]
    assert [getattr(word, "__name__", repr(word)) for word in found] == wanted


def test_a_class_made_in_c_goes_by_its_name(monkeypatch):
    """Also when nobody has imported the module that it names: Python itself makes t-strings without `string.templatelib` (3.14)."""
    fiber = Fiber(ask, Decimal("1.5"))
    fiber.resume()
    monkeypatch.delitem(sys.modules, "decimal")
    assert snapshot.loads(snapshot.dumps(fiber)).resume(1) == Decimal("2.5")


def test_a_restored_traceback_keeps_nothing_of_whoever_restored_it():
    """Its frames have no frame below them: the loader's locals are not held as long as the exception."""
    try:
        raise ValueError
    except ValueError as error:
        data = snapshot.dumps(error)
    restored = snapshot.loads(data)
    assert (
        restored.__traceback__.tb_frame.f_code.co_name
        == "test_a_restored_traceback_keeps_nothing_of_whoever_restored_it"
    )
    assert restored.__traceback__.tb_frame.f_back is None
    assert "raise ValueError" in "".join(traceback.format_exception(restored))
