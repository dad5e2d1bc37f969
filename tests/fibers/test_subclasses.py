"""Subclasses of Fiber."""

import copy
import pickle

import pytest

from stackful import Fiber, suspend


class Named(Fiber):
    """A fiber with a name."""

    def __init__(self, function, *args):
        self.name = function.__name__


def ask():
    return suspend("?")


@pytest.mark.no_leakcheck("pickle fills a cache of CPython with names")
def test_a_copy_of_a_subclass_keeps_its_attributes():
    """copy.copy and pickle carry what a subclass has put on the instance."""
    fiber = Named(ask)
    fiber.resume()
    for twin in (copy.copy(fiber), pickle.loads(pickle.dumps(fiber))):
        assert (type(twin), twin.name, twin.resume("!")) == (Named, "ask", "!")


def test_a_subclass_is_called_like_a_fiber():
    """A subclass's instance runs as a plain fiber does."""
    fiber = Named(ask)
    assert (fiber.resume(), fiber.resume(7), fiber.result) == ("?", 7, 7)
