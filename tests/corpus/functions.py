"""Functions: closures, cells, `nonlocal`, defaults, keyword-only and positional-only parameters, decorators."""

import functools
import sys

from .registry import program


@program
def a_closure_over_a_parameter(point):
    def make_adder(base):
        def add(value):
            return point(base) + point(value)

        return add

    add_one, add_ten = make_adder(point(1)), make_adder(10)
    return add_one(point(5)), add_ten(point(5))


@program(shares_heap=True)
def a_counter_in_a_cell(point):
    count = 0

    def increment():
        nonlocal count
        count += point(1)
        return count

    return increment(), point(increment()), count, increment()


@program(shares_heap=True)
def two_functions_share_a_cell(point):
    balance = point(100)

    def deposit(amount):
        nonlocal balance
        balance += point(amount)

    def read():
        return point(balance)

    deposit(5)
    first = read()
    balance = balance * 2
    deposit(point(7))
    return first, read(), balance


@program(shares_heap=True)
def cells_three_levels_deep(point):
    level = point("outer")

    def middle():
        own = point("middle")

        def inner():
            nonlocal level, own
            level, own = point(level + "!"), own + "?"
            return level + own

        return inner() + point(inner()), own

    return middle(), level


@program(shares_heap=True)
def a_cell_is_deleted_and_bound_again(point):
    value = point(1)

    def read():
        try:
            return value
        except NameError:
            return point("unbound")

    first = read()
    del value
    second = read()
    value = point(3)
    return first, second, read()


@program(shares_heap=True)
def a_cell_that_is_empty_at_first(point):
    def is_even(number):
        return True if point(number) == 0 else is_odd(number - 1)

    point("half defined")

    def is_odd(number):
        return False if point(number) == 0 else is_even(number - 1)

    return is_even(4), is_odd(2)


@program
def a_parameter_that_is_a_cell(point):
    def outer(value, other=point(2)):
        def inner():
            return point(value) + other

        return inner() + value

    return outer(point(1))


@program
def lambdas_on_one_line(point):
    first, second, third = lambda: point(1), lambda: point(2), lambda x: (lambda y: point(x) - point(y))
    point("made")
    return first(), second(), third(9)(4)


@program
def defaults(point):
    def with_defaults(a, b=point(2), *rest, c, d=point(4), **more):
        return point(a), b, rest, c, point(d), more

    point("defined")
    return with_defaults(1, c=3), with_defaults(point(1), 20, 30, c=point(3), e=point(5))


@program(shares_heap=True)
def a_mutable_default(point):
    def remember(item, seen=[point(0)]):
        seen.append(point(item))
        return tuple(seen)

    remember(1)
    return remember(point(2))


@program
def positional_only_and_keyword_only(point):
    def strict(a, b=2, /, c=3, *, d, e=point(5)):
        return a, b, c, point(d), e

    try:
        strict(a=1, d=point(2))
    except TypeError as error:
        message = type(error).__name__
    return strict(point(1), d=4), strict(1, 2, c=point(30), d=40, e=50), message


@program
def variable_parameters_in_the_callee(point):
    def gather(*args, **kwargs):
        return point(args), point(sorted(kwargs.items()))

    return gather(), gather(point(1), 2), gather(3, x=point(4), y=5)


def announced(function):
    function.announced = True
    return function


def wrapped(point):
    def decorate(function):
        point("decorating")

        def wrapper(value):
            return ("wrapped", point(function(value)))

        return wrapper

    return decorate


@program
def decorators(point):
    @announced
    @wrapped(point)
    def triple(value):
        return point(value) * 3

    return triple(point(2)), triple.announced


def suspended_decorator(function):
    """Calls the decorated function while decorating, so that the program stops inside of the decoration."""
    return function()


@program
def a_decorator_that_runs_the_function(point):
    @suspended_decorator
    def value():
        return point(1) + point(2)

    @point
    def other():
        return point(3)

    return value, other()


if sys.version_info < (3, 14):  # later they are computed when they are asked for: see syntax_314 and barriers

    @program
    def annotations(point):
        def typed(a: point(int), *b: point("star"), c: str = point("c")) -> point(None):
            return a, b, c

        return typed(point(1)), list(typed.__annotations__)


@program
def defaults_of_an_annotated_function(point):
    def typed(a: int, *b: str, c: str = point("c")) -> None:
        return a, b, c

    return typed(point(1)), list(typed.__annotations__)


@program
def function_attributes(point):
    def noted():
        return point(noted.note)

    noted.note = point("first")
    noted.__doc__ = "changed"
    point("between")
    return noted(), noted.__doc__, noted.__name__


@program
def a_function_passed_around(point):
    def twice(function, value):
        return function(point(function(value)))

    return twice(lambda x: point(x) + 1, point(1)), twice(str.upper, "a")


def compose(*functions):
    def composed(value):
        for function in functions:
            value = function(value)
        return value

    return composed


@program
def functions_in_a_tuple(point):
    return compose(point, lambda value: value + point(1), str, point)(point(41))


@functools.lru_cache(maxsize=None)
def cached(value):
    return value * value


@program
def a_cached_function(point):
    function = cached
    first = function(point(3))
    return first, function(point(3)), function is cached


@program(shares_heap=True)
def a_closure_kept_in_a_container(point):
    handlers = {}
    for name in ("x", "y"):
        def handler(suffix, name=name):
            return point(name) + suffix

        handlers[point(name)] = handler
    return handlers["x"](point("1")), handlers["y"]("2")


@program
def arguments_evaluated_in_order(point):
    def show(a, b, *c, d, e):
        return a, b, c, d, e

    return show(point(1), point(2), point(3), e=point(5), d=point(4))


@program
def a_call_with_the_wrong_arguments(point):
    def strict(a):
        return point(a)

    try:
        return strict(point(1), point(2))
    except TypeError:
        return point("refused"), strict(3)


@program
def a_function_that_returns_nothing(point):
    def nothing():
        point("work")

    return nothing(), nothing() is point(None)


@program(shares_heap=True)
def a_self_referring_closure(point):
    def countdown(number):
        held = (countdown, number)
        return point(number) and held[0](number - 1)

    return countdown(3)
