"""An engine over a fresh store, in a folder of its own, and how to wait for what its threads bring about."""

import sys
import time
from pathlib import Path

import pytest

from stackful import durable

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop

PATIENCE = 30  # seconds


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for the store, and for what runs do to the world."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shop, "LOG", tmp_path / "effects.log")
    return tmp_path


@pytest.fixture
def engine(folder):
    """An engine over a fresh store, connected."""
    with durable.connect(folder / "runs.db") as engine:
        yield engine


def until(condition):
    """Wait for something that another thread brings about."""
    for _ in range(PATIENCE * 200):
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError("it never came true")
