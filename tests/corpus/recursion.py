"""Recursion, mutual recursion, and small algorithms written with them."""

from .registry import program


def fibonacci(number, point):
    if number < 2:
        return point(number)
    return fibonacci(number - 1, point) + fibonacci(number - 2, point)


@program
def fibonacci_numbers(point):
    return fibonacci(6, point)


def factorial(number, point):
    return 1 if number == 0 else point(number) * factorial(number - 1, point)


@program
def a_factorial(point):
    return factorial(25, point)


def is_even(number, point):
    return True if number == 0 else point(is_odd(number - 1, point))


def is_odd(number, point):
    return False if number == 0 else point(is_even(number - 1, point))


@program
def mutual_recursion(point):
    return is_even(10, point), is_odd(7, point)


def ackermann(m, n, point):
    if m == 0:
        return point(n + 1)
    if n == 0:
        return ackermann(m - 1, 1, point)
    return ackermann(m - 1, ackermann(m, n - 1, point), point)


@program
def ackermanns_function(point):
    return ackermann(2, 3, point)


def move(count, source, target, spare, point):
    if count == 0:
        return ()
    return (
        *move(count - 1, source, spare, target, point),
        point((source, target)),
        *move(count - 1, spare, target, source, point),
    )


@program
def the_towers_of_hanoi(point):
    return move(4, "a", "c", "b", point)


def permutations(items, point):
    if not items:
        return ((),)
    found = ()
    for index in range(len(items)):
        for rest in permutations(items[:index] + items[index + 1 :], point):
            found += ((point(items[index]), *rest),)
    return found


@program
def permutations_of_three(point):
    return permutations("abc", point)


def place(size, columns, point):
    row = len(columns)
    if row == size:
        return (columns,)
    solutions = ()
    for column in range(size):
        if all(column != other and abs(column - other) != row - above for above, other in enumerate(columns)):
            solutions += place(size, (*columns, point(column)), point)
    return solutions


@program
def queens_on_a_board(point):
    return place(5, (), point)


TREE = (((), 1, ()), 2, (((), 3, ()), 4, ()))


def in_order(tree, point):
    if not tree:
        return ()
    left, value, right = tree
    return in_order(left, point) + (point(value),) + in_order(right, point)


@program
def a_tree_is_walked(point):
    return in_order(TREE, point)


def descend(depth, point):
    if depth == 0:
        return point("bottom")
    return descend(depth - 1, point)


@program
def a_deep_stack(point):
    return descend(300, point), descend(40, point)


def unwound(depth, point):
    try:
        if depth == 0:
            raise ValueError(point("bottom"))
        unwound(depth - 1, point)
    finally:
        point(depth)


@program
def a_stack_unwound_through_finally(point):
    try:
        unwound(10, point)
    except ValueError as error:
        return point(error.args)


def quicksort(items, point):
    if len(items) < 2:
        return items
    pivot, *rest = items
    return (
        quicksort([item for item in rest if point(item) < pivot], point)
        + [pivot]
        + quicksort([item for item in rest if item >= pivot], point)
    )


@program
def sorting_by_recursion(point):
    return quicksort([5, 3, 8, 1, 9, 2], point)


@program(shares_heap=True)
def memoised_recursion(point):
    memo = {}

    def ways(amount, coins):
        if amount == 0:
            return 1
        if amount < 0 or not coins:
            return 0
        if (amount, coins) not in memo:
            memo[amount, coins] = ways(amount - coins[0], coins) + point(ways(amount, coins[1:]))
        return memo[amount, coins]

    return ways(10, (1, 2, 5))


def parse_sum(tokens, point):
    value, rest = parse_product(tokens, point)
    while rest and rest[0] == "+":
        term, rest = parse_product(rest[1:], point)
        value += point(term)
    return value, rest


def parse_product(tokens, point):
    value, rest = parse_atom(tokens, point)
    while rest and rest[0] == "*":
        factor, rest = parse_atom(rest[1:], point)
        value *= point(factor)
    return value, rest


def parse_atom(tokens, point):
    if tokens[0] == "(":
        value, rest = parse_sum(tokens[1:], point)
        assert rest[0] == ")"
        return value, rest[1:]
    return int(point(tokens[0])), tokens[1:]


@program
def a_recursive_descent_parser(point):
    return parse_sum("2*(3+4)+5", point)


@program
def recursion_past_the_limit_is_an_error(point):
    def forever(depth):
        return forever(depth + 1) + 1

    point("before")
    try:
        forever(0)
    except RecursionError:
        return point("limit")


class Counter:
    """Recursion through methods."""

    def __init__(self, step):
        self.step = step

    def down(self, number, point):
        return () if number <= 0 else (point(number), *self.down(number - self.step, point))


@program
def recursion_through_methods(point):
    return Counter(2).down(7, point)


@program
def the_y_combinator(point):
    fixed = lambda f: (lambda x: x(x))(lambda x: f(lambda n: x(x)(n)))  # noqa: E731
    return fixed(lambda recur: lambda n: 1 if n == 0 else point(n) * recur(n - 1))(5)
