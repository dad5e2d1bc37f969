"""A suspended fiber that is dropped is closed, once; copies are not (D4)."""

import copy
import gc
import sys
import weakref

from stackful import Fiber, FiberError, FiberExit, suspend


def body(log):
    try:
        suspend()
    finally:
        log.append("finally")


def started(function, *arguments):
    fiber = Fiber(function, *arguments)
    fiber.resume()
    return fiber


def unraisable_of(run):
    """The types of the exceptions that `run` could not raise."""
    seen, hook = [], sys.unraisablehook
    sys.unraisablehook = lambda args: seen.append(type(args.exc_value))
    try:
        run()
    finally:
        sys.unraisablehook = hook
    return seen


def test_dropping_runs_finally():
    """The finally blocks of a dropped fiber run at once."""
    log = []
    started(body, log)
    assert log == ["finally"]


def test_dropping_a_fresh_fiber_runs_nothing():
    """A fiber that has not begun has nothing to end."""
    log = []
    Fiber(body, log)
    assert log == []


def test_dropping_raises_fiber_exit():
    """The exception that ends a dropped fiber is FiberExit."""
    log = []

    def watching():
        try:
            suspend()
        except BaseException as error:
            log.append(type(error))
            raise

    started(watching)
    assert log == [FiberExit]


def test_a_closed_fiber_is_not_closed_again():
    """Closing and then dropping runs finally once."""
    log = []
    started(body, log).close()
    assert log == ["finally"]


def test_an_error_in_finally_is_unraisable():
    """What a dropped fiber raises goes to sys.unraisablehook."""

    def failing():
        try:
            suspend()
        finally:
            raise KeyError

    assert unraisable_of(lambda: started(failing) and None) == [KeyError]


def test_suspending_while_dropped_is_unraisable():
    """A dropped fiber that suspends again is reported and let go."""

    def stubborn():
        while True:
            try:
                suspend()
            except FiberExit:
                pass

    assert unraisable_of(lambda: started(stubborn) and None) == [FiberError]


def test_a_fiber_may_save_itself():
    """A finally block that stores its fiber revives it: dead, but whole."""
    from stackful import current

    saved = []

    def saving():
        try:
            suspend()
        finally:
            saved.append(current())

    started(saving)
    assert saved.pop().status == "dead"


def test_weak_references_see_the_end():
    """A weak reference to a dropped fiber is cleared and calls back."""
    called = []
    fiber = started(body, [])
    reference = weakref.ref(fiber, called.append)
    del fiber
    assert (reference(), called) == (None, [reference])


def test_dropping_keeps_the_exception_that_is_on_its_way():
    """A fiber closed while an exception unwinds does not disturb it."""
    log = []

    def holder():
        fiber = started(body, log)
        raise KeyError(fiber.status)

    try:
        holder()
    except KeyError as error:
        assert error.args == ("suspended",)
        error.__traceback__ = None
    assert log == ["finally"]


def test_destructors_of_locals_run_when_a_copy_is_dropped():
    """A dropped copy releases what its frames refer to."""

    class Thing:
        pass

    def keeping():
        thing = suspend()
        suspend()
        return thing

    twin = copy.copy(started(keeping))
    thing = Thing()
    reference = weakref.ref(thing)
    twin.resume(thing)
    del thing, twin
    assert reference() is None


def test_a_subclass_with_a_destructor_can_close():
    """__del__ of a subclass may leave the rest to Fiber's."""

    class Noting(Fiber):
        def __del__(self):
            log.append(self.status)
            super().__del__()

    log = []
    fiber = Noting(body, log)
    fiber.resume()
    del fiber
    assert log == ["suspended", "finally"]


def test_finalisation_happens_in_the_collector_too():
    """A fiber in a reference cycle is closed by gc."""
    log = []
    cycle = [started(body, log)]
    cycle.append(cycle)
    del cycle
    gc.collect()
    assert log == ["finally"]
