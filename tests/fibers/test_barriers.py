"""What captures is refused where C code stands in between, cold and warm alike, and nothing is lost; `suspend` is not."""

import functools
import sys

import pytest

from stackful import BarrierError, Fiber, barrier, current, is_capturable, is_suspendable, suspend, suspend_to


def capture(value=None):
    return suspend_to(current(), value)


class Special:
    def __init__(self, act=None):
        if act:
            act()

    def __getattr__(self, name):
        return capture(name)

    @property
    def value(self):
        return capture()

    def __len__(self):
        return capture() or 1

    def __eq__(self, other):
        return capture()

    __hash__ = None

    def __add__(self, other):
        return capture()

    def __getitem__(self, index):
        return capture()

    def __iter__(self):
        return capture() or iter(())

    def __enter__(self):
        return capture()

    def __exit__(self, *ignored):
        return capture()

    def __call__(self):
        return capture()

    def __str__(self):
        return capture() or ""


def generator():
    yield capture()


def enters():
    with Special():
        pass


BARRIERS = {
    "sorted": lambda: sorted([2, 1], key=capture),
    "map": lambda: list(map(capture, [1])),
    "partial": lambda: functools.partial(capture, 1)(),
    "__init__": lambda: Special(capture),
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
    "exec": lambda: exec("capture()", {"capture": capture}),
    "import": lambda: __import__("functools").reduce(lambda a, b: capture(), [1, 2]),
}


@pytest.mark.parametrize("name", BARRIERS)
def test_a_barrier_is_refused_cold_and_warm(name):
    """A capture behind this operation raises BarrierError, the first time and the hundredth."""

    def body():
        for _ in range(50):
            with pytest.raises(BarrierError, match="cannot suspend across a C call"):
                BARRIERS[name]()
        return capture("still capturable")

    fiber = Fiber(body)
    assert fiber.resume() == "still capturable"
    assert fiber.resume("x") == "x"


def test_what_is_suspendable_is_not_always_capturable():
    """Behind a C call is_capturable() is false and is_suspendable() true; behind a barrier() both are false."""

    def ask(_=None):
        return is_capturable(), is_suspendable()

    assert Fiber(ask).resume() == (True, True)
    assert Fiber(lambda: list(map(ask, [1]))).resume() == [(False, True)]
    assert Fiber(lambda: barrier(ask)).resume() == (False, False)
    assert Fiber(lambda: barrier(lambda: list(map(ask, [1])))).resume() == [(False, False)]


def test_the_message_names_frame_and_line():
    """A BarrierError says which frame of the user's made the call."""

    def body():
        return sorted([2, 1], key=capture)

    with pytest.raises(BarrierError, match=rf'in frame ".*body" \({__file__}:{body.__code__.co_firstlineno + 1}\)'):
        Fiber(body).resume()


def test_a_barrier_names_a_body_that_is_no_plain_function():
    """Where the fiber's own function is no Python function, the message says so."""
    with pytest.raises(BarrierError, match="the fiber's own function"):
        Fiber(functools.partial(lambda: capture())).resume()


@pytest.mark.parametrize("act", [suspend, capture])
def test_a_barrier_is_refused_behind_a_c_call_too(act):
    """Within barrier() neither is possible, whether C code stands in between or not, and the message is the same."""

    def body(between):
        with pytest.raises(BarrierError) as caught:
            barrier(between)
        return suspend(str(caught.value))

    plainly = Fiber(body, lambda: act()).resume()
    assert "cannot suspend across a C call" in plainly
    beneath = Fiber(body, lambda: sorted([1], key=act)).resume()
    assert "cannot suspend across a C call" in beneath
