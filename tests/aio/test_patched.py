"""`patched`: what it changes for whom, and that it changes it back."""

import asyncio
import contextlib
import os
import queue
import select
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time

import pytest

from stackful import BarrierError, aio, barrier
from stackful.aio import await_, patched

PLACES = [
    (socket, "getaddrinfo"), (socket.socket, "recv"), (socket.socket, "connect"), (ssl.SSLSocket, "read"), (select, "select"), (select, "poll"),
    (selectors.EpollSelector, "select"), (time, "sleep"), (threading, "Lock"), (threading, "RLock"), (threading.Thread, "start"),
    (queue, "SimpleQueue"),
]  # fmt: skip


def now():
    return [getattr(owner, name) for owner, name in PLACES]


def gathered(*functions):
    """What they return, each called in a task of its own, at the same time."""
    return await_(asyncio.gather(*map(aio.spawn, functions)))


@contextlib.contextmanager
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


# ---- in place, and out ---------------------------------------------------------------------------------


def test_importing_patches_nothing():
    """Not before `patched` is entered."""
    program = "import socket, time; a = time.sleep, socket.socket.recv; import stackful.aio; print(a == (time.sleep, socket.socket.recv))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_the_originals_come_back():
    """After nested use, and after an exception; with the same classes all the time."""
    before = now()
    inherited = "recv" in vars(socket.socket)
    with pytest.raises(LookupError), patched():
        with patched():
            assert not any(a is b for a, b in zip(now(), before, strict=True))
        assert not any(a is b for a, b in zip(now(), before, strict=True))
        raise LookupError
    assert all(a is b for a, b in zip(now(), before, strict=True))
    assert ("recv" in vars(socket.socket)) == inherited is False


def test_threads_that_enter_it_do_not_disturb_each_other():
    """The last to leave brings the originals back."""
    before, entered, leave = now(), threading.Event(), threading.Event()

    def other():
        with patched():
            entered.set()
            leave.wait()

    thread = threading.Thread(target=other)
    with patched():
        thread.start()
        entered.wait()
    assert time.sleep is not before[PLACES.index((time, "sleep"))]
    leave.set()
    thread.join()
    assert now() == before


def test_outside_of_portals_all_is_as_before():
    """In the main thread without a loop, in a plain task, and in other threads: real waiting, and the same results."""

    def uses_everything():
        lock, items, done = threading.Lock(), queue.SimpleQueue(), threading.Event()
        with pair() as (left, right), lock, threading.RLock():
            time.sleep(0)
            left.sendall(b"hello")
            assert select.select([right], [], [])[0] == [right]
            poll = select.poll()
            poll.register(right, select.POLLIN)
            assert poll.poll(1000) == [(right.fileno(), select.POLLIN)]
            thread = threading.Thread(target=lambda: (items.put(right.recv(5)), done.set()))
            thread.start()
            assert done.wait()
            thread.join()
            return items.get()

    async def task():
        return uses_everything()

    with patched():
        assert uses_everything() == b"hello"
        assert asyncio.run(task()) == b"hello"
        assert aio.run(lambda: await_(asyncio.to_thread(uses_everything))) == b"hello"
        assert aio.run(uses_everything) == b"hello"


def test_sockets_made_before_are_cooperative_too(run):
    """And stay usable, with their timeouts, when `patched` is left."""

    def main():
        with pair() as (left, right):
            left.settimeout(30)
            with patched():
                assert gathered(lambda: left.recv(3), lambda: right.sendall(b"abc"))[0] == b"abc"
            right.sendall(b"def")
            return left.recv(3), left.gettimeout(), right.getblocking()

    assert run(main) == (b"def", 30, True)


# ---- sleeping, and sockets --------------------------------------------------------------------------------


def test_sleeping_lets_others_go_on(run):
    """Who comes second has begun, and done something, before the first wakes."""
    trace = []

    def sleeper():
        trace.append("sleeps")
        time.sleep(0.01)
        trace.append("wakes")

    def main():
        with patched():
            gathered(sleeper, lambda: trace.append("others"))
            with pytest.raises(ValueError, match="non-negative"):
                time.sleep(-1)

    run(main)
    assert trace == ["sleeps", "others", "wakes"]


