"""Tasks and schedulers: turns, ends, kills, errors, deadlocks."""

import copy
import inspect
import sys

import pytest

from stackful import DeadlockError, Fiber, FiberError, FiberExit, picture, resume, suspend, suspend_to
from stackful.tasks import Channel, Scheduler, atomic, block, current, pause, run, schedule, spawn

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def test_tasks_take_turns_in_the_order_of_their_birth():
    """Each gives up its turn to all others."""
    log = []

    def count(name):
        for number in range(3):
            log.append(f"{name}{number}")
            schedule()

    scheduler = Scheduler()
    for name in "abc":
        scheduler.spawn(count, name)
    assert scheduler.run()
    assert log == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


def test_arguments_go_to_the_function():
    """Positional ones and keywords, from the scheduler's spawn and from a task's."""

    def collect(*args, **kwargs):
        return args, kwargs

    def main():
        return spawn(collect, 1, b=2).join(), current().scheduler.spawn(collect, self=3).join()

    assert run(main) == (((1,), {"b": 2}), ((), {"self": 3}))
    assert run(collect, 1, function=2) == ((1,), {"function": 2})


def test_a_task_can_be_waited_for_before_and_after_its_end():
    """Its result is the same."""

    def main():
        task = spawn(divmod, 7, 2)
        return task.join(), task.join(), task.result, task.status, repr(task)

    assert run(main) == ((3, 1), (3, 1), (3, 1), "dead", "<Task 'divmod-2' done>")


def test_an_error_of_a_task_is_raised_where_it_is_waited_for():
    """In all that wait, and again later; then it does not leave through run."""

    def fail():
        raise KeyError("gone")

    def wait(task):
        with pytest.raises(KeyError):
            task.join()
        return repr(task.exception)

    def main():
        task = spawn(fail)
        waiting = [spawn(wait, task) for _ in range(2)]
        with pytest.raises(KeyError):
            task.join()
        return [one.join() for one in waiting], wait(task), repr(task)

    heard = "KeyError('gone')"
    assert run(main) == ([heard, heard], heard, f"<Task 'fail-2' failed: {heard}>")


def test_an_error_that_nobody_waits_for_leaves_through_run():
    """The others can be run afterwards (Stackless: exceptions)."""
    scheduler, log = Scheduler(), []

    def fail():
        raise KeyError("gone")

    def other():
        schedule()
        log.append("other")

    scheduler.spawn(other)
    scheduler.spawn(fail)
    with pytest.raises(KeyError) as caught:
        scheduler.run()
    assert caught.traceback[-1].name == "fail"
    assert (scheduler.run(), log) == (True, ["other"])


def test_main_ends_the_run_and_the_others_are_killed():
    """Their finally blocks run, and may send and receive."""
    log = []

    def other(channel):
        try:
            block()
        finally:
            log.append(channel.receive())

    def sender(channel):
        try:
            block()
        finally:
            channel.send("at the end")

    def main():
        channel = Channel()
        spawn(other, channel)
        spawn(sender, channel)
        schedule()
        return "result"

    assert run(main) == "result"
    assert log == ["at the end"]


def test_an_error_of_main_leaves_through_run():
    """As it was raised; the others are killed."""
    log = []

    def other():
        try:
            block()
        finally:
            log.append("finally")

    def main():
        spawn(other)
        schedule()
        raise KeyError(1)

    with pytest.raises(KeyError):
        run(main)
    assert log == ["finally"]


def test_a_killed_task_runs_its_finally_blocks_before_the_killer_goes_on():
    """Stackless's tasklet.kill; who waits for it hears that it was killed."""
    log = []

    def victim():
        try:
            block()
        finally:
            log.append("finally")

    def main():
        task = spawn(victim)
        schedule()
        task.kill()
        log.append("killer")
        task.kill()
        with pytest.raises(FiberError, match="it was killed"):
            task.join()
        return repr(task)

    assert run(main) == "<Task 'victim-2' killed>"
    assert log == ["finally", "killer"]


