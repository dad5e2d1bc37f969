"""The contract of stores (store_contract.py) on PostgreSQL."""

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

from durable.postgres_stores import other, store  # noqa: F401 - fixtures
from durable.store_contract import *  # noqa: F403


@pytest.fixture
def own():
    """What stands before the names of the store's tables."""
    return "stackful."
