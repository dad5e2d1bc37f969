"""Channels: who waits, who goes on, and the ends of channels. The situations of Stackless's own channel tests, re-told."""

import pytest

from stackful import BarrierError, ChannelClosedError, DeadlockError, Fiber, FiberError, barrier, resume
from stackful.tasks import Channel, Scheduler, TaskGroup, atomic, block, run, schedule, spawn

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def test_a_sender_without_a_receiver_waits():
    """The balance says that one task waits to send."""
    channel, scheduler = Channel(), Scheduler()
    task = scheduler.spawn(lambda: channel.send(1))
    scheduler.pump()
    assert (task.is_blocked, task.waits_for, channel.balance, channel.queue) == (True, channel, 1, (task,))
    assert channel.receive() == 1
    assert (scheduler.run(), channel.balance) == (True, 0)


def test_a_receiver_without_a_sender_waits():
    """The balance says that one task waits to receive."""
    channel, scheduler = Channel(), Scheduler()
    task = scheduler.spawn(lambda: channel.receive())
    scheduler.pump()
    assert (task.is_blocked, channel.balance) == (True, -1)
    channel.send("x")
    assert scheduler.run()
    assert task.result == "x"


def test_nobody_waits_where_the_other_one_is_there_already():
    """Within atomic(), in which nothing may wait, both sides of a channel go through."""
    log = []

    def receiver(channel):
        log.append(channel.receive())

    def main():
        channel = Channel()
        spawn(receiver, channel)
        schedule()
        with atomic():
            channel.send("sent")
        spawn(channel.send, "received")
        schedule()
        with atomic():
            log.append(channel.receive())

    run(main)
    assert log == ["sent", "received"]


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_what_would_wait_is_refused_within_atomic(operation):
    """The error names the operation; afterwards the task goes on, and nobody waits on the channel."""

    def main():
        channel = Channel()
        with pytest.raises(FiberError, match=rf"{operation}\(\) would have to let others run"), atomic():
            channel.send(1) if operation == "send" else channel.receive()
        return channel.balance

    assert run(main) == 0


@pytest.mark.parametrize("operation", ["send", "receive"])
def test_outside_of_tasks_nothing_can_wait(operation):
    """The error says where tasks are run, and nobody waits on the channel."""
    channel = Channel()
    with pytest.raises(FiberError, match=rf"{operation}\(\) would have to wait, and this is no task: tasks.run"):
        channel.send(1) if operation == "send" else channel.receive()
    assert channel.balance == 0


@pytest.mark.parametrize("preference", [-1, 0, 1])
def test_values_arrive_in_order_whatever_the_preference(preference):
    """Only who goes on first differs."""

    def main():
        channel = Channel(preference=preference)
        task = spawn(channel.send_sequence, "abc")
        got = [channel.receive() for _ in range(3)]
        return got, task.join()

    assert run(main) == (["a", "b", "c"], 3)


def who_goes_on(preference, first, second):
    """The order in which a sender, a receiver and a bystander that was ready go on after a message."""
    log = []
    channel = Channel(preference=preference)

    def sender():
        channel.send(1)
        log.append("sender")

    def receiver():
        channel.receive()
        log.append("receiver")

    both = {"sender": sender, "receiver": receiver}
    scheduler = Scheduler()
    scheduler.spawn(both[first])
    scheduler.pump()
    scheduler.spawn(both[second])
    scheduler.spawn(lambda: log.append("bystander"))
    scheduler.run()
    return log


def test_a_channel_prefers_the_receiver():
    """Sending to one that waits lets it run at once, and the sender stands at the end; receiving from one that waits goes on (Stackless)."""
    assert who_goes_on(-1, "receiver", "sender") == ["receiver", "bystander", "sender"]
    assert who_goes_on(-1, "sender", "receiver") == ["receiver", "bystander", "sender"]


def test_a_channel_that_prefers_the_sender():
    """Receiving from one that waits lets it run at once; sending to one that waits goes on."""
    assert who_goes_on(1, "receiver", "sender") == ["sender", "bystander", "receiver"]
    assert who_goes_on(1, "sender", "receiver") == ["sender", "bystander", "receiver"]


