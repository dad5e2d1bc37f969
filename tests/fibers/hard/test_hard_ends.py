"""How fibers end that wait with their C stack: closed, dropped, collected; in other threads; by destructors."""

import gc
import sys
import threading
import weakref

import pytest

from stackful import Fiber, FiberError, FiberExit, current, generator, suspend, yield_


@pytest.fixture
def unraisable(monkeypatch):
    """What finalisers could not raise."""
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda report: seen.append(str(report.exc_value)))
    return seen


def in_thread(act):
    """Call `act` in another thread."""
    results = []
    thread = threading.Thread(target=lambda: results.append(act()))
    thread.start()
    thread.join()
    return results[0]


def waits(log, key=suspend):
    """Wait in sorted(), and log who ends that."""
    try:
        return sorted([1], key=key)
    finally:
        log.append(threading.current_thread().name)


def waiting(log, cls=Fiber):
    fiber = cls(waits, log)
    fiber.resume()
    return fiber


class Destroyed(Fiber):
    """A subclass that forgets the destructor of its base."""

    def __del__(self):
        self.note = "gone"


def test_a_dropped_fiber_ends_at_once():
    """FiberExit leaves through the C code, and all that its frames held dies."""
    log = []

    class Held:
        pass

    held = Held()
    dead = weakref.ref(held)
    fiber = Fiber(lambda held: sorted([held], key=lambda item: waits(log)), held)
    fiber.resume()
    del held, fiber
    assert log and dead() is None


def test_a_subclass_with_a_destructor_of_its_own_ends_all_the_same():
    """What waits in C code is ended, whoever's `__del__` was called instead."""
    log = []
    for _ in range(2):
        fiber = waiting(log, Destroyed)
        del fiber
    fiber = waiting(log, Destroyed)
    fiber.me = fiber
    del fiber
    gc.collect()
    assert len(log) == 3


def test_cycles_through_locals_of_kept_frames_are_collected():
    """In the frames that C code has called, and in those beyond."""
    log = []

    def body(box):
        inner = [box, current]
        return waits(log), inner

    for _ in range(2):
        box = []
        fiber = Fiber(body, box)
        fiber.resume()
        box.append(fiber)
        dead = weakref.ref(fiber)
        del fiber, box
        gc.collect()
        assert dead() is None
    assert len(log) == 2


def test_a_cycle_through_what_c_code_holds_lives_or_is_closed():
    """The collector does not know the C stack, nor evaluation stacks that C code interrupts: what these hold is in use.

    From 3.14 on they borrow what a variable holds (LOAD_FAST_BORROW): the collector sees all of this cycle, and closes the fiber.
    """
    log = []

    def body(box):
        return waits(log, lambda _: suspend(box))

    box = []
    box.append(Fiber(body, box))
    dead = weakref.ref(box[0])
    assert box[0].resume() is box
    del box
    gc.collect()
    if sys.version_info < (3, 14):
        assert (dead().status, log) == ("suspended", [])
        dead().close()
        gc.collect()
    assert dead() is None
    assert log == ["MainThread"]


def test_what_kept_frames_hold_from_outside_is_not_collected():
    """The collector sees what is in a kept frame as in use."""

    def body():
        held = [object()]
        held.append(held)
        dead = weakref.ref(Node(held))
        node = Node(held)
        return sorted([0], key=lambda _: suspend(dead) or [node.value is held, 0][1])

    class Node:
        def __init__(self, value):
            self.value = value

    fiber = Fiber(body)
    fiber.resume()
    for _ in range(3):
        gc.collect()
    assert fiber.resume() == [0]


def test_a_kept_fiber_belongs_to_its_thread():
    """Another thread cannot resume it, throw into it or close it; it is as it was."""
    log = []
    fiber = waiting(log)

    def attempt():
        refused = 0
        for act in (fiber.resume, fiber.close, lambda: fiber.throw(KeyError)):
            with pytest.raises(FiberError, match="only in the thread in which it began"):
                act()
            refused += 1
        return refused, fiber.status, len(fiber.frames)

    assert in_thread(attempt) == (3, "suspended", 1)
    assert fiber.resume(1) == [1]


