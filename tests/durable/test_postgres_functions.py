"""What runs can do (test_functions.py), on PostgreSQL: all that does not need a store of its own."""

import inspect

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

from durable import test_functions as on_sqlite
from durable.engines import folder  # noqa: F401 - a fixture
from stackful import durable


@pytest.fixture
def engine(folder, postgres_url, monkeypatch):  # noqa: F811 - the fixture
    """An engine over a fresh store, connected."""
    monkeypatch.setenv("STACKFUL_KEY", "00" * 32)
    with durable.connect(postgres_url) as engine:
        yield engine


globals().update({
    name: test
    for name, test in vars(on_sqlite).items()
    if name.startswith("test_") and "engine" in inspect.signature(test).parameters
})  # fmt: skip
