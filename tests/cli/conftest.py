import pytest

from durable.commands import Commands


@pytest.fixture
def commands(tmp_path):
    """A folder in which scripts can be written and run."""
    return Commands(tmp_path)