def test_a_pending_kill_waits_for_its_turn():
    """The killer goes on first."""
    log = []

    def victim():
        try:
            block()
        finally:
            log.append("finally")

    def main():
        task = spawn(victim)
        schedule()
        task.kill(pending=True)
        log.append("killer")

    run(main)
    assert log == ["killer", "finally"]


@pytest.mark.parametrize("where", ["block", "receive", "send", "join", "ready", "fresh"])
def test_a_task_can_be_killed_wherever_it_waits(where):
    """Afterwards nobody waits there any more."""

    def main():
        channel = Channel()
        sleeper = spawn(block)
        waits = {
            "block": block,
            "receive": channel.receive,
            "send": lambda: channel.send(1),
            "join": sleeper.join,
            "ready": lambda: [schedule() for _ in range(9)],
            "fresh": lambda: pytest.fail("it ran"),
        }
        schedule()
        task = spawn(lambda: waits[where]())
        if where != "fresh":
            schedule()
        task.kill()
        sleeper.wake("morning")
        return task.status, channel.balance, sleeper.join(), current().scheduler.tasks == (current(),)

    assert run(main) == ("dead", 0, "morning", True)


def test_a_task_is_killed_with_any_exception_and_may_go_on():
    """It is raised where the task waits."""

    def stubborn():
        try:
            return block()
        except ValueError as error:
            return f"caught {error}, and got {block()}"

    def main():
        task = spawn(stubborn)
        schedule()
        task.kill(ValueError("this"))
        task.wake("woken")
        return task.join()

    assert run(main) == "caught this, and got woken"


def test_a_task_can_kill_itself():
    """The exception leaves it at once."""

    def main():
        task = spawn(lambda: current().kill() or "not reached")
        schedule()
        return task.status, type(task.exception)

    assert run(main) == ("dead", FiberExit)


def test_block_waits_for_wake():
    """Its value is what block returns; who does not wait there cannot be woken."""

    def main():
        task = spawn(block)
        with pytest.raises(FiberError, match="does not wait in block"):
            task.wake()
        schedule()
        task.wake(5)
        return task.join()

    assert run(main) == 5


def test_within_atomic_no_other_task_runs():
    """What wakes others may be called, and they run afterwards; a kill is pending."""
    log = []

    def other(channel):
        try:
            log.append(channel.receive())
            block()
        finally:
            log.append("killed")

    def main():
        channel = Channel()
        task = spawn(other, channel)
        schedule()
        with atomic(), atomic():
            channel.send("sent")
            spawn(log.append, "spawned")
            log.append("atomic")
        schedule()
        with atomic():
            task.kill()
            log.append("atomic again")
        with pytest.raises(FiberError, match="within atomic"), atomic():
            block()

    run(main)
    assert log == ["atomic", "sent", "spawned", "atomic again", "killed"]


def test_a_suspension_that_is_not_the_schedulers_is_an_error():
    """It is raised in the task, at suspend; a fiber within the task suspends as ever."""

    def main():
        fiber = Fiber(suspend, "inner")
        log = [fiber.resume(), resume(fiber, "again")]
        with pytest.raises(FiberError, match=r"suspend\(\) in a task: nobody but its scheduler resumes <Task 'main-1'"):
            suspend("stray")
        return log

    assert run(main) == ["inner", "again"]


def test_only_its_scheduler_resumes_a_task():
    """Nor can it be copied by itself."""
    task = Scheduler().spawn(int)
    with pytest.raises(FiberError, match="is resumed by its scheduler"):
        task.resume()
    with pytest.raises(FiberError, match=r"kill\(exception\)"):
        task.throw(ValueError)
    with pytest.raises(FiberError, match="deepcopy"):
        copy.copy(task)


def test_a_scheduler_runs_once_at_a_time():
    """Within a task it is running already; another one is run in the task's turn."""

    def main():
        with pytest.raises(FiberError, match="is running"):
            current().scheduler.run()
        return run(lambda: (spawn(int).join(), current().name))

    assert run(main) == (0, "<lambda>-1")


