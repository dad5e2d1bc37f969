"""Random programs of prompts, captures, jumps, suspensions, nested fibers and copies, with a busy collector: they may fail, and must not crash."""

import copy
import gc
import pickle
import random
import sys

from stackful import (
    Coroutine,
    Fiber,
    PromptTag,
    StackfulError,
    abort,
    call_cc,
    call_ec,
    control,
    control0,
    current,
    dynamic_wind,
    prompt,
    resume,
    shift,
    shift0,
    suspend,
    suspend_to,
    transfer,
)

TAGS = [None, PromptTag("a"), PromptTag("b")]
dice = random.Random(5)
kept = []
fibers = []
guests = []
budget = [0]


class Nosy:
    """Looks at fibers when it dies."""

    def __del__(self):
        for fiber in fibers[-2:]:
            try:
                dice.choice([copy.copy, repr, lambda f: f.frames, lambda f: f.resume(), sys.getsizeof])(fiber)
            except (StackfulError, RuntimeError, TypeError):
                pass


def use(k):
    if len(kept) < 30:
        kept.append(k)
    elif dice.random() < 0.3:
        kept[dice.randrange(30)] = k
    return dice.choice([lambda: k(1), lambda: k(k(2)), lambda: 3, lambda: step(4), lambda: k(error=KeyError("k"))])()


def loop(depth):
    total = 0
    for i, _ in enumerate([Nosy(), Nosy()]):
        total += i + number(step(depth))
    return total


def number(value):
    return value if isinstance(value, int) else 0


def deep(n, depth):
    return deep(n - 1, depth) if n else step(depth)


def guarded(depth):
    try:
        return step(depth)
    except (KeyError, StackfulError):
        return step(depth + 1)
    finally:
        budget[0] += 1


def in_guest(depth):
    guest = Fiber(guarded, depth)
    guests.append(guest)
    del guests[:-6]
    total = number(resume(guest))
    while guest.status == "suspended" and dice.random() < 0.8:
        total += number(resume(guest, 1))
    return total


def step(depth):
    budget[0] += 1
    if depth > 12 or budget[0] > 300:
        return depth
    tag = dice.choice(TAGS)
    thunk = lambda: step(depth + 1)  # noqa: E731
    return dice.choice(
        [
            lambda: prompt(thunk, tag),
            lambda: prompt(thunk, tag),
            lambda: prompt(thunk),
            lambda: control(use, tag),
            lambda: shift(use, tag),
            lambda: control0(use, tag),
            lambda: shift0(use, tag),
            lambda: call_cc(use, tag),
            lambda: call_ec(lambda out: [out(1), step(depth + 1)][0]),
            lambda: abort(tag, 5),
            lambda: dynamic_wind(Nosy, thunk, Nosy),
            lambda: loop(depth + 1),
            lambda: deep(5, depth + 1),
            lambda: guarded(depth + 1),
            lambda: [guarded(depth + 1), guarded(depth + 1)][0],
            lambda: number(guarded(depth + 1)) + number(guarded(depth + 1)),
            lambda: [number(guarded(depth + 2)) for _ in range(3)][1],
            lambda: suspend(depth),
            lambda: dice.choice(kept)(7) if kept else 0,
            lambda: transfer(dice.choice(fibers)) if fibers else 0,
            lambda: in_guest(depth + 1),
            lambda: in_guest(depth + 1),
            lambda: number(resume(dice.choice(guests))) if guests else 0,
            lambda: suspend_to(dice.choice(fibers), depth) if fibers else 0,
            lambda: control(use, current()),
            lambda: sorted([1], key=lambda _: number(step(depth + 1))),
        ]
    )()


def begin():
    a, b = TAGS[1:]
    for _ in range(4):
        prompt(lambda: prompt(lambda: prompt(lambda: [guarded(0) for _ in range(3)], b)), a)


def play(seed):
    dice.seed(seed)
    budget[0] = 0
    fiber = dice.choice([Fiber, Coroutine])(begin)
    fibers.append(fiber)
    for _ in range(6):
        try:
            fiber.resume()
            twin = copy.copy(fiber)
            twin.resume()
            if seed % 10 == 0:
                pickle.loads(pickle.dumps(fiber)).close()
        except (StackfulError, KeyError, RecursionError, TypeError, AttributeError):
            pass
    del fibers[:-4]


gc.set_threshold(7, 3, 3)
for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 150):
    play(seed)
