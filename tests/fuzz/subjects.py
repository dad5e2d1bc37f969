"""The snapshots and frame states that the attack changes: programs of the corpus, stopped at points all over them."""

import copy
import itertools
import pickle
import warnings

from corpus import PROGRAMS
from corpus.points import ASSERTS_TRACEBACKS
from laws import harness
from saveable import ENTRIES, RECONNECTED, REFUSED
from stackful import (
    Fiber,
    _core,
    control,
    dynamic_wind,
    effect,
    handle,
    perform,
    prompt,
    resume,
    snapshot,
    suspend,
    suspend_to,
)

KEY = b"fuzz"
POINTS_PER_PROGRAM = 3
NAMES = sorted(
    name
    for name, program in PROGRAMS.items()
    if not program.unsaveable and not (program.splits_a_group and ASSERTS_TRACEBACKS)
)


class Payload:
    """Unpickling it calls `fire`: code that somebody smuggled in."""

    fired = 0

    def __reduce__(self):
        return fire, ()


def fire():
    Payload.fired += 1


def counting(items):
    """A generator whose frame has something on its stack."""
    total = 0
    for item in items:
        try:
            total += (yield (item, total)) or 1
        finally:
            total += 1
    return total


def delegating(items):
    def inner():
        yield from items
        return len(items)

    return (yield from inner())


def generators():
    """Suspended generators, to be captured."""
    held = [counting([1, 2, 3]), delegating((1, 2)), (x + 1 for x in [1, 2, 3]), counting([1]), (x for x in (1, 2))]
    for generator in held[:3]:
        next(generator)
    return held


def holds_generators(point):
    """A program with generators among its values."""
    held = generators()
    for value in held[0]:
        point(value)
        break
    return [list(generator) for generator in held]


@effect
def ask(question: str) -> int: ...


def in_levels(box):
    """Frames above prompts and a handler, within winders, one fiber on top of another, and continuations among the values."""
    k = prompt(lambda: [control(lambda k: k), perform(ask, "?")])

    def inner():
        got = dynamic_wind(list, lambda: suspend_to(box[0], "out"), list)
        return [suspend(got), k(1)]

    def middle():
        fiber = Fiber(inner)
        return [
            resume(fiber),
            resume(fiber, 2),
            handle(lambda: prompt(lambda: k(3)), ask.ctl(lambda k, q: k.resume(4))),
        ]

    return handle(lambda: prompt(middle), ask.fun(lambda question: 7))


def fiber_in_levels():
    """It is suspended in its innermost guest."""
    box = []
    box.append(Fiber(in_levels, box))
    box[0].resume()
    return box[0]


def used(value):
    """Look at whatever it is, and go on with what can be gone on with, in it too."""
    looks = [
        repr,
        bool,
        copy.copy,
        lambda value: list(itertools.islice(value, 5)) if hasattr(value, "__iter__") else None,
    ]
    for one in [*(value if type(value) in (tuple, list) else ()), value]:
        for look in looks:
            try:
                look(one)
            except Exception:  # noqa: BLE001 - a forged value may raise anything; it must not do more
                pass
    return value


def holds(make, point):
    """A value of the table of all that can be saved: in a variable, on the evaluation stack, and in a cell."""
    value = make()
    return [value, point(value), used(value), (lambda: value)()]


# What the C code of other packages makes of a state that was changed is theirs: numpy's dtypes raise SystemError, for one.
OTHERS = ("numpy", "pandas")
SAVED = [
    entry
    for entry in ENTRIES
    if entry.is_here and entry.how not in (REFUSED, RECONNECTED) and entry.needs not in OTHERS
]


def values():
    """(name, fiber) for each entry of that table but those that stand for something outside."""
    for entry in SAVED:
        fiber = Fiber(holds, entry.make, suspend)
        fiber.resume()
        yield str(entry), fiber


def fibers():
    """(name, fiber) for each program and some of its points."""
    for name in NAMES:
        for at in harness.sampled_points(name, POINTS_PER_PROGRAM):
            yield f"{name}@{at}", harness.suspended_fiber(name, at)
    other = Fiber(holds_generators, suspend)
    other.resume()
    yield "generators", other
    yield "levels", fiber_in_levels()
    yield "fresh", Fiber(holds_generators, point=suspend)


def make_snapshots():
    """The bodies of snapshots, without their seals, as they are pickled."""
    bodies = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # itertools, from 3.12 on
        for _, fiber in fibers():
            bodies.append(snapshot._pickle(fiber))
            harness.unwind(fiber)
        for _, fiber in values():
            bodies.append(snapshot._pickle(fiber))
            fiber.close()
    return bodies


def hold(words, memory, stop):
    count = len(words)
    stop(count)
    return words, memory, count


def make_blobs():
    """Blobs, snapshots whose parts are in them, and some that are told by what they differ from another."""
    blobs, parts, told_by_base = snapshot.MemoryBlobs(), [], []
    for number in range(4):
        fiber = Fiber(hold, f"{number} " * 300, pickle.PickleBuffer(bytearray(5000)), suspend)
        fiber.resume()
        parts.append(snapshot.dumps(fiber, key=KEY, blobs=snapshot.History(blobs), compression="none"))
    history = snapshot.History(blobs)
    for number in range(4):
        told_by_base.append(snapshot.dumps([fiber, *map(str, range(300 + number))], key=KEY, blobs=history))
    return blobs, parts, told_by_base


def make_states():
    """What `_core.capture` gives, of fibers that live on."""
    held = [fiber for _, fiber in fibers()]
    return held, [_core.capture(fiber) for fiber in held]


def save(path):
    with open(path, "wb") as file:
        pickle.dump(make_snapshots(), file)
