"""The examples in docstrings."""

import doctest
import importlib
import pkgutil

import pytest

import stackful

MODULES = [
    name for _, name, _ in pkgutil.walk_packages(stackful.__path__, "stackful.") if not name.endswith("__main__")
]


# What an extra brings: where it is not installed, what needs it is skipped.
EXTRAS = {"stackful.durable.postgres": "psycopg", "stackful.viewer": "starlette and uvicorn"}


def needed_by(name):
    return next((what for start, what in EXTRAS.items() if f"{name}.".startswith(f"{start}.")), None)


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    """What a docstring shows is what happens."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        if needed_by(name):
            pytest.skip(f"{needed_by(name)} is not installed: NOT RUN")
        raise
    failures, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failures == 0
