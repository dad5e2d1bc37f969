"""The contract of stores (store_contract.py) on PostgreSQL."""

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

from durable.store_contract import *  # noqa: F403
from stackful.durable.postgres import PostgresStore


@pytest.fixture
def store(postgres_url):
    """A fresh store."""
    opened = PostgresStore(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def other(store, postgres_url):
    """The same database, as another process has it."""
    opened = PostgresStore(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def own():
    """What stands before the names of the store's tables."""
    return "stackful."
