"""What greenlet's own tests leave out: throwing from one greenlet into another, where neither is the main one."""

import gc
import sys
import threading
from functools import partial

import pytest

from stackful.compat.greenlet import GreenletExit, getcurrent, greenlet


def waiting(log):
    """A greenlet that waits for the second time."""

    def run():
        try:
            return getcurrent().parent.switch("waits")
        except KeyError as error:
            return "caught", error.args
        finally:
            log.append("ended")

    one = greenlet(run)
    assert one.switch() == "waits"
    return one


def behind_c_code(function):
    return lambda: max([0], key=lambda _: function())


@pytest.mark.parametrize("thrower", [lambda function: function, behind_c_code], ids=["plainly", "behind C code"])
def test_a_greenlet_throws_into_its_sibling(thrower):
    """The exception is raised where the sibling waits; what that returns goes to the sibling's parent."""
    log = []
    one = waiting(log)
    other = greenlet(thrower(lambda: one.throw(KeyError("thrown"))))
    assert other.switch() == ("caught", ("thrown",))
    assert one.dead
    assert not other.dead
    assert log == ["ended"]


def test_a_greenlet_ends_its_sibling():
    """GreenletExit, the default, ends it, and its parent gets the exception as a value."""
    log = []
    one = waiting(log)
    got = greenlet(lambda: one.throw()).switch()
    assert isinstance(got, GreenletExit)
    assert one.dead
    assert log == ["ended"]


def test_what_a_sibling_does_not_catch_goes_to_its_parent():
    """Not to who has thrown it."""
    log = []
    one = waiting(log)
    other = greenlet(lambda: one.throw(LookupError("thrown")))
    with pytest.raises(LookupError, match="thrown"):
        other.switch()
    assert log == ["ended"]


def test_greenlets_that_another_thread_collects_disturb_nobody(monkeypatch):
    """They end, there or when this thread next asks for its greenlets; what goes wrong in that is reported, not raised."""
    log, reported = [], []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: reported.append(report.exc_type))

    def waits(cycle):
        try:
            getcurrent().parent.switch()
        finally:
            log.append(len(cycle))
            raise LookupError("in the end")

    for _ in range(20):
        cycle = []
        cycle.append(greenlet(partial(waits, cycle)))
        cycle[0].switch()
        cycle.append(cycle)
        box = [cycle]
        del cycle
        thread = threading.Thread(target=lambda: (box.clear(), gc.collect()))  # noqa: B023 - joined at once
        thread.start()
        thread.join()
        assert getcurrent().parent is None
    gc.collect()
    assert len(log) <= 20
    assert set(reported) <= {LookupError}
