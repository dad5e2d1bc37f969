"""A system of tasks is a value: saved, copied, and gone on with in another process."""

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import stackful
from stackful import Fiber, FiberError, UnsaveableError, snapshot, suspend_to
from stackful.tasks import Channel, Scheduler, TaskGroup, block, current, pause, run, schedule, spawn

pytestmark = pytest.mark.three_ways  # no leak check: picklers fill caches of CPython with names


def produce(channel, values):
    for value in values:
        channel.send(value)
    channel.close()


def double(source, sink):
    while (value := source.receive_or(None)) is not None:
        sink.send(2 * value)
    sink.close()


def collect(source, results):
    while (value := source.receive_or(None)) is not None:
        results.append(value)
        if value == 4:
            pause()
    return results


def system():
    """A pipeline of three tasks that pauses in the middle; the last task has the results."""
    scheduler = Scheduler()
    first, second = Channel("first"), Channel("second")
    scheduler.spawn(produce, first, [1, 2, 3, 4])
    scheduler.spawn(double, first, second)
    return scheduler, scheduler.spawn(collect, second, [])


WAYS = {
    "snapshot": lambda value: snapshot.loads(snapshot.dumps(value, key=b"k"), key=b"k"),
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("copied", WAYS)
def test_a_paused_system_goes_on_twice(copied):
    """The restored one and the original share nothing."""
    scheduler, last = system()
    assert scheduler.run() is False
    twin, twin_last = WAYS[copied]((scheduler, last)) if copied == "snapshot" else (WAYS[copied](scheduler), None)
    twin_last = twin_last or next(task for task in twin.tasks if task.name == "collect-3")
    assert scheduler.run()
    assert last.result == [2, 4, 6, 8]
    assert twin_last.status == "suspended"
    assert twin.run()
    assert twin_last.result == [2, 4, 6, 8]


@pytest.mark.parametrize("copied", WAYS)
def test_blocked_tasks_travel_with_their_channel(copied):
    """Whoever has the channel can wake them, there and here."""
    channel, scheduler = Channel("letters"), Scheduler()
    scheduler.spawn(channel.receive)
    sender = scheduler.spawn(lambda: 0)
    scheduler.pump()
    assert sender.result == 0
    other = WAYS[copied](channel)
    (there,) = other.queue
    assert (other.name, other.balance, there.scheduler.tasks) == ("letters", -1, (there,))
    other.send("there")
    channel.send("here")
    (here,) = scheduler.tasks
    scheduler.run()
    there.scheduler.run()
    assert (here.result, there.result) == ("here", "there")


def test_all_that_a_task_knows_is_restored():
    """Its name, what it waits for, whom it belongs to, and a value that is on its way."""
    scheduler = Scheduler()

    def child(channel):
        channel.send("on its way")
        return block()

    def main():
        channel = Channel()
        with TaskGroup() as group:
            task = group.spawn(child, channel)
            task.name = "child"
            schedule()
            pause()
            got = channel.receive()
            schedule()
            task.wake(got)
        return task.result

    main_task = scheduler.spawn(main)
    assert scheduler.run() is False
    twin, twin_main = snapshot.loads(snapshot.dumps((scheduler, main_task)))
    assert [task.name for task in twin.tasks] == ["main-1", "child"]
    assert twin.run()
    assert twin_main.result == "on its way"
    assert scheduler.run()


def test_waiting_at_the_end_of_a_group_can_be_saved():
    """No C code stands between a with statement and the group's end."""

    def main(channel):
        with TaskGroup() as group:
            task = group.spawn(channel.receive)
        return task.result

    scheduler, channel = Scheduler(), Channel()
    task = scheduler.spawn(main, channel)
    scheduler.pump()
    twin, twin_channel, twin_task = snapshot.loads(snapshot.dumps((scheduler, channel, task)))
    twin_channel.send("there")
    assert twin.run()
    assert (twin_task.result, task.status) == ("there", "suspended")
    scheduler.close()


def test_a_kill_that_is_pending_is_saved():
    """It arrives in the other process, too."""
    log = []

    def victim(log):
        try:
            block()
        finally:
            log.append("killed")

    scheduler = Scheduler()
    task = scheduler.spawn(victim, log)
    scheduler.pump()
    task.kill(KeyError(1))
    twin, twin_log = snapshot.loads(snapshot.dumps((scheduler, log)))
    with pytest.raises(KeyError):
        twin.run()
    assert (twin_log, log) == (["killed"], [])
    with pytest.raises(KeyError):
        scheduler.run()


def test_a_scheduler_that_runs_cannot_be_saved():
    """One of its tasks is running; pause() is the way."""

    def main():
        with pytest.raises(FiberError):
            snapshot.dumps(current().scheduler)

    run(main)


def test_a_task_that_waits_behind_c_code_cannot_be_saved():
    """The error says which C code that is; the rest goes on."""
    scheduler, channel = Scheduler(), Channel()
    task = scheduler.spawn(lambda: sorted([1], key=lambda _: channel.receive()))
    scheduler.pump()
    with pytest.raises((FiberError, UnsaveableError), match="sorted"):
        snapshot.dumps(scheduler)
    channel.send(0)
    assert scheduler.run()
    assert task.result == [1]


def test_a_fiber_that_runs_a_scheduler_is_saved_from_within_a_task():
    """What is suspended further out takes all tasks along."""

    def worker(channel, save):
        channel.send(save("half way") + 1)

    def program(save):
        channel = Channel()
        spawn(worker, channel, save)
        return channel.receive()

    def outside(value):
        return suspend_to(fiber, value)

    fiber = Fiber(lambda: run(program, outside))
    assert fiber.resume() == "half way"
    twin = copy.deepcopy(fiber)
    assert (twin.status, twin.frames[-1].code.co_name) == ("suspended", fiber.frames[-1].code.co_name)
    assert fiber.resume(1) == 2
    assert twin.resume(41) == 42


CHILD = """
import sys
from pathlib import Path
from stackful import snapshot

scheduler, last = snapshot.loads(Path(sys.argv[1]).read_bytes())
assert scheduler.run()
print(last.result)
"""


def test_another_process_goes_on(tmp_path):
    """With the bytes alone, and the module that the functions stand in."""
    scheduler, last = system()
    assert scheduler.run() is False
    data = tmp_path / "system"
    data.write_bytes(snapshot.dumps((scheduler, last)))
    paths = f"{Path(stackful.__file__).parents[1]}:{Path(__file__).parent}"
    done = subprocess.run(
        [sys.executable, "-c", CHILD, data],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[2, 4, 6, 8]\n", "")
    scheduler.close()