def test_a_channel_without_preference():
    """Who has not waited goes on."""
    assert who_goes_on(0, "receiver", "sender") == ["sender", "bystander", "receiver"]
    assert who_goes_on(0, "sender", "receiver") == ["receiver", "bystander", "sender"]


def test_another_preference_is_refused():
    """There are three."""
    with pytest.raises(ValueError, match="not 2"):
        Channel(preference=2)


def test_first_come_first_served():
    """Receivers get values in the order in which they came, and so do senders get rid of theirs."""
    log = []

    def receiver(channel, name):
        log.append((name, channel.receive()))

    def main():
        channel = Channel()
        for name in "abc":
            spawn(receiver, channel, name)
        schedule()
        channel.send_sequence(range(3))
        for number in range(3):
            spawn(channel.send, number)
        schedule()
        return [channel.receive() for _ in range(3)]

    assert run(main) == [0, 1, 2]
    assert log == [("a", 0), ("b", 1), ("c", 2)]


@pytest.mark.parametrize("first", ["sender", "receiver"])
def test_an_exception_can_be_sent(first):
    """It is raised in the task that receives, with the arguments given, whoever has waited."""

    def send(channel):
        channel.send_exception(ValueError, 1, 2, 3)

    def main():
        channel = Channel()
        if first == "sender":
            spawn(send, channel)
            schedule()
        else:
            spawn(send, channel)
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - its arguments are checked
            channel.receive()
        return caught.value.args

    assert run(main) == (1, 2, 3)


def test_only_exceptions_can_be_sent_as_such():
    """Anything else is a TypeError of the sender."""
    with pytest.raises(TypeError, match="not 3"):
        Channel().send_exception(3)


def test_a_sent_exception_keeps_its_traceback():
    """The innermost function is the one that raised it (Stackless's send_throw)."""

    def culprit():
        raise KeyError(1)

    def send(channel):
        try:
            culprit()
        except KeyError as error:
            channel.send_exception(error)

    def main():
        channel = Channel()
        spawn(send, channel)
        with pytest.raises(KeyError) as caught:
            channel.receive()
        names = []
        traceback = caught.value.__traceback__
        while traceback is not None:
            names.append(traceback.tb_frame.f_code.co_name)
            traceback = traceback.tb_next
        return "culprit" in names

    assert run(main)


def test_iterating_ends_when_the_channel_is_closed():
    """Stackless's testSequence, without its pumping."""

    def sender(channel):
        assert channel.send_sequence(range(10)) == 10
        channel.close()

    def main():
        channel = Channel()
        spawn(sender, channel)
        return [*channel, channel.is_closed]

    assert run(main) == [*range(10), True]


def test_iterating_ends_when_stop_iteration_is_sent():
    """As Stackless documents."""

    def sender(channel):
        channel.send_sequence(range(3))
        channel.send_exception(StopIteration)

    def main():
        channel = Channel()
        spawn(sender, channel)
        return [*channel, channel.is_closed]

    assert run(main) == [0, 1, 2, False]


def test_receive_or_gives_the_default_at_the_end_of_a_channel():
    """So that a loop needs neither an exception nor C code."""

    def sender(channel):
        channel.send_sequence([1, 2])
        channel.close()

    def main():
        channel, got = Channel(), []
        spawn(sender, channel)
        while (item := channel.receive_or(None)) is not None:
            got.append(item)
        return got

    assert run(main) == [1, 2]


def test_a_closed_channel_refuses():
    """To send and to receive is an error that is a ValueError, too, as in Stackless; iteration is at its end."""
    channel = Channel("news")
    channel.close()
    with pytest.raises(ChannelClosedError, match="cannot send: <Channel 'news' closed"):
        channel.send(1)
    with pytest.raises(ValueError, match="cannot receive: <Channel 'news' closed"):
        channel.receive()
    assert list(channel) == []

    def main():
        with pytest.raises(ChannelClosedError):
            channel.send(1)
        with pytest.raises(ChannelClosedError):
            channel.receive()

    run(main)


