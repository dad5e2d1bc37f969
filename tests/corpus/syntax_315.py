"""What Python 3.15 added: unpacking in comprehensions, loops without iterators."""

from .registry import program


@program
def unpacking_in_comprehensions(point):
    rows = [[1, 2], [3]]
    return (
        [*point(row) for row in rows],
        sorted({*point(row) for row in rows}),
        {**point(row) for row in [{1: 2}, {3: 4}]},
    )


@program
def loops_over_everything_that_is_counted(point):
    return [
        [(a, b, c, d) for a in [1, point(2)] for b in (3, point(4)) for c in "x\u4e00" for d in b"ab"],
        [point(letter) for letter in "a\u4e00\U00010000"],
        [point(byte) for byte in b"ab"],
    ]


@program
def a_list_that_grows_while_it_is_looped_over(point):
    items = (1, 2)
    seen = ()
    for item in list(items):
        seen += (point(item),)
    return seen


@program(shares_heap=True)
def a_generator_expression_that_has_begun_to_loop(point):
    lazy = (item * 2 for item in [1, 2, 3])
    point(0)
    first = next(lazy)
    point(1)
    return first, point(list(lazy))
