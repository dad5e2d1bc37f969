"""Programs of programs_effects.py where a Python user would reach for greenlet: values handed out one by one."""

import greenlet

from programs_effects import DOLLAR, NEWLINE, tree_of


def source(produce, argument):
    """The first value that `produce` emits, and a function that gives the next, and None at the end."""
    switch = greenlet.greenlet(produce).switch
    first = switch(greenlet.getcurrent().switch, argument)
    return first, switch


def total_of(produce, argument):
    value, following = source(produce, argument)
    total = 0
    while value is not None:
        total += value
        value = following()
    return total


def count_up(emit, n):
    for i in range(n + 1):
        emit(i)


def iterator(n):
    return total_of(count_up, n)


def visit(emit, tree):
    if tree:
        visit(emit, tree[0])
        emit(tree[1])
        visit(emit, tree[2])


def generator(n):
    return total_of(visit, tree_of(n))


def characters(emit, n):
    for line in range(n + 1):
        for _ in range(line):
            emit(DOLLAR)
        emit(NEWLINE)


def parse(emit, n):
    c, read = source(characters, n)
    count = 0
    while c is not None:
        if c == DOLLAR:
            count += 1
        else:
            emit(count)
            count = 0
        c = read()


def parsing_dollars(n):
    return total_of(parse, n)
