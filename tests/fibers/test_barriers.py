"""suspend is refused where C code stands in between, cold and warm alike, and nothing is lost."""

import functools
import sys

import pytest

from stackful import BarrierError, Fiber, is_suspendable, suspend


class Special:
    def __init__(self, act=None):
        if act:
            act()

    def __getattr__(self, name):
        return suspend(name)

    @property
    def value(self):
        return suspend()

    def __len__(self):
        return suspend() or 1

    def __eq__(self, other):
        return suspend()

    __hash__ = None

    def __add__(self, other):
        return suspend()

    def __getitem__(self, index):
        return suspend()

    def __iter__(self):
        return suspend() or iter(())

    def __enter__(self):
        return suspend()

    def __exit__(self, *ignored):
        return suspend()

    def __call__(self):
        return suspend()

    def __str__(self):
        return suspend() or ""


def generator():
    yield suspend()


def enters():
    with Special():
        pass


BARRIERS = {
    "sorted": lambda: sorted([2, 1], key=suspend),
    "map": lambda: list(map(suspend, [1])),
    "partial": lambda: functools.partial(suspend, 1)(),
    "__init__": lambda: Special(suspend),
    "__getattr__": lambda: Special().missing,
    "property": lambda: Special().value,
    "__len__": lambda: len(Special()),
    "__eq__": lambda: Special() == 1,
    "__add__": lambda: Special() + 1,
    "__getitem__": lambda: Special()[0],
    "__iter__": lambda: [x for x in Special()],
    # from 3.14 on `with` enters by a plain call: v3.14.0 Python/codegen.c, codegen_with_inner
    **({"__enter__": enters} if sys.version_info < (3, 14) else {}),
    "__call__": lambda: Special()(),
    "__str__": lambda: f"{Special()}",
    "generator": lambda: next(generator()),
    "loop over a generator": lambda: [x for x in generator()],
    "yield from": lambda: list((yield_from := lambda: (x for x in generator()))()),
    "exec": lambda: exec("suspend()", {"suspend": suspend}),
    "import": lambda: __import__("functools").reduce(lambda a, b: suspend(), [1, 2]),
}


@pytest.mark.parametrize("name", BARRIERS)
def test_a_barrier_is_refused_cold_and_warm(name):
    """A suspension behind this operation raises BarrierError, the first time and the hundredth."""

    def body():
        for _ in range(50):
            with pytest.raises(BarrierError, match="cannot suspend across a C call"):
                BARRIERS[name]()
        return suspend("still suspendable")

    fiber = Fiber(body)
    assert fiber.resume() == "still suspendable"
    assert fiber.resume("x") == "x"


def test_is_suspendable_tells_of_barriers():
    """is_suspendable() is false behind a C call."""
    assert Fiber(lambda: list(map(lambda _: is_suspendable(), [1]))).resume() == [False]  # noqa: C417 - the C call is the subject


def test_the_message_names_frame_and_line():
    """A BarrierError says which frame of the user's made the call."""

    def body():
        return sorted([2, 1], key=suspend)

    with pytest.raises(BarrierError, match=rf'in frame ".*body" \({__file__}:{body.__code__.co_firstlineno + 1}\)'):
        Fiber(body).resume()


def test_a_barrier_names_a_body_that_is_no_plain_function():
    """Where the fiber's own function is no Python function, the message says so."""
    with pytest.raises(BarrierError, match="the fiber's own function"):
        Fiber(functools.partial(lambda: suspend())).resume()
