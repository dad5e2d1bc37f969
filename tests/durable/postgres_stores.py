"""The fixtures of those who test PostgreSQL's store."""

import pytest

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
