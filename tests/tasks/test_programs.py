"""Published programs over tasks and channels."""

import itertools

import pytest

from stackful import DeadlockError
from stackful.tasks import Channel, Scheduler, TaskGroup, run, schedule, spawn

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def counter(channel):
    for number in itertools.count(2):
        channel.send(number)


def sieve(source, sink, prime):
    while True:
        number = source.receive()
        if number % prime:
            sink.send(number)


def primes(count):
    """Doug McIlroy's sieve of Eratosthenes, as in Rob Pike's "Newsqueak": a filter for each prime found."""
    found, channel = [], Channel()
    spawn(counter, channel)
    while len(found) < count:
        prime = channel.receive()
        found.append(prime)
        longer = Channel()
        spawn(sieve, channel, longer, prime)
        channel = longer
    return found


def test_the_sieve_of_eratosthenes():
    """The filters go on for ever; they end when main does."""
    assert run(primes, 20) == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71]


def generate(*numbers):
    out = Channel()

    def body():
        out.send_sequence(numbers)
        out.close()

    spawn(body)
    return out


def square(source):
    out = Channel()

    def body():
        for number in source:
            out.send(number * number)
        out.close()

    spawn(body)
    return out


def merge(*sources):
    out = Channel()

    def copy(source):
        for value in source:
            out.send(value)

    def body():
        with TaskGroup() as group:
            for source in sources:
                group.spawn(copy, source)
        out.close()

    spawn(body)
    return out


def test_go_pipelines():
    """Sameer Ajmani, "Go Concurrency Patterns: Pipelines and cancellation": squares of squares, fan-out and fan-in."""
    assert run(lambda: list(square(square(generate(2, 3))))) == [16, 81]

    def fan():
        source = generate(*range(10))
        return sorted(merge(square(source), square(source), square(source)))

    assert run(fan) == [n * n for n in range(10)]


def test_an_abandoned_pipeline_ends_with_main():
    """Its senders wait for ever, and are killed: their finally blocks run."""
    log = []

    def body(out):
        try:
            out.send_sequence(range(10))
        finally:
            log.append("ended")

    def main():
        out = Channel()
        spawn(body, out)
        return out.receive()

    assert run(main) == 0
    assert log == ["ended"]


class Fork:
    """Taken by receiving its one token, laid down by sending it back."""

    def __init__(self, name):
        self.token = Channel(name)
        spawn(self.token.send, None)

    def lay_down(self):
        spawn(self.token.send, None)


def dine(left, right, meals, log, name):
    for _ in range(meals):
        left.token.receive()
        schedule()
        right.token.receive()
        log.append(name)
        left.lay_down()
        right.lay_down()


def table(is_polite):
    """Dijkstra's five philosophers; the polite ones take the fork with the lower number first."""
    log = []
    forks = [Fork(f"fork {number}") for number in range(5)]
    with TaskGroup() as group:
        for seat in range(5):
            pair = [forks[seat], forks[(seat + 1) % 5]]
            if is_polite and seat == 4:
                pair.reverse()
            group.spawn(dine, *pair, 3, log, seat).name = f"philosopher {seat}"
    return log


def test_dining_philosophers_deadlock():
    """Each has his left fork and waits for his right one, and the error says so."""
    with pytest.raises(DeadlockError) as caught:
        run(table, False)
    lines = str(caught.value).splitlines()
    for seat in range(5):
        (line,) = (line for line in lines if line.startswith(f"  philosopher {seat} "))
        assert f"waits to receive from channel 'fork {(seat + 1) % 5}', in dine, " in line
        assert f'"{__file__}", line {dine.__code__.co_firstlineno + 4}' in line


def test_polite_philosophers_dine():
    """An order of the forks breaks the circle."""
    assert sorted(run(table, True)) == sorted([*range(5)] * 3)


def skynet(channel, number, size):
    if size == 1:
        channel.send(number)
        return
    part, own = size // 10, Channel()
    for index in range(10):
        spawn(skynet, own, number + index * part, part)
    channel.send(sum(own.receive() for _ in [0]) + _rest(own))


def _rest(channel):
    total = 0
    for _ in range(9):
        total += channel.receive()
    return total


def test_skynet():
    """Alexander Temerev's benchmark: a thousand tasks, each sends its number to its parent."""

    def main():
        channel = Channel()
        spawn(skynet, channel, 0, 1000)
        return channel.receive()

    assert run(main) == 499500


def test_a_hundred_thousand_messages_need_no_more_stack_than_one():
    """Two tasks, thousands of turns."""

    def main():
        channel = Channel()
        task = spawn(channel.send_sequence, range(5000))
        total = sum(itertools.islice(channel, 5000))
        return total, task.join()

    assert run(main) == (12497500, 5000)


def test_schedulers_are_independent():
    """What one does is nothing to the other."""
    log = []

    def count(name):
        for number in range(2):
            log.append((name, number))
            schedule()

    one, other = Scheduler(), Scheduler()
    one.spawn(count, "one")
    other.spawn(count, "other")
    assert one.run()
    assert other.run()
    assert log == [("one", 0), ("one", 1), ("other", 0), ("other", 1)]
