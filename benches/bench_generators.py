"""Stackful generators beside plain ones: one value through `for`, from one to a thousand calls deep; and `send`."""

import sys
from itertools import repeat

from elsewhere import with_greenlet
from measure import Contender, Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_greenlet
from stackful import generator, yield_

DEPTHS = (1, 2, 5, 10, 100)


def count_down_from(depth, number):
    """Plain functions; the innermost yields."""
    if depth > 1:
        return count_down_from(depth - 1, number)
    for i in range(number):
        yield_(i)
    return None


def plain_down_from(depth, number):
    """The same with `yield from` in each."""
    if depth > 1:
        yield from plain_down_from(depth - 1, number)
    else:
        for i in range(number):  # noqa: UP028 - a yield at depth 1 is what is measured
            yield i


def consumer(make, depth) -> Contender:
    expect(list(make(depth, 3)), [0, 1, 2])

    def loop(number):
        for _ in make(depth, number):
            pass

    return loop


@generator
def echo():
    value = None
    while True:
        value = yield_(value)


def plain_echo():
    value = None
    while True:
        value = yield value


def sender(one) -> Contender:
    one.send(None)
    expect([one.send(1), one.send("two")], [1, "two"])
    send = one.send

    def loop(number):
        for value in repeat(7, number):
            send(value)

    return loop


def benchmark(rounds: int, number: int) -> list[Row]:
    sys.setrecursionlimit(10_000)
    ours = generator(count_down_from)
    rows = []
    for depth in DEPTHS:
        contenders = {"ours": consumer(ours, depth), "plain": consumer(plain_down_from, depth)}
        if has_greenlet:
            contenders["greenlet"] = with_greenlet("generator", depth)
        took = interleaved(contenders, number if depth < 100 else number // 20, rounds)
        subject = f"a value from a generator, depth {depth}"
        if depth < 5:
            rows.append(at_most(subject, took["ours"], took["plain"], "plain generator", 1.5 if depth == 1 else None))
        else:
            rows.append(at_least(subject, took["ours"], took["plain"], "yield from", 1))
        rows.append(
            at_least(subject, took["ours"], took["greenlet"], "greenlet")
            if has_greenlet
            else missing(subject, time_text(took["ours"]), "greenlet")
        )
    took = interleaved({"ours": sender(echo()), "plain": sender(plain_echo())}, number, rounds)
    rows.append(at_most("generator.send and back", took["ours"], took["plain"], "gen.send", 1.5))
    return rows
