import os
import sys
from pathlib import Path

import pytest

from stackful import durable

for _package in ("starlette", "uvicorn", "httpx2"):
    pytest.importorskip(_package, reason="the page needs stackful[page]")

FOLDER = str(Path(__file__).parent)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a run that asks, one that has failed, and one that waits; its path. Nobody drives them any more."""
    path = str(tmp_path_factory.mktemp("viewer") / "runs.db")
    sys.path.insert(0, FOLDER)
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = f"{FOLDER}{os.pathsep}{before}"  # for the processes that look at runs
    import watched_shop as shop

    with durable.connect(path) as engine:
        durable.start(shop.order, "tea", 2, id="order-1")
        failed = durable.start(shop.fails, id="fails-1")
        failed.wait(60)
        while engine.store.run("order-1").question is None:
            pass
    yield path
    sys.path.remove(FOLDER)
    os.environ["PYTHONPATH"] = before
