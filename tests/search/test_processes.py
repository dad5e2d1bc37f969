"""A search that is shared out to other processes."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from search.test_search import queens
from stackful import solutions
from stackful.search import parallel


def test_processes_finish_branches():
    """Six queens, in two processes that were started afresh."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert list(parallel(queens, 6, executor=pool, workers=2)) == list(solutions(queens, 6))
