"""The contract of stores, held against SQLite."""

import pytest

from durable.store_contract import *  # noqa: F403
from stackful.durable.sqlite import SqliteStore


@pytest.fixture
def store(tmp_path):
    """A fresh store."""
    store = SqliteStore(tmp_path / "runs.db")
    yield store
    store.close()


@pytest.fixture
def other(store):
    """The same file, as another process has it."""
    store = SqliteStore(store.path)
    yield store
    store.close()
