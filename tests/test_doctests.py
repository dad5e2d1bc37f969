"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import stackful

MODULES = [
    name for _, name, _ in pkgutil.walk_packages(stackful.__path__, "stackful.") if not name.endswith("__main__")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    """What a docstring shows is what happens."""
    module = importlib.import_module(name)
    failures, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failures == 0
