"""One process for one run, by a lock that dies with its holder."""

import os
import subprocess
import sys
import textwrap

import pytest

from durable.commands import SOURCES, kill
from stackful.durable.locks import RunLock, is_locked
from stackful.errors import RunLockedError, StoreError

HOLDER = """
import sys, time
from pathlib import Path
from stackful.durable.locks import RunLock
lock = RunLock(Path("runs.db"), "one")
print("held", flush=True)
time.sleep(600)
"""


@pytest.fixture
def store(tmp_path):
    return tmp_path / "runs.db"


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock."""
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    kill(process)


def test_a_second_process_is_refused_and_told_who_holds_the_run(store, holder):
    """The message names the process at work."""
    assert is_locked(store, "one")
    with pytest.raises(RunLockedError, match=f"run one is being worked on by process {holder.pid};"):
        RunLock(store, "one")


def test_a_killed_process_holds_nothing(store, holder):
    """Kill -9 gives the run free, though the lock's file is still there."""
    kill(holder)
    assert not is_locked(store, "one")
    RunLock(store, "one").release()


def test_runs_are_locked_one_by_one(store, holder):
    """Work on one run keeps nobody from another."""
    RunLock(store, "two").release()


def test_a_released_lock_leaves_no_file(store):
    """The folder is as before, and releasing twice does no harm."""
    lock = RunLock(store, "one")
    assert is_locked(store, "one")
    lock.release()
    lock.release()
    assert os.listdir(store.parent) == []
    assert not is_locked(store, "one")


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # a watchdog is no danger
def test_a_forked_child_does_not_keep_the_lock(store):
    """When the child has let go of it, the lock is the parent's alone."""
    lock = RunLock(store, "one")
    child = os.fork()
    if child == 0:
        lock.forget()
        os._exit(0 if is_locked(store, "one") else 1)
    assert os.waitpid(child, 0)[1] == 0
    lock.release()


def test_a_lock_that_cannot_be_made_is_a_store_error(tmp_path):
    """The message names the file and the reason."""
    with pytest.raises(StoreError, match="the lock file .* cannot be made: No such file"):
        RunLock(tmp_path / "nowhere" / "runs.db", "one")


def test_many_processes_get_the_lock_one_after_another(tmp_path):
    """Between taking and releasing nobody else is inside, though the file comes and goes."""
    program = """
        import os, time
        from pathlib import Path
        from stackful.durable.locks import RunLock
        from stackful.errors import RunLockedError
        done = 0
        while done < 30:
            try:
                lock = RunLock(Path("runs.db"), "one")
            except RunLockedError:
                continue
            os.close(os.open("inside", os.O_CREAT | os.O_EXCL))
            os.unlink("inside")
            lock.release()
            done += 1
    """
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    processes = [subprocess.Popen(command, cwd=tmp_path, env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