def echo(server):
    connection, _ = server.accept()
    with connection, connection.makefile("rwb") as file:
        for line in file:
            file.write(line.upper())
            file.flush()


def ask(address, *lines):
    with socket.create_connection(address, timeout=60) as client, client.makefile("rw") as file:
        answers = []
        for line in lines:
            file.write(line + "\n")
            file.flush()
            answers.append(file.readline().strip())
        return answers


def test_client_and_server_share_a_thread(run):
    """accept, connect by name, makefile: each waits for the other."""

    def main():
        with patched(), socket.create_server(("localhost", 0)) as server:
            return gathered(lambda: echo(server), lambda: ask(("localhost", server.getsockname()[1]), "a", "b"))

    assert run(main) == [None, ["A", "B"]]


def test_more_than_the_buffers_hold_is_sent(run):
    """Writers, of files too, wait for the reader."""
    data = os.urandom(3_000_000)

    def receive(sock):
        got = bytearray()
        while part := sock.recv(65536):
            got += part
        return bytes(got)

    def main(send):
        with patched(), pair() as (left, right):

            def sender():
                send(left)
                left.shutdown(socket.SHUT_WR)

            return gathered(sender, lambda: receive(right))[1]

    def send_file(sock):
        with open("/proc/self/exe", "rb") as file:
            sock.sendfile(file, count=2_000_000)

    assert run(main, lambda sock: sock.sendall(data)) == data
    with open("/proc/self/exe", "rb") as file:
        assert run(main, send_file) == file.read(2_000_000)


def test_timeouts_are_those_of_the_socket(run):
    """As TimeoutError, in every operation that waits."""

    def times_out(operation, *args):
        with pytest.raises(TimeoutError, match="timed out"):
            operation(*args)

    def main():
        with patched(), pair() as (left, _), socket.create_server(("127.0.0.1", 0)) as server:
            for sock in (left, server):
                sock.settimeout(0.01)
            times_out(left.recv, 1)
            times_out(left.recv_into, bytearray(1))
            times_out(left.sendall, bytes(10_000_000))
            times_out(server.accept)
            return left.gettimeout()

    assert run(main) == 0.01


def test_nonblocking_sockets_stay_so(run):
    """BlockingIOError at once."""

    def main():
        with patched(), pair() as (left, _):
            left.setblocking(False)
            with pytest.raises(BlockingIOError):
                left.recv(1)
            return "at once"

    assert run(main) == "at once"


def test_errors_of_connect_are_the_originals(run):
    """Refused, and by number."""

    def main():
        with patched():
            with socket.create_server(("127.0.0.1", 0)) as server:
                address = server.getsockname()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            with socket.socket() as sock:
                return sock.connect_ex(address) == ConnectionRefusedError(111, "").errno

    assert run(main)


def test_several_tasks_may_wait_for_one_socket(run):
    """Each datagram goes to one of them."""

    def main():
        with (
            patched(),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        ):
            receiver.bind(("127.0.0.1", 0))

            def send():
                time.sleep(0)
                for n in range(3):
                    sender.sendto(bytes([n]), receiver.getsockname())

            got = gathered(*3 * [lambda: receiver.recvfrom(10)[0]], send)[:3]
            return sorted(got)

    assert run(main) == [b"\0", b"\1", b"\2"]


def test_closing_a_socket_wakes_who_waits_for_it(run):
    """With the error for a closed descriptor; the next socket with that number is waited for anew."""

    def main():
        with patched():
            for _ in range(3):
                with pair() as (left, right):

                    def receive(left=left):
                        with pytest.raises(OSError, match="Bad file descriptor"):
                            left.recv(1)
                        return "closed"

                    def close(left=left):
                        time.sleep(0)
                        left.close()

                    assert gathered(receive, close)[0] == "closed"
            return "done"

    assert run(main) == "done"


