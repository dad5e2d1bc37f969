"""Owns the worker processes."""

import pytest

from laws.processes import Worker


@pytest.fixture(scope="session")
def worker():
    """Another process, which resumes what it is sent."""
    with Worker() as worker:
        yield worker


@pytest.fixture(scope="session")
def cold_worker():
    """Another process, in which no program has run yet."""
    with Worker() as worker:
        yield worker
