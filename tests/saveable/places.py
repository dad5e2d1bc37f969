"""Frames in which a value stands: places of their own, which other processes can import."""

from stackful import Fiber, suspend


def in_a_local(make):
    value = make()
    suspend(type(value))
    return value


def on_the_stack(make):
    return (make(), suspend(None))[0]


def in_a_cell(make):
    value = make()

    def get():
        return value

    suspend(get)
    return get()


def twice(make):
    first = second = make()
    suspend(None)
    return first, second


def stopped(place, make):
    """A fiber that is suspended while the value stands there."""
    fiber = Fiber(place, make)
    fiber.resume()
    return fiber