def test_a_wait_can_be_cancelled(run):
    """The socket is as it was then."""

    def main():
        with patched(), pair() as (left, right):
            task = aio.spawn(left.recv, 3)
            time.sleep(0)
            task.cancel()
            await_(asyncio.wait([task]))
            assert task.cancelled()
            return gathered(lambda: left.recv(3), lambda: right.send(b"abc"))[0]

    assert run(main) == b"abc"


def test_names_are_looked_up_in_a_thread(run):
    """Meanwhile other tasks go on; numbers need none."""

    def main():
        with patched():
            found = socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)
            assert found
            assert socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
            with pytest.raises(socket.gaierror):
                socket.getaddrinfo("name.invalid", 80)
            return socket.gethostbyname("localhost")

    assert run(main) == "127.0.0.1"


@pytest.mark.parametrize("selector", [selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector])
def test_selectors_wait_as_tasks(run, selector):
    """For what another task sends; and no longer than they are told."""

    def main():
        with patched(), pair() as (left, right), selector() as chosen:
            chosen.register(left, selectors.EVENT_READ)
            assert chosen.select(0.01) == []
            (key, events), *_ = gathered(chosen.select, lambda: right.send(b"x"))[0]
            return key.fileobj is left, events == selectors.EVENT_READ

    assert run(main) == (True, True)


def test_select_and_poll_wait_as_tasks(run):
    """The functions of the module select."""

    def main():
        with patched(), pair() as (left, right):
            poll = select.poll()
            poll.register(left, select.POLLIN)
            assert poll.poll(10) == select.select([left], [], [], 0.01)[0] == []
            assert select.select([left], [right], []) == ([], [right], [])
            polled, selected, _ = gathered(
                poll.poll, lambda: select.select([left], [], [left])[0], lambda: right.send(b"x")
            )
            poll.unregister(left)
            return polled == [(left.fileno(), select.POLLIN)], selected == [left], poll.poll(0)

    assert run(main) == (True, True, [])


# ---- locks and queues ----------------------------------------------------------------------------------------


def test_queues_connect_tasks(run):
    """A producer and a consumer on one thread, with every kind of queue."""

    def main(kind):
        with patched():
            items = kind()

            def produce():
                for n in range(5):
                    items.put(n)
                    time.sleep(0)

            return gathered(lambda: [items.get() for _ in range(5)], produce)[0]

    for kind in (queue.Queue, lambda: queue.Queue(1), lambda: queue.SimpleQueue(), queue.PriorityQueue):
        assert run(main, kind) == [0, 1, 2, 3, 4]


def test_queues_time_out(run):
    """Both kinds raise queue.Empty."""

    def main():
        with patched():
            for items in (queue.Queue(), queue.SimpleQueue()):
                with pytest.raises(queue.Empty):
                    items.get(timeout=0.01)
                with pytest.raises(queue.Empty):
                    items.get_nowait()
                items.put(1)
                assert (items.qsize(), items.get(timeout=0.01), items.empty()) == (1, 1, True)
            return "both"

    assert run(main) == "both"


def test_a_lock_is_for_one_task(run):
    """The others wait, in turn; a reentrant one lets its own task in again."""
    trace = []

    def worker(lock, name):
        with lock:
            trace.append(f"{name} in")
            time.sleep(0)
            time.sleep(0)
            trace.append(f"{name} out")

    def main(kind):
        with patched():
            lock = kind()
            gathered(*(lambda name=name: worker(lock, name) for name in "abc"))
            reentrant = threading.RLock()
            with reentrant, reentrant:
                assert gathered(lambda: reentrant.acquire(blocking=False)) == [False]

    run(main, lambda: threading.Lock())
    run(main, lambda: threading.RLock())
    assert trace == 2 * [f"{name} {way}" for name in "abc" for way in ("in", "out")]


def test_a_cancelled_wait_for_a_lock_hands_the_turn_on(run):
    """Even where it is cancelled when the lock has just been released to it."""

    def main():
        with patched():
            lock = threading.Lock()
            lock.acquire()
            first, second = aio.spawn(lock.acquire), aio.spawn(lock.acquire)
            time.sleep(0)
            lock.release()
            first.cancel()
            return await_(second), first.cancelled()

    assert run(main) == (True, True)


