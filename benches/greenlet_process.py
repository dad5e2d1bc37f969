"""Runs one contender with greenlet, in a process of its own: where the C extension is loaded, fibers get no C stacks (elsewhere.py asks).

`greenlet_process.py round-trip | transfer | create | generator DEPTH`, or `greenlet_process.py NAME SIZE ANSWER` for one of programs_greenlet.py.
"""

import sys
from itertools import repeat

import greenlet

import programs_greenlet
from measure import expect
from serving import serve, serve_loop


def waiting(value):
    switch = greenlet.getcurrent().parent.switch
    while True:
        value = switch(value)


def round_trip():
    step = greenlet.greenlet(waiting).switch
    step(None)
    expect([step(1), step("two")], [1, "two"])

    def loop(number):
        for value in repeat(7, number):
            step(value)

    return loop


def transfer(number):
    """Each greenlet hands over to the other."""

    def hand_over(n):
        switch = other.switch
        for _ in range(n):
            switch()

    def hand_back():
        switch = one.switch
        while True:
            switch()

    one, other = greenlet.greenlet(hand_over), greenlet.greenlet(hand_back)
    one.switch(number // 2)


def nothing():
    return None


def create(number):
    for _ in range(number):
        greenlet.greenlet(nothing).switch()


def greenlet_values(depth, number):
    switch = greenlet.getcurrent().switch
    worker = greenlet.greenlet(greenlet_down_from)
    value = worker.switch(switch, depth, number)
    while value is not None:
        yield value
        value = worker.switch()


def greenlet_down_from(switch, depth, number):
    if depth > 1:
        greenlet_down_from(switch, depth - 1, number)
        return
    for i in range(number):
        switch(i)


def generator(depth):
    sys.setrecursionlimit(10_000)
    expect(list(greenlet_values(depth, 3)), [0, 1, 2])

    def loop(number):
        for _ in greenlet_values(depth, number):
            pass

    return loop


def main() -> None:
    name, *rest = sys.argv[1:]
    if name == "generator":
        serve_loop(generator(int(rest[0])))
        return
    loops = {"round-trip": round_trip, "transfer": lambda: transfer, "create": lambda: create}
    if name in loops:
        serve_loop(loops[name]())
        return
    run, (size, answer) = getattr(programs_greenlet, name), map(int, rest)
    expect(run(size), answer)
    serve(lambda: run(size))


if __name__ == "__main__":
    main()
