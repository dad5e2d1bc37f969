"""A search whose branches are finished by a cluster of dask workers."""

import time
from pathlib import Path

import pytest

from cluster import kill_one, local_cluster
from search.test_search import queens
from stackful import solutions
from stackful.search import parallel

pytestmark = [
    pytest.mark.filterwarnings("default"),  # those of dask and its libraries are not ours
    pytest.mark.no_leakcheck("a cluster of processes"),
]


def slow_queens(size):
    """Queens that think about the last row."""
    found = queens(size)
    time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes."""
    with local_cluster(2, Path(__file__).parent.parent) as client:
        yield client


def test_a_cluster_finishes_branches_in_the_order_of_depth_first(client):
    """Each branch is a suspended program, pickled here and resumed by a worker."""
    found = list(parallel(slow_queens, 6, executor=client, workers=2))
    assert found == list(solutions(slow_queens, 6))
    assert len(found) == 4


def test_a_killed_worker_loses_nothing(client):
    """The branches that it had are resumed by another from where they were shared out, and each solution comes once."""
    expected = list(solutions(slow_queens, 7))
    assert len(expected) == 40
    found = parallel(slow_queens, 7, executor=client, workers=2)
    first = next(found)
    kill_one(client)
    assert [first, *found] == expected