def test_run_goes_on_after_a_pause():
    """With the task that has paused."""
    log = []

    def main():
        log.append("one")
        pause()
        log.append("two")

    scheduler = Scheduler()
    scheduler.spawn(main)
    scheduler.spawn(log.append, "other")
    assert (scheduler.run(), log) == (False, ["one"])
    assert (scheduler.run(), log) == (True, ["one", "two", "other"])


def test_pumping_returns_where_all_wait():
    """Stackless's idiom: the program's own loop wakes those that wait for its next round."""
    rounds, log = Channel(preference=1), []
    scheduler = Scheduler()

    def body():
        for number in range(3):
            log.append(number)
            rounds.receive()

    scheduler.spawn(body)
    scheduler.pump()
    while rounds.balance < 0:
        log.append("round")
        rounds.send(None)
        scheduler.pump()
    assert log == [0, "round", 1, "round", 2, "round"]
    assert scheduler.tasks == ()


def test_a_deadlock_says_who_waits_for_what_and_where():
    """Join, block, send and receive, with the line in the program."""
    channel, scheduler = Channel("letters"), Scheduler()

    def waits():
        channel.send("x")

    def blocks():
        block()

    sender = scheduler.spawn(waits)
    sender.name = "sender"
    scheduler.spawn(blocks)
    scheduler.spawn(sender.join)
    with pytest.raises(DeadlockError) as caught:
        scheduler.run()
    first = inspect.getsourcelines(waits)[1]
    name = "test_a_deadlock_says_who_waits_for_what_and_where.<locals>"
    assert str(caught.value).splitlines() == [
        "all tasks wait, and none is left to wake them:",
        f"  sender waits to send on channel 'letters', in {name}.waits, \"{__file__}\", line {first + 1}",
        f'  blocks-2 waits in block(), in {name}.blocks, "{__file__}", line {first + 4}',
        "  join-3 waits for the end of sender",
    ]
    assert caught.value.tasks == scheduler.tasks
    assert channel.receive() == "x"
    caught.value.tasks[1].wake()
    assert scheduler.run()


def test_a_task_cannot_wait_for_its_own_end():
    """That would be the shortest deadlock."""

    def main():
        with pytest.raises(FiberError, match="cannot wait for its own end"):
            current().join()

    run(main)


@pytest.mark.parametrize("function", [spawn, schedule, block, pause, atomic])
def test_outside_of_tasks_the_functions_of_tasks_are_errors(function):
    """They say how tasks are run."""
    with pytest.raises(FiberError, match=r"tasks\.run\(function\)"):
        function(*[int] * (function is spawn))
    assert current() is None


def test_a_scheduler_is_closed_by_its_block():
    """Tasks that are left are killed; an error in a finally block comes out."""
    log = []

    def body(error):
        try:
            block()
        finally:
            log.append("finally")
            if error is not None:
                raise error

    with Scheduler() as scheduler:
        scheduler.spawn(body, None)
        scheduler.pump()
    assert (log, scheduler.tasks) == (["finally"], ())
    scheduler.spawn(body, KeyError(1))
    scheduler.pump()
    with pytest.raises(KeyError):
        scheduler.close()
    scheduler.spawn(body, KeyError(1))
    scheduler.spawn(body, ValueError(1))
    scheduler.pump()
    with pytest.raises(ExceptionGroup) as caught:
        scheduler.close()
    assert [type(error) for error in caught.value.exceptions] == [KeyError, ValueError]


def test_a_task_that_will_not_die_is_given_up():
    """After ten kills, as Stackless does."""
    kills = []

    def immortal():
        while len(kills) < 20:
            try:
                block()
            except FiberExit:
                kills.append(1)

    scheduler = Scheduler()
    scheduler.spawn(immortal)
    scheduler.pump()
    with pytest.raises(FiberError, match="ignored FiberExit"):
        scheduler.close()
    assert len(kills) == 10
    kills.extend(kills)


def test_keyboard_interrupts_leave_at_once():
    """Even where the task belongs to somebody who waits for it."""

    def interrupted():
        raise KeyboardInterrupt

    def main():
        spawn(interrupted).join()

    with pytest.raises(KeyboardInterrupt):
        run(main)


