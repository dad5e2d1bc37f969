"""A cluster of dask workers on this machine, whose processes can be killed."""

import os
import signal
from contextlib import contextmanager

import pytest


@contextmanager
def local_cluster(workers, folder):
    """A client of a cluster of so many processes; they find this folder's modules."""
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    with (
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def kill_one(client):
    """SIGKILL to one of its workers; the cluster starts another in its place."""
    victim = next(iter(client.run(os.getpid).values()))
    os.kill(victim, signal.SIGKILL)
    return victim
