"""Continuations of all depths are resumed again and again, also where recursion ends and where the frames are large."""

import sys

from stackful import effect, handle, perform


@effect
def ask() -> int: ...


def deep(n):
    return perform(ask) if n == 0 else deep(n - 1) + 1


def calls(n):
    return n and calls(n - 1)


def calling(n, m):
    """Each frame calls something on its way out."""
    got = perform(ask) if n == 0 else calling(n - 1, m) + 1
    calls(m)
    return got


def mixed(n):
    """Frames of all kinds: with loops, displays and exceptions on their stacks."""
    if n == 0:
        return perform(ask)
    if n % 7 == 1:
        for _, i in zip("ab", range(n, n + 2)):
            return mixed(n - 1) + i - n + 1
    if n % 7 == 2:
        return sum([mixed(n - 1), 1])
    if n % 7 == 3:
        try:
            raise KeyError(n)
        except KeyError as error:
            got = mixed(n - 1) + 1
            assert error.args == (n,)
            return got
    if n % 7 == 4:
        return mixed(n=n - 1) + 1
    if n % 7 == 5:
        return [mixed(n - 1) + i for i in (1,)][0]
    return mixed(n - 1) + 1


names = [f"v{i}" for i in range(900)]
source = f"def large(n):\n    {' = '.join(names)} = n\n    got = perform(ask) if n == 0 else large(n - 1) + 1\n    assert {names[-1]} == n\n    return got\n"
exec(source)  # eight of its frames do not fit on a fiber's first piece of stack


def resumed(body):
    kept = []

    def clause(k):
        kept.append(k)
        return [k.resume(number) for number in (0, 10, 20)]

    found = handle(body, ask.ctl(clause))
    assert [kept[0].resume(30)] == [found[0] + 30]
    return [found[0], found[1] - 10, found[2] - 20]


sys.setrecursionlimit(20_000)
for depth in (*range(70), 127, 128, 129, 1000, 5000):
    assert resumed(lambda: deep(depth)) == [depth] * 3, depth
for depth in (*range(30), 200):
    assert resumed(lambda: mixed(depth)) == [depth] * 3, depth
    assert resumed(lambda: large(depth)) == [depth] * 3, depth  # noqa: F821
    assert resumed(lambda: calling(depth, 200)) == [depth] * 3, depth


def limit_met(k, used, limit):
    sys.setrecursionlimit(used + limit)
    try:
        return k.resume(0)
    except RecursionError:
        return None
    finally:
        sys.setrecursionlimit(20_000)


def used():
    frame, count = sys._getframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


def at_the_limit(k):
    found = [limit_met(k, used(), limit) for limit in range(5, 150)]
    assert found[0] is None and found[-1] == 60 and set(found) == {None, 60}, found
    return found


for inner in (1, 20, 40):
    handle(lambda inner=inner: calling(60, inner), ask.ctl(at_the_limit))


def room():
    try:
        return room() + 1
    except RecursionError:
        return 1


def counted(n, found):
    """However deep the frame is, it and what it can call are as many as the limit allows."""
    if n == 0:
        perform(ask)
    else:
        counted(n - 1, found)
    found.append(used() + room())


def counting(k):
    sys.setrecursionlimit(300)
    for _ in range(3):
        k.resume(None)
    sys.setrecursionlimit(20_000)


room_found = []
handle(lambda: counted(60, room_found), ask.ctl(counting))
assert len(room_found) == 3 * 61 and len(set(room_found)) == 1, room_found


def lowering(n):
    """The limit is lowered on the way out, beneath what is on the stack."""
    got = perform(ask) if n == 0 else lowering(n - 1) + 1
    if n == 30:
        try:
            sys.setrecursionlimit(used() + 1)
        except RecursionError:
            pass
    return got


def may_fail(k):
    found = []
    for _ in range(3):
        try:
            found.append(k.resume(0))
        except RecursionError:
            found.append(None)
        finally:
            sys.setrecursionlimit(20_000)
    return found


assert set(handle(lambda: lowering(100), ask.ctl(may_fail))) <= {None, 100}
