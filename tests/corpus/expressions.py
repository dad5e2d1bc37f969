"""Expressions half evaluated: operators, comparisons, conditions, slices, calls and displays."""

import math

from .registry import program


@program
def arithmetic(point):
    return (point(7) + point(3)) * point(2) - point(9) // (point(1) + 1) ** point(2) % point(5)


@program
def every_binary_operator(point):
    a, b = point(13), point(3)
    return (
        a + point(b), a - point(b), a * point(b), a / point(b), a // point(b), a % point(b), a ** point(b),
        a << point(b), a >> point(b), a & point(b), a | point(b), a ^ point(b),
    )


class Matrix:
    """Supports `@`."""

    def __init__(self, value):
        self.value = value

    def __matmul__(self, other):
        return self.value * 100 + other.value


@program
def matrix_multiplication_and_unary_operators(point):
    return point(Matrix(2)) @ point(Matrix(5)), -point(1), +point(2), ~point(3), not point(0)


@program
def floats_complex_and_big_integers(point):
    return point(0.5) + point(1e300) * 0, point(1j) * point(2 - 1j), point(2**100) // point(3**50)


@program
def chained_comparisons(point):
    return (
        point(1) < point(2) < point(3),
        point(1) < point(0) < point(9),
        1 == point(1.0) != point(2) >= point(2) > point(-1) <= point(0),
    )


@program
def a_chained_comparison_in_a_condition(point):
    seen = ()
    for value in (1, 5, 9):
        if 2 < point(value) <= point(7):
            seen += (point("inside"),)
        elif not 0 < point(value) < point(4):
            seen += (point("far"),)
        else:
            seen += (point("near"),)
    return seen


@program
def membership_and_identity(point):
    names = ("a", "b")
    return point("a") in point(names), point("c") not in names, point(None) is None, point(names) is not names


@program
def boolean_operators(point):
    return (
        point(0) or point("") or point("last"),
        point(1) and point([]) and point("never"),
        (point(0) or point(2)) and not point(0),
        point(None) and point(1) or point(3),
    )


@program
def conditional_expressions(point):
    return [point("yes") if point(flag) else point("no") for flag in (1, 0)], (
        point(1) if point(False) else point(2) if point(True) else point(3)
    )


@program
def assignment_expressions(point):
    if (count := point(3)) > 2 and (half := point(count) / 2):
        count += (extra := point(10))
        return count, half, extra
    return None


@program
def assignment_expressions_drive_a_loop(point):
    items = (1, 2, 3)
    seen = ()
    while (head := point(items[:1])) and (items := items[1:]) is not None:
        seen += (point(head),)
    return seen


@program
def subscripts_and_slices(point):
    items = list(range(point(10)))
    return (
        items[point(3)],
        items[point(1) : point(8) : point(3)],
        items[: point(2)],
        items[point(-2) :],
        items[:: point(-4)],
        point("text")[point(0)],
        {point("k"): point("v")}[point("k")],
    )


class Sliced:
    """Returns what it is subscripted with."""

    def __getitem__(self, key):
        return repr(key)


@program
def extended_subscripts(point):
    probe = Sliced()
    return probe[point(1), point(2)], probe[point(1) : 2, ..., point(3) : None : point(4)], probe[()]


@program
def a_list_display_half_built(point):
    return [point(1), point(2), *point((3, 4)), point(5), *[point(6)], point(7)]


@program
def a_tuple_display_half_built(point):
    return point(1), *point([2]), point(3), *"ab", point((4,))


@program
def a_set_display_half_built(point):
    return {point(1), *point([2, 3]), point(2), *{point(4)}}


@program
def a_dict_display_half_built(point):
    return {
        point("a"): point(1),
        **point({"b": 2}),
        "c": point(3),
        **{point("a"): point(4)},
        point("d"): [point(5), {point("e"): ()}],
    }


def collect(*args, **kwargs):
    return args, kwargs


@program
def call_arguments_half_evaluated(point):
    return collect(point(1), point(2), third=point(3), fourth=point(4)), point("end")


@program
def starred_calls_half_evaluated(point):
    return (
        collect(*point((1, 2)), point(3), *[point(4)], a=point(5), **point({"b": 6}), **{"c": point(7)}),
        collect(point(0), **{"x": point(1)}),
        collect(*point([])),
    )


@program
def nested_calls(point):
    return max(point(1), min(point(5), abs(point(-3))), len(point("xy"))), divmod(point(17), point(5))


@program
def module_functions(point):
    return math.gcd(point(12), point(18)), math.floor(point(2.5)), math.prod([point(2), point(3)])


@program(shares_heap=True)
def methods_with_a_receiver_on_the_stack(point):
    items = [1]
    items.append(point(2))
    items.extend([point(3), point(4)])
    items.insert(point(0), items.pop(point(1)))
    return items, items.index(point(3)), "-".join([point("a"), point("b")]), "{}{}".format(point(1), point(2))


def is_same(left, between, right):
    return left is right


@program
def values_on_the_stack_keep_their_identity(point):
    items, table, chars = [1], {2: 3}, {4}
    iterator = iter(items)
    return (
        is_same(items, point(1), items),
        is_same(table, point(2), table),
        is_same(chars, point(3), chars),
        is_same(iterator, point(4), iterator),
        is_same(items, point(items), [items][0]),
    )


@program
def one_object_in_three_slots(point):
    shared = [point(1)]
    pair = (shared, shared)
    return [shared is pair[0], pair[point(0)] is point(pair)[1], [shared, point(2), pair][0] is shared]


@program
def lambdas(point):
    return (lambda value: point(value) + 1)(point(1)), (lambda *, key=point(5): point(key))(), (lambda: point(()))()


@program
def a_callee_computed_at_the_call(point):
    table = {"len": len, "collect": collect}
    return table[point("len")](point("abc")), (point(collect))(point(1)), [point, collect][point(0)](point(8))


@program
def attributes_of_results(point):
    return point("Text").lower(), point(3).real, point(1 + 2j).imag, (point(5)).bit_length()


@program
def deep_expressions(point):
    return (1 + (2 * (3 - (4 + (5 * (6 - (7 + (8 * (point(9) - (10 + (11 * (12 - point(13)))))))))))))


@program
def twenty_values_on_the_stack(point):
    return collect(
        point(0), point(1), point(2), point(3), point(4), point(5), point(6), point(7), point(8), point(9),
        point(10), point(11), point(12), point(13), point(14), point(15), point(16), point(17), point(18), point(19),
    )


@program
def constants_of_every_type(point):
    return point(...), point(None), point(True), point(b"bytes"), point(frozenset({1})), point(1.5), point(range(3))


@program
def special_objects_on_the_stack(point):
    return [type(value).__name__ for value in (len, point(1), int, NotImplemented, ..., math, None, collect, slice(1))]
