"""Comprehensions of each kind, suspended while they are in progress."""

import sys

from .registry import program


@program
def a_list_in_progress(point):
    return [point(item) * 2 for item in range(point(4))]


@program
def a_set_in_progress(point):
    return {point(item) % 3 for item in [1, 2, 3, 4]}


@program
def a_dict_in_progress(point):
    return {point(key): point(value) for key, value in zip("abc", [1, 2, 3])}


@program
def conditions(point):
    return [point(item) for item in range(8) if point(item) % 2 if item > 2]


@program
def two_loops(point):
    return [(point(i), point(j)) for i in range(3) if i for j in "ab"]


@program
def the_inner_loop_depends_on_the_outer(point):
    return [point(item) for row in [[1, 2], [], [3]] for item in point(row)]


@program(shares_heap=sys.version_info < (3, 12))  # there `i` is a cell, hence shared
def nested_comprehensions(point):
    return [[point(i * j) for j in range(3)] for i in point([1, 2])]


@program
def three_kinds_inside_one_another(point):
    return {point(key): [{point(item)} for item in range(key)] for key in (1, 2)}


@program
def a_comprehension_over_a_comprehension(point):
    return [point(item) + 1 for item in [point(item) * 2 for item in (1, 2, 3)]]


@program
def a_comprehension_that_closes_over_locals(point):
    base, step = point(10), 3
    return [base + point(item) * step for item in range(3)]


@program
def lambdas_made_by_a_comprehension(point):
    adders = [lambda value, item=item: value + point(item) for item in range(3)]
    return [adder(point(10)) for adder in adders]


@program(shares_heap=True)
def lambdas_that_share_the_loop_cell(point):
    functions = [lambda: point(item) for item in range(3)]
    return [function() for function in functions]


@program
def the_loop_name_does_not_leak(point):
    item = "outer"
    squares = [point(item) ** 2 for item in (1, 2)]
    return item, point(squares)


@program
def assignment_expressions_inside(point):
    last = None
    squares = [last := point(item) * 10 for item in (1, 2, 3)]
    return squares, last


@program
def running_total(point):
    total = 0
    return [total := total + point(item) for item in (1, 2, 3)], total


@program
def starred_and_conditional_elements(point):
    return [(*point((item,)), "even" if point(item) % 2 == 0 else "odd") for item in range(3)]


@program
def a_comprehension_as_an_argument(point):
    return sum([point(item) for item in range(4)]), max({point(item) for item in (1, 5)}), point("end")


@program
def a_comprehension_in_a_condition(point):
    if [item for item in range(3) if point(item) > 1]:
        return point("some")
    return "none"


def triangle(point, size):
    return [point(size)] + [item for row in range(size) for item in triangle(point, row)]


@program
def recursive_comprehensions(point):
    return triangle(point, 3)


@program
def an_error_in_the_middle(point):
    try:
        return [10 // point(item) for item in (5, 2, 0, 1)]
    except ZeroDivisionError:
        return point("divided")


@program
def unpacking_in_the_header(point):
    return {point(name): tuple(rest) for name, *rest in [("a", 1, 2), ("b",)]}


@program(shares_heap=True)
def a_generator_expression_made_here_and_used_later(point):
    limit = point(3)
    pending = (item * limit for item in range(limit))
    point("between")
    return list(pending)