@pytest.mark.parametrize("how", ["dropped", "collected"])
def test_a_fiber_dropped_in_another_thread_ends_in_its_own(how):
    """It waits until its own thread runs a fiber."""
    log = []
    box = [waiting(log)]
    if how == "collected":
        box.append(box)
        held = [box]
        del box
        in_thread(lambda: held.clear() or gc.collect())
    else:
        in_thread(box.clear)
    assert log == []
    Fiber(int).resume()
    assert log == [threading.current_thread().name]


@pytest.mark.no_leakcheck("what waits for a thread that has ended lives on")
def test_a_fiber_whose_thread_has_ended_never_goes_on():
    """It can be looked at, and dropped, from anywhere; a new thread is not taken for the old one."""
    log = []
    fiber = in_thread(lambda: waiting(log))
    with pytest.raises(FiberError, match="only in the thread"):
        fiber.resume()
    box = [fiber]
    for _ in range(3):
        with pytest.raises(FiberError, match="only in the thread"):
            raise in_thread(lambda: pytest.raises(FiberError, box[0].resume).value)
        assert fiber.status == "suspended"
    box.clear()
    del fiber
    gc.collect()
    assert log == []


def test_finally_may_suspend_again_while_the_fiber_is_closed():
    """close() says so; the fiber waits there, hard or soft, and goes on when it is resumed."""

    def body(act):
        try:
            sorted([1], key=suspend)
        finally:
            act("again")

    for act in (suspend, lambda value: sorted([value], key=suspend)):
        fiber = Fiber(body, act)
        fiber.resume()
        with pytest.raises(FiberError, match="suspended while it was being closed"):
            fiber.close()
        assert fiber.status == "suspended"
        with pytest.raises(FiberExit):
            fiber.resume("x")
        assert fiber.status == "dead"


@pytest.mark.no_leakcheck("what does not end lives on")
def test_a_dropped_fiber_that_suspends_again_in_c_code_lives_on(unraisable):
    """Nobody but it knows what its C code holds."""
    kept = []

    def body():
        try:
            sorted([1], key=suspend)
        except FiberExit:
            kept.append(weakref.ref(current()))
            sorted([1], key=suspend)

    fiber = Fiber(body)
    fiber.resume()
    del fiber
    assert len(unraisable) == 1
    fiber = kept[0]()
    assert fiber.status == "suspended"
    fiber.close()
    assert fiber.status == "dead"


def test_a_fiber_that_was_finalised_once_is_ended_again():
    """Brought back by its own `finally`, and suspended in C code since then."""
    log, kept = [], []

    def body():
        try:
            suspend()
        finally:
            kept.append(current())
            suspend()
            waits(log)

    fiber = Fiber(body)
    fiber.resume()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "unraisablehook", lambda report: None)
        del fiber
    fiber = kept.pop()
    fiber.resume()
    del fiber
    assert len(log) == 1


class Suspends:
    """Suspends when it dies."""

    def __init__(self, log):
        self.log = log

    def __del__(self):
        try:
            suspend("del")
            self.log.append("suspended")
        except RuntimeError as error:
            self.log.append(type(error).__name__)


def test_destructors_between_two_frames_suspend_or_are_refused():
    """Which of the two depends on who drops the last reference, the interpreter or the driver; the program goes on."""

    def deep(n, held):
        return deep(n - 1, Suspends(log)) if n else suspend("deep")

    def fails(n, held):
        if n:
            fails(n - 1, Suspends(log))
        suspend("fails")
        raise ValueError

    def body():
        deep(3, Suspends(log))
        try:
            fails(3, Suspends(log))
        except ValueError:
            return suspend("caught")

    log, values = [], []
    fiber = Fiber(body)
    while fiber.status != "dead":
        values.append(fiber.resume())
    assert len(log) == 8
    assert set(log) <= {"suspended", "BarrierError"}
    assert [value for value in values if value != "del"] == ["deep", "fails", "caught", None]


def test_a_collection_does_not_suspend(unraisable):
    """While the collector is at work, a destructor's `suspend` is refused."""
    log = []

    def body():
        cycle = [Suspends(log)]
        cycle.append(cycle)
        del cycle
        gc.collect()
        return "went on"

    assert Fiber(lambda: sorted([0], key=lambda _: len(body()))).resume() == [0]
    assert log == ["BarrierError"]


def test_generators_end_like_fibers():
    """A dropped generator that waits in C code is closed."""
    log = []
    one = generator(waits)(log, yield_)
    assert next(one) == 1
    del one
    assert len(log) == 1
