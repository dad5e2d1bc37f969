"""Steps that run elsewhere: in the executors of `concurrent.futures`, and in a cluster of dask workers."""

import os
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from cluster import kill_one, local_cluster
from stackful import durable

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.no_leakcheck("clusters of processes")]

POOLS = []


def elsewhere():
    """What steps that are tried again are given: a function can be stored."""
    return POOLS[-1]


HERE = Path(__file__).parent


def log(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def square(path, number, pause=0.0):
    time.sleep(pause)
    log(path, f"{number} by {os.getpid()}")
    return number * number


def fail_at_first(path):
    log(path, "tried")
    if len(Path(path).read_text().splitlines()) < 3:
        raise OSError("not yet")
    return "done"


@durable.run
def squares(path, count, executor, pause=0.0):
    return [durable.step(square, path, number, pause, executor=executor) for number in range(count)]


@durable.run
def same_twice(path):
    return [durable.step(square, path, 7, executor=elsewhere) for _ in range(2)]


@durable.run
def tried_again(path):
    return durable.step(fail_at_first, path, executor=elsewhere, retries=5, backoff=0.01)


@pytest.fixture
def engine(tmp_path):
    """A store with a worker."""
    with durable.connect(tmp_path / "runs.db") as engine:
        yield engine


@pytest.fixture(scope="module")
def client():
    """A cluster of two processes."""
    with local_cluster(2, HERE) as client:
        yield client


@pytest.fixture(params=["threads", "processes", "dask"])
def pool(request):
    """Something that runs functions elsewhere."""
    if request.param == "dask":
        POOLS.append(request.getfixturevalue("client"))
    elif request.param == "threads":
        POOLS.append(ThreadPoolExecutor(2))
    else:
        POOLS.append(ProcessPoolExecutor(2, get_context("spawn")))
    yield
    pool = POOLS.pop()
    if request.param != "dask":
        pool.shutdown()


def test_results_and_failures_come_back_into_the_run(engine, pool, tmp_path):
    """A step's result is recorded as if it had run here; a failing one is tried again, and its executor is asked for again."""
    path = str(tmp_path / "log")
    assert durable.start(squares, path, 3, elsewhere).result(60) == [0, 1, 4]
    assert durable.start(tried_again, str(tmp_path / "tries")).result(60) == "done"
    assert (tmp_path / "tries").read_text() == "tried\n" * 3


def test_the_same_call_twice_is_two_calls(engine, pool, tmp_path):
    """Steps have effects: nothing takes two for one because they look alike."""
    path = tmp_path / "log"
    assert durable.start(same_twice, str(path)).result(60) == [49, 49]
    assert len(path.read_text().splitlines()) == 2


def test_a_killed_worker_delays_a_run_and_no_more(engine, client, tmp_path):
    """Its step is given to another worker; every number is squared, and the results are in order."""
    POOLS.append(client)
    path = tmp_path / "log"
    handle = durable.start(squares, str(path), 8, elsewhere, pause=0.2)
    while not path.exists():
        time.sleep(0.01)
    kill_one(client)
    assert handle.result(120) == [number * number for number in range(8)]
    assert {line.split()[0] for line in path.read_text().splitlines()} == set("01234567")


def test_what_is_no_executor_is_refused(engine, tmp_path):
    """The error says what it lacks."""
    with pytest.raises(durable.RunFailedError, match="42 is no executor"):
        durable.start(squares, str(tmp_path / "log"), 1, 42).result(60)
