"""`with`: one manager, several, nested, one that swallows the exception, one whose exit raises."""

import contextlib
import sys

from .registry import program


class Quiet:
    """Keeps nothing; swallows the named exceptions."""

    def __init__(self, *swallowed):
        self.swallowed = swallowed

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        return kind is not None and issubclass(kind, self.swallowed)


class Logged:
    """Notes its entry and exit in a list that the program holds too."""

    def __init__(self, log, name):
        self.log = log
        self.name = name

    def __enter__(self):
        self.log.append(f"+{self.name}")
        return self.name

    def __exit__(self, kind, error, traceback):
        self.log.append(f"-{self.name}:{kind and kind.__name__}")


class RaisesOnExit:
    def __enter__(self):
        return 5

    def __exit__(self, kind, error, traceback):
        raise ValueError(f"exit after {kind and kind.__name__}")


@program
def one_manager(point):
    with Quiet() as manager:
        inside = point(manager.swallowed)
    return inside, point("after")


@program
def the_manager_is_computed(point):
    with point(Quiet(KeyError)) as manager, point(Quiet()):
        point(1)
        raise KeyError(point(2))
    return point(manager.swallowed[0].__name__)


@program(shares_heap=True)
def entries_and_exits_are_ordered(point):
    log = []
    with Logged(log, point("a")) as a, Logged(log, point("b")) as b:
        log.append(point(a + b))
        with Logged(log, "c"):
            log.append(point("body"))
        point("between")
    return log


@program(shares_heap=True)
def parenthesised_managers(point):
    log = []
    with (
        Logged(log, point("x")) as x,
        Logged(log, x + "y") as y,
        Logged(log, point(y + "z")),
    ):
        point("body")
    return log


@program(shares_heap=True)
def the_manager_on_the_stack_is_the_local_one(point):
    log = []
    manager = Logged(log, "before")
    with manager:
        point(1)
        manager.name = "after"
        manager.log.append(point("changed"))
    return log, manager.log is log


@program
def an_exception_is_swallowed(point):
    seen = ()
    with Quiet(KeyError, ValueError):
        seen += (point("in"),)
        raise ValueError(point("gone"))
    seen += (point("after"), sys.exc_info()[1])
    return seen


@program
def an_exception_is_not_swallowed(point):
    with Quiet(KeyError):
        point("in")
        raise ValueError("through")


@program
def an_exit_that_raises(point):
    try:
        with RaisesOnExit() as value:
            point(value)
    except ValueError as error:
        return point(str(error)), repr(error.__context__)


@program
def an_exit_that_raises_over_an_error(point):
    try:
        with RaisesOnExit():
            raise KeyError(point("body"))
    except ValueError as error:
        return point(str(error)), repr(error.__context__)


@program
def jumps_out_of_with(point):
    seen = ()
    for item in range(5):
        with Quiet(), Quiet():
            if point(item) == 1:
                continue
            if item == 3:
                break
            seen += (point(item),)
    return seen


def returned_from_with(point):
    with Quiet():
        with Quiet():
            return point("returned")


@program
def a_return_out_of_with(point):
    return returned_from_with(point)


@program
def with_inside_try_inside_with(point):
    seen = ()
    with Quiet(IndexError):
        try:
            with Quiet(KeyError):
                seen += (point(1),)
                raise IndexError(point(2))
        finally:
            seen += (point(repr(sys.exc_info()[1])),)
    return seen


@program
def the_target_is_unpacked(point):
    with contextlib.nullcontext((point(1), (2, 3))) as (first, (second, third)):
        return point(first), second, point(third)


@program(shares_heap=True)
def the_target_is_a_subscript(point):
    table = {}
    with contextlib.nullcontext(point("value")) as table[point("key")]:
        point(1)
    return table


@program
def suppressed_by_the_library(point):
    with contextlib.suppress(KeyError, ZeroDivisionError):
        point(1)
        1 // point(0)
    return point("after")


@contextlib.contextmanager
def tagged(name):
    try:
        yield f"<{name}>"
    except KeyError as error:
        raise ValueError(name) from error


@program(shares_heap=True, unsaveable=True)
def a_manager_made_from_a_generator(point):
    with tagged(point("tag")) as text:
        inside = point(text)
    try:
        with tagged("other"):
            raise KeyError(point(3))
    except ValueError as error:
        return inside, point(str(error)), repr(error.__cause__)


@program(shares_heap=True, unsaveable=True)
def an_exit_stack(point):
    log = []
    with contextlib.ExitStack() as stack:
        for name in ("a", "b"):
            stack.enter_context(Logged(log, point(name)))
        stack.callback(log.append, point("callback"))
        log.append(point("body"))
    return log
