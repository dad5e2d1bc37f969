"""Task groups: all have ended when the block is left. The situations of asyncio's tests of TaskGroup, re-told."""

import pytest

from stackful import FiberError, FiberExit
from stackful.tasks import Channel, TaskGroup, block, current, run, schedule, spawn

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def fail(error):
    raise error


def sleep(log):
    try:
        block()
    finally:
        log.append("killed")


def test_leaving_the_block_waits_for_all():
    """Also for those that a task of the group spawns in it."""
    log = []

    def child(group, n):
        schedule()
        if n:
            group.spawn(child, group, n - 1)
        log.append(n)

    def main():
        with TaskGroup() as group:
            group.spawn(child, group, 3)
            log.append("end of block")
        return group.tasks

    assert run(main) == ()
    assert log == ["end of block", 3, 2, 1, 0]


def test_an_empty_group_does_not_wait():
    """Nobody else gets a turn."""

    def main():
        task = spawn(int)
        with TaskGroup():
            pass
        return task.status

    assert run(main) == "suspended"


def test_a_failing_task_has_the_others_killed():
    """Their finally blocks run, then its error comes out as a group."""
    log = []

    def main():
        with TaskGroup() as group:
            group.spawn(sleep, log)
            group.spawn(sleep, log)
            group.spawn(fail, KeyError(1))

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    assert log == ["killed", "killed"]


def test_a_failing_task_has_the_block_left():
    """Where it waits for something else."""
    log = []

    def main():
        with pytest.raises(ExceptionGroup), TaskGroup() as group:
            group.spawn(fail, KeyError(1))
            sleep(log)
        return "goes on"

    assert run(main) == "goes on"
    assert log == ["killed"]


def test_an_error_of_the_block_has_the_tasks_killed():
    """It comes out in the group, with those that the tasks fail by meanwhile."""
    log = []

    def fails_when_killed():
        try:
            block()
        finally:
            raise ValueError

    def main():
        with TaskGroup() as group:
            group.spawn(sleep, log)
            group.spawn(fails_when_killed)
            schedule()
            raise KeyError(1)

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]
    assert log == ["killed"]


def test_a_killed_task_is_no_failure():
    """The group goes on without it."""
    log = []

    def main():
        with TaskGroup() as group:
            task = group.spawn(sleep, log)
            other = group.spawn(lambda: schedule() or "done")
            schedule()
            task.kill()
        return other.result

    assert run(main) == "done"
    assert log == ["killed"]


@pytest.mark.parametrize("where", ["in the block", "at its end"])
def test_who_waits_for_a_group_can_be_killed(where):
    """The tasks of the group are killed first, and the kill goes on."""
    log = []

    def owner():
        try:
            with TaskGroup() as group:
                group.spawn(sleep, log)
                group.spawn(sleep, log)
                if where == "in the block":
                    block()
        finally:
            log.append("owner")

    def main():
        task = spawn(owner)
        for _ in range(3):
            schedule()
        task.kill()
        schedule()
        schedule()
        return task.status, type(task.exception)

    assert run(main) == ("dead", FiberExit)
    assert log == ["killed", "killed", "owner"]


def test_groups_nest():
    """An inner one's error is the outer one's."""
    log = []

    def inner():
        with TaskGroup() as group:
            group.spawn(sleep, log)
            group.spawn(fail, KeyError(1))

    def main():
        with TaskGroup() as group:
            group.spawn(sleep, log)
            group.spawn(inner)

    with pytest.raises(ExceptionGroup) as caught:
        run(main)
    (error,) = caught.value.exceptions
    assert isinstance(error, ExceptionGroup)
    assert caught.group_contains(KeyError)
    assert log == ["killed", "killed"]


def test_a_task_of_a_group_can_be_waited_for():
    """Its error is raised there, and is the group's as well."""

    def main():
        with TaskGroup() as group:
            task = group.spawn(fail, KeyError(1))
            with pytest.raises(KeyError):
                task.join()
            assert group.spawn

    with pytest.raises(ExceptionGroup):
        run(main)


def test_tasks_are_spawned_within_the_block_only():
    """Neither before nor after, nor when the group fails."""
    seen = []

    def late(group):
        try:
            block()
        finally:
            with pytest.raises(FiberError, match="is failing"):
                group.spawn(int)
            seen.append("failing")

    def main():
        group = TaskGroup()
        with pytest.raises(FiberError, match="has not begun"):
            group.spawn(int)
        with pytest.raises(ExceptionGroup), group:
            group.spawn(late, group)
            schedule()
            raise KeyError(1)
        with pytest.raises(FiberError, match="is failing|is over"):
            group.spawn(int)
        with pytest.raises(FiberError, match="once"), group:
            pass

    run(main)
    assert seen == ["failing"]


def test_a_group_belongs_to_a_task():
    """Outside of tasks there is nobody who could wait."""
    with pytest.raises(FiberError, match="this is no task"), TaskGroup():
        pass


def test_a_fan_out_with_results():
    """Workers that share one channel, and a group that knows when they are done."""

    def worker(jobs, results):
        for job in jobs:
            results.append((current().name, job))
            schedule()

    def main():
        jobs, results = Channel(), []
        with TaskGroup() as group:
            for _ in range(3):
                group.spawn(worker, jobs, results)
            jobs.send_sequence(range(9))
            jobs.close()
        return sorted(job for _, job in results), len({name for name, _ in results})

    assert run(main) == (list(range(9)), 3)