class InterruptAt:
    """A trace function: KeyboardInterrupt at the n-th instruction within the package."""

    def __init__(self, number):
        self.left = number

    def __call__(self, frame, event, arg):
        if "/stackful/tasks/" not in frame.f_code.co_filename or frame.f_code.co_name in {
            "__exit__",
            "close",
            "_pump_all",
        }:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


@pytest.mark.no_leakcheck("it is run thousands of times already")
def test_an_interrupt_at_any_instruction_lets_all_tasks_end():
    """What leaves through run is the interrupt, or an error that it has caused; every finally block has run."""
    number, begun, ended, got = 0, [], [], []

    def guarded(function, *args):
        begun.append(function)
        try:
            function(*args)
        finally:
            ended.append(function)

    def relay(source, sink):
        sink.send(source.receive())

    def main():
        first, second = Channel(), Channel(preference=1)
        spawn(guarded, relay, first, second)
        idle = spawn(guarded, block)
        first.send(7)
        schedule()
        got.append(second.receive())
        idle.kill()

    def alone():
        # CPython takes an exception as still being handled where a trace function has raised at a POP_EXCEPT; a generator keeps that to itself.
        yield run(guarded, main)

    sys.settrace(InterruptAt(10**9))  # 3.12 tells of instructions from the second time on
    run(guarded, main)
    sys.settrace(None)
    while True:
        number += 1
        interrupt = InterruptAt(number)
        begun.clear(), ended.clear(), got.clear()
        sys.settrace(interrupt)
        try:
            next(alone())
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        assert sys.exc_info()[0] is None
        assert sorted(map(repr, begun)) == sorted(map(repr, ended)), number
        if interrupt.left > 0:
            break
    assert got == [7]
    assert number > 100


def test_frames_of_a_waiting_task_can_be_looked_at():
    """A task is a fiber."""

    def deep(n):
        return block() if n == 0 else deep(n - 1)

    scheduler = Scheduler()
    task = scheduler.spawn(deep, 3)
    scheduler.pump()
    assert [frame.code.co_name for frame in task.frames][:4] == ["deep"] * 4
    assert "deep" in picture(task)
    scheduler.close()


def test_the_fiber_that_runs_a_scheduler_can_be_suspended_within_a_task():
    """A task's frames lie on the fiber's, and go along."""

    def body():
        return suspend_to(fiber, "from within a task") + 1

    def main():
        return spawn(body).join()

    def program():
        return run(main)

    fiber = Fiber(program)
    assert fiber.resume() == "from within a task"
    assert "body" in [frame.code.co_name for frame in fiber.frames]
    assert fiber.resume(41) == 42


def test_names_are_for_messages():
    """A name can be set."""
    scheduler = Scheduler()
    task = scheduler.spawn(int)
    names = [task.name]
    task.name = "integer"
    assert [*names, task.name, repr(task), repr(scheduler)] == [
        "int-1", "integer", "<Task 'integer' ready>", "<Scheduler of 1 tasks, 0 of them blocked>",
    ]  # fmt: skip


def test_a_task_is_killed_by_an_exception_only():
    """Anything else is a TypeError for the killer, and the task waits as before."""

    def main():
        task = spawn(block)
        schedule()
        for wrong in (int, 42, "now"):
            with pytest.raises(TypeError, match=r"kill\(\) takes an exception"):
                task.kill(wrong)
        assert task.is_blocked
        task.wake("awake")
        return task.join()

    assert run(main) == "awake"


@pytest.mark.no_leakcheck("a long traceback each time")
def test_runs_that_nest_without_end_are_refused_at_any_depth():
    """A RecursionError, alone or with those of the tasks that could not be killed for want of room."""

    def endless():
        return run(endless)

    def deeper(depth):
        return deeper(depth - 1) if depth else endless()

    for depth in range(12):
        with pytest.raises((RecursionError, ExceptionGroup)):
            deeper(depth)
