"""Iterators of iterators, more deeply nested than the C stack is deep, stand on the evaluation stack of frames that are captured."""

from stackful import control, control0, prompt


def capture(depth, how):
    iterator = iter([1])
    for _ in range(depth):
        iterator = enumerate(iterator)
    box = [iterator]
    del iterator
    for _ in [box.pop(), how(lambda k: k(2))]:
        pass
    return depth


for depth in (50, 50_000, 200_000):
    for how in (control, control0):
        try:
            assert prompt(lambda depth=depth, how=how: capture(depth, how)) == depth
        except RecursionError:
            assert depth > 50
