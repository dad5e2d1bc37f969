"""What greenlet's own tests leave out: throwing from one greenlet into another, where neither is the main one."""

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
