"""The timer behind --every, without a program."""

import threading
import time

import pytest

from stackful.durable.instrument import DUE
from stackful.durable.timer import Timer


@pytest.fixture
def due():
    """The globals of a program whose timer runs."""
    namespace = {}
    timer = Timer(namespace, every=0.001)
    namespace["timer"] = timer
    timer.start()
    yield namespace
    timer.stop()


def wait_until(condition):
    for _ in range(3000):
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_the_flag_is_set_in_time(due):
    """After the period the flag is up, and it stays up until somebody takes it down."""
    assert wait_until(lambda: due[DUE])
    assert due[DUE] is True


def test_a_rearmed_timer_asks_again(due):
    """Taking the flag down starts the next period."""
    for _ in range(3):
        assert wait_until(lambda: due[DUE])
        due["timer"].rearm()


def test_many_refusals_give_the_program_a_pause(due):
    """A program that cannot be suspended is not asked at every turn, but it is asked again."""
    assert wait_until(lambda: due[DUE])
    while due[DUE]:
        due["timer"].refused()
    assert wait_until(lambda: due[DUE])


def test_a_stopped_timer_says_not_due():
    """Functions of the script that run later find the name, and nothing to do."""
    namespace = {}
    timer = Timer(namespace, every=1000)
    timer.start()
    timer.stop()
    timer.stop()
    assert namespace == {DUE: None}


def test_a_script_that_counts_its_threads_counts_its_own():
    """The timer's thread is unknown to threading."""
    before = threading.active_count()
    with_timer = Timer({}, every=1000)
    with_timer.start()
    assert threading.active_count() == before
    with_timer.stop()