def test_a_cancelled_wait_for_a_queue_leaves_its_item_to_the_next(run):
    """Even where it is cancelled when an item has just been put for it."""

    def main():
        with patched():
            items = queue.Queue()
            first, second, third = (aio.spawn(items.get) for _ in range(3))
            time.sleep(0)
            items.put("a")
            first.cancel()
            time.sleep(0)
            items.put("b")
            return await_(asyncio.wait_for(asyncio.gather(second, third), 5))

    assert run(main) == ["a", "b"]


def test_a_cancelled_wait_for_a_condition_holds_its_lock_at_the_end(run):
    """So the block around it can be left, however often it is cancelled meanwhile."""

    def wait(condition):
        with condition:
            condition.wait()

    def main():
        with patched():
            condition = threading.Condition()
            task = aio.spawn(wait, condition)
            time.sleep(0)
            with condition:
                condition.notify()
                for _ in range(3):
                    time.sleep(0)
                    task.cancel()
            time.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await_(task)
            with pytest.raises(RuntimeError, match="cannot wait on un-acquired lock"):
                condition.wait()
            with condition:
                return condition.wait(0.001), condition.wait(-1), condition.wait_for(lambda: True)

    assert run(main) == (False, False, True)


def test_locks_work_between_tasks_and_threads(run):
    """Many hands on one counter, and an event that a thread sets for a task, and a task for a thread."""

    def main():
        with patched():
            lock, count, here, there = threading.Lock(), [0], threading.Event(), threading.Event()

            def add():
                for _ in range(200):
                    with lock:
                        before = count[0]
                        time.sleep(0)
                        count[0] = before + 1

            def elsewhere():
                add()
                here.set()
                assert there.wait(60)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            gathered(add, add, here.wait)
            there.set()
            await_(asyncio.to_thread(thread.join))
            return count[0]

    assert run(main) == 600


def test_conditions_events_and_semaphores_made_before_work_too(run):
    """What they wait by is made at the wait."""
    event, condition = threading.Event(), threading.Condition()

    def main():
        def wait():
            with condition:
                return condition.wait(60)

        def notify():
            time.sleep(0)
            event.set()
            with condition:
                condition.notify()

        with patched():
            semaphore = threading.Semaphore(0)
            return gathered(event.wait, wait, semaphore.acquire, notify, semaphore.release)[:3]

    assert run(main) == [True, True, True]


def test_threads_and_executors_start_within_tasks(run):
    """What they hold meanwhile no other task can want: a dozen at a time."""

    def main():
        from concurrent.futures import ThreadPoolExecutor

        with patched(), ThreadPoolExecutor(4) as pool:
            results = gathered(*(lambda n=n: pool.submit(pow, n, 2).result() for n in range(12)))
            return results == [n * n for n in range(12)]

    assert run(main)


def test_finalisers_wait_while_other_tasks_go_on(run):
    """A finaliser that waits suspends its task, as any other code behind a C call."""
    trace = []

    class Closing:
        def __init__(self, function):
            self.function = function

        def __del__(self):
            trace.append(self.function())

    def send_later(right):
        time.sleep(0.01)
        trace.append("sent")
        right.sendall(b"abc")

    def main():
        with patched(), pair() as (left, right):
            sender = aio.spawn(send_later, right)
            Closing(lambda: left.recv(3))
            await_(sender)

    run(main)
    assert trace == ["sent", b"abc"]


def test_behind_a_barrier_sockets_block_and_locks_refuse(run):
    """What cannot be suspended blocks the thread; for a lock that another of its tasks has, that would be for ever: an error."""

    def blocking(left, lock):
        assert not aio.can_await()
        assert left.recv(3) == b"abc"
        time.sleep(0)
        assert lock.acquire()
        with pytest.raises(BarrierError):
            lock.acquire()

    def main():
        with patched(), pair() as (left, right):
            lock = threading.Lock()
            right.sendall(b"abc")
            barrier(lambda: blocking(left, lock))
            return lock.locked()

    assert run(main)
