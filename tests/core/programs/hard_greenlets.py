"""greenlet is imported while fibers wait in C code, and fibers and greenlets are then used in each other."""

import sys

from stackful import BarrierError, Fiber, is_suspendable, suspend


def waits(x):
    return sorted([x], key=lambda item: suspend(item) or item)


kept = [Fiber(waits, i) for i in range(3)]
for fiber in kept:
    fiber.resume()
assert Fiber(lambda: sorted([1], key=lambda _: is_suspendable())).resume() == [1]

try:
    import greenlet
except ImportError:
    sys.exit(0)


def refused(_):
    assert not is_suspendable()
    try:
        suspend()
    except BarrierError:
        return 1
    raise AssertionError


assert Fiber(lambda: sorted([1], key=refused)).resume() == [1]
# what waited then goes on, from greenlets too, and may switch to others
assert kept[0].resume() == [0]
assert greenlet.greenlet(kept[1].resume).switch() == [1]


def goes_round(_):
    main = greenlet.getcurrent()
    other = greenlet.greenlet(lambda: main.switch("from the other"))
    assert other.switch() == "from the other"
    suspend("again") if False else None
    return 0


last = Fiber(lambda: sorted([1], key=goes_round))
assert last.resume() == [1]
try:
    print(kept[2].resume())
except BarrierError:
    pass
soft = Fiber(lambda: [suspend(i) for i in range(3)])
assert [greenlet.greenlet(soft.resume).switch() for _ in range(3)] == [0, 1, 2]
del soft, kept, fiber
