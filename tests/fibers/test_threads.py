"""One thread at a time runs a fiber; any thread may resume it (D6)."""

import threading

import pytest

from stackful import Fiber, FiberError, current, suspend


def in_thread(function, *arguments):
    """The result of the function, run in another thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(function(*arguments)))
    thread.start()
    thread.join()
    return results[0]


def nested(n):
    return [n, *nested(n - 1)] if n else [suspend(threading.get_ident())]


def test_a_fiber_goes_on_in_another_thread():
    """Begun here, ended there."""
    fiber = Fiber(nested, 50)
    here = fiber.resume()
    assert here == threading.get_ident()
    assert in_thread(fiber.resume, "x")[-1] == "x"


def test_a_fiber_comes_back_from_a_thread_that_has_ended():
    """Begun there, ended here."""
    fiber = Fiber(nested, 50)
    assert in_thread(fiber.resume) != threading.get_ident()
    assert fiber.resume("x")[-1] == "x"


def test_each_thread_has_its_own_current_fiber():
    """A fiber that runs here is not current elsewhere."""
    fiber = Fiber(lambda: in_thread(current))
    assert fiber.resume() is None


@pytest.mark.parametrize("act", ["resume", "close", "__copy__"])
def test_a_fiber_that_another_thread_runs_is_refused(act):
    """The other thread's fiber cannot be used; it is running, and its frames are not ours to see."""
    started, stop = threading.Event(), threading.Event()

    def body():
        started.set()
        stop.wait()
        return "unharmed"

    fiber = Fiber(body)
    thread = threading.Thread(target=fiber.resume)
    thread.start()
    started.wait()
    try:
        with pytest.raises(FiberError, match="running|another thread"):
            getattr(fiber, act)()
        assert (fiber.status, fiber.frames) == ("running", ())
    finally:
        stop.set()
        thread.join()
    assert fiber.result == "unharmed"


def test_exceptions_travel_between_threads():
    """A fiber begun here raises there."""

    def raises(fiber):
        with pytest.raises(KeyError):
            fiber.throw(KeyError)
        return fiber.status

    fiber = Fiber(nested, 5)
    fiber.resume()
    assert in_thread(raises, fiber) == "dead"


def test_a_thread_that_ends_leaves_its_suspended_fibers_whole():
    """Fibers outlive the threads that made them."""
    fibers = in_thread(lambda: [Fiber(nested, n) for n in range(5)])
    for fiber in fibers:
        in_thread(fiber.resume)
    assert [len(fiber.resume("x")) for fiber in fibers] == [1, 2, 3, 4, 5]
