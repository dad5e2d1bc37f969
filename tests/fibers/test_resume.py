"""Values go into and out of a fiber as its calls say."""

import pytest

from stackful import Fiber, FiberError, current, is_suspendable, suspend


def add(a, b=10, *, c=100):
    return a + b + c


def countdown(n):
    return "end" if n == 0 else (suspend(n), countdown(n - 1))[1]


def nested(n):
    return suspend("deep") if n == 0 else nested(n - 1) + 1


def test_nothing_runs_before_the_first_resume():
    """Making a fiber runs none of its function."""
    ran = []
    Fiber(ran.append, 1)
    assert ran == []


def test_arguments_reach_the_function():
    """Positional and keyword arguments are passed on."""
    assert Fiber(add, 1, c=3).resume() == 14


def test_a_function_without_suspension_returns_through_resume():
    """The first resume gives the result when nothing suspends."""
    fiber = Fiber(add, 1, 2)
    assert (fiber.resume(), fiber.result, fiber.status) == (103, 103, "dead")


def test_resume_gives_what_suspend_was_given():
    """Each resume gives the value of the suspension that it runs into."""
    fiber = Fiber(countdown, 2)
    assert [fiber.resume() for _ in range(3)] == [2, 1, "end"]


def test_suspend_gives_what_resume_was_given():
    """The value of a resume is the value of the suspend that waited."""
    fiber = Fiber(lambda: (suspend(), suspend()))
    fiber.resume()
    fiber.resume("first")
    assert fiber.resume("second") == ("first", "second")


def test_suspend_without_value_gives_none():
    """suspend() hands out None."""
    assert Fiber(lambda: suspend()).resume() is None


def test_value_returns_through_many_frames():
    """After a resume the suspended frames return one to the other."""
    fiber = Fiber(nested, 500)
    fiber.resume()
    assert fiber.resume(0) == 500


@pytest.mark.parametrize("suspend_as", [lambda v: suspend(v), lambda v: suspend(value=v)])
def test_suspend_takes_its_value_by_position_or_name(suspend_as):
    """Both ways of calling suspend hand out the value."""
    assert Fiber(suspend_as, 3).resume() == 3


def test_first_resume_takes_no_value():
    """A value for a fiber that has not begun is refused, and the fiber stays usable."""
    fiber = Fiber(add, 1)
    with pytest.raises(FiberError, match="with the value 5: the first time"):
        fiber.resume(5)
    assert fiber.resume() == 111


def test_resume_takes_one_value():
    """Two values are refused, and nothing runs."""
    fiber = Fiber(add, 1)
    with pytest.raises(TypeError, match="at most 1 argument, got 2"):
        fiber.resume(1, 2)
    assert fiber.status == "suspended"


def test_a_function_must_be_callable():
    """Fiber(3) is refused."""
    with pytest.raises(TypeError, match="must be callable"):
        Fiber(3)


def test_a_function_is_needed():
    """Fiber() is refused."""
    with pytest.raises(TypeError, match="must be callable"):
        Fiber()


def test_wrong_arguments_leave_through_the_first_resume():
    """The TypeError of a wrong call comes when the call is made."""
    fiber = Fiber(add)
    with pytest.raises(TypeError, match="missing 1 required"):
        fiber.resume()
    assert fiber.status == "dead"


def test_bound_methods_can_suspend():
    """A bound method is run like the function it binds."""

    class Greeter:
        def greet(self, name):
            return suspend((self, name))

    greeter = Greeter()
    fiber = Fiber(greeter.greet, "x")
    assert fiber.resume() == (greeter, "x")
    assert fiber.resume(1) == 1


@pytest.mark.parametrize("body", [list, len, iter, repr])
def test_c_functions_may_be_bodies(body):
    """A fiber of a C function runs it in one go."""
    fiber = Fiber(body, [1])
    fiber.resume()
    assert fiber.status == "dead"


def test_fibers_resume_fibers():
    """A fiber that resumes another gets what that one suspends with."""

    def outer():
        inner = Fiber(countdown, 2)
        return [suspend(inner.resume()), inner.resume()]

    fiber = Fiber(outer)
    assert fiber.resume() == 2
    assert fiber.resume("x") == ["x", 1]


def test_two_fibers_of_one_function_are_independent():
    """Each fiber has frames of its own."""
    one, two = Fiber(countdown, 3), Fiber(countdown, 5)
    assert [one.resume(), two.resume(), one.resume(), two.resume()] == [3, 5, 2, 4]


def test_current_is_the_running_fiber():
    """current() gives the fiber that runs, and None outside of any."""
    fiber = Fiber(lambda: current())
    assert fiber.resume() is fiber
    assert current() is None


def test_current_after_a_nested_fiber_suspended():
    """When an inner fiber suspends, its resumer is current again."""

    def outer():
        Fiber(countdown, 1).resume()
        return current()

    fiber = Fiber(outer)
    assert fiber.resume() is fiber


def test_suspending_outside_of_a_fiber_is_refused():
    """suspend() in the main program raises."""
    with pytest.raises(FiberError, match="outside of any fiber"):
        suspend()


def test_is_suspendable_inside_and_outside():
    """is_suspendable() tells whether suspend would succeed."""
    assert not is_suspendable()
    assert Fiber(lambda: [is_suspendable()]).resume() == [True]


def test_the_value_is_released_once_it_was_handed_out():
    """A fiber keeps no reference to what went out and in."""
    import weakref

    class Value:
        pass

    def body():
        while True:
            suspend(Value())

    fiber = Fiber(body)
    out = weakref.ref(fiber.resume())
    value = Value()
    came_in = weakref.ref(value)
    fiber.resume(value)
    del value
    assert (out(), came_in()) == (None, None)


def test_a_destructor_cannot_resume_a_fiber_that_is_being_left():
    """The arguments of a function are dropped when it has first suspended, which is not over yet: their destructors cannot resume it."""
    seen = []

    class Late:
        def __del__(self):
            try:
                seen.append(fiber.resume())
            except FiberError as error:
                seen.append("being changed" in str(error))

    def body(late):
        del late
        return suspend("first")

    fiber = Fiber(body, Late())
    assert fiber.resume() == "first"
    assert seen == [True]
    assert fiber.resume("end") == "end"
