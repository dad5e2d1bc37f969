"""The contract of stores, held against SQLite."""

import pytest

from durable.store_contract import *  # noqa: F403
from durable.store_contract import begun
from stackful.durable.sqlite import SqliteStore
from stackful.errors import StoreError


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


@pytest.fixture
def own():
    """What stands before the names of the store's tables."""
    return ""


def test_code_in_a_shared_transaction_does_not_drop_the_tables(store):
    """The tables of the store stay."""
    begun(store)
    with pytest.raises(StoreError, match=r"transaction\(\)"), store.transaction() as shared:
        shared.connection.execute("DROP TABLE runs")
    assert store.run("one").id == "one"