def test_senders_that_wait_are_received_from_after_the_close():
    """The channel is closed when the last of them is gone."""

    def main():
        channel = Channel()
        for number in range(2):
            spawn(channel.send, number)
        schedule()
        channel.close()
        states = [channel.is_closed, channel.receive(), channel.receive(), channel.is_closed]
        with pytest.raises(ChannelClosedError):
            channel.receive()
        return states

    assert run(main) == [False, 0, 1, True]


def test_receivers_that_wait_hear_of_the_close():
    """The error is raised where they wait."""

    def receiver(channel):
        with pytest.raises(ChannelClosedError):
            channel.receive()
        return "heard"

    def main():
        channel = Channel()
        tasks = [spawn(receiver, channel) for _ in range(2)]
        schedule()
        channel.close()
        return [task.join() for task in tasks]

    assert run(main) == ["heard", "heard"]


def test_a_channel_can_be_subclassed():
    """Stackless's test_init."""

    class Named(Channel):
        def __init__(self, name):
            super().__init__()
            self.label = name

    assert Named("bong").label == "bong"


def test_a_channel_says_who_waits():
    """Its name, and how many."""
    channel, scheduler = Channel("news"), Scheduler()
    scheduler.spawn(channel.receive)
    scheduler.pump()
    assert repr(channel) == "<Channel 'news', 1 receivers waiting>"
    scheduler.close()
    assert repr(channel) == "<Channel 'news', 0 receivers waiting>"


def test_a_fiber_within_a_task_can_wait_for_its_task():
    """Where the function resume has put its frames on the task's, they wait together."""

    def inner(channel):
        channel.send(channel.receive() + 1)

    def main():
        channel = Channel()
        task = spawn(lambda: resume(Fiber(inner, channel)))
        schedule()
        channel.send(1)
        answer = channel.receive()
        task.join()
        return answer

    assert run(main) == 2


def test_a_fiber_that_is_resumed_by_its_method_cannot_wait_for_its_task():
    """That is an error, and nobody is left waiting."""

    def inner(channel):
        with pytest.raises(LookupError):
            channel.receive()
        with pytest.raises(LookupError):
            channel.send(1)
        with pytest.raises(LookupError):
            schedule()
        return channel.balance

    assert run(lambda: Fiber(inner, Channel()).resume()) == 0


def test_a_barrier_is_no_place_to_wait():
    """The error is raised there, and nobody is left waiting."""

    def main():
        channel = Channel()
        for wait in (channel.receive, lambda: channel.send(1), schedule, block, spawn(block).join):
            with pytest.raises(BarrierError):
                barrier(wait)
        with TaskGroup() as group:
            channel = Channel()
            group.spawn(channel.receive)
            schedule()
            with pytest.raises(BarrierError):
                barrier(lambda: channel.send("arrives nevertheless"))
        return channel.balance

    assert run(main) == 0


def test_a_task_can_wait_behind_c_code():
    """The frames of C code are kept: sorted() waits for the keys that another task sends."""

    def serve(channel):
        for key in 3, 1, 2:
            channel.send(key)

    def main():
        channel = Channel()
        spawn(serve, channel)
        return sorted("abc", key=lambda _: channel.receive())

    assert run(main) == ["b", "c", "a"]


def test_two_tasks_that_wait_for_each_other_are_a_deadlock():
    """Both receive, nobody sends."""

    def main():
        one, other = Channel("one"), Channel("other")

        def left():
            one.receive()
            other.send(1)

        def right():
            other.receive()
            one.send(1)

        with TaskGroup() as group:
            group.spawn(left)
            group.spawn(right)

    with pytest.raises(DeadlockError) as caught:
        run(main)
    message = str(caught.value)
    assert "main-1 waits for the end of left-2, right-3, in " in message
    assert "left-2 waits to receive from channel 'one', in " in message
    assert f'"{__file__}", line {main.__code__.co_firstlineno + 4}' in message
