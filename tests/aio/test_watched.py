"""Sockets that are read again and again stay in the loop's epoll: nothing that comes is missed, whatever else is done with them."""

import array
import asyncio
import contextlib
import contextvars
import gc
import os
import socket
import threading
import time

import pytest

from stackful import aio, barrier
from stackful.aio import await_, descriptors, patched


@contextlib.contextmanager
def connection():
    """Both ends of a TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        left = socket.create_connection(server.getsockname())
        with left, server.accept()[0] as right:
            yield left, right


def watched(left, right):
    """A task has waited for the socket, which is watched from then on."""
    reader = aio.spawn(left.recv, 100)
    time.sleep(0)
    right.sendall(b"first")
    assert await_(reader) == b"first"
    assert id(left) in descriptors.watches


def soon(function, *args):
    """Called when this task waits."""

    def later():
        time.sleep(0)
        time.sleep(0)
        return function(*args)

    return aio.spawn(later)


def test_a_conversation_is_read_piece_by_piece(run):
    """Messages that come while the task waits, before it waits, and more than it takes at once."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            right.sendall(b"before")
            assert left.recv(100) == b"before"
            soon(right.sendall, b"later")
            assert left.recv(100) == b"later"
            right.sendall(b"two parts")
            assert (left.recv(4), left.recv(100)) == (b"two ", b"parts")
            soon(right.sendall, b"again")
            return left.recv(100)

    assert run(main) == b"again"


@pytest.mark.parametrize("together", [True, False])
def test_an_end_that_comes_with_the_last_data_is_seen(run, together):
    """Also when the kernel tells once of both."""

    def finish(right):
        right.sendall(b"last")
        if not together:
            time.sleep(0.01)
        right.shutdown(socket.SHUT_WR)

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            soon(finish, right)
            return left.recv(100), left.recv(100), left.recv(100)

    assert run(main) == (b"last", b"", b"")


def test_a_reset_is_raised(run):
    """As the error of the socket, and once, as without a task."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            soon(right.close)
            with pytest.raises(ConnectionResetError):
                left.recv(100)
            return left.recv(100)

    assert run(main) == b""


def test_urgent_data_do_not_hide_what_follows(run):
    """A read ends at the mark, though more is there."""

    def talk(right):
        right.sendall(b"ab")
        right.send(b"!", socket.MSG_OOB)
        right.sendall(b"cd")

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            soon(talk, right)
            got = b""
            while len(got) < 4:
                got += left.recv(100)
            return got

    assert run(main) == b"abcd"


def test_a_short_read_of_a_local_socket_is_not_its_end(run):
    """Descriptors that are sent along end a read."""

    def talk(right):
        with open(os.devnull, "rb") as file:
            right.sendmsg([b"ab"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])
        right.sendall(b"cd")

    def main():
        left, right = socket.socketpair()
        with patched(), left, right:
            watched(left, right)
            talk(right)
            got = b""
            while len(got) < 4:
                got += left.recv(100)
            return got

    assert run(main) == b"abcd"


def test_several_tasks_read_one_stream(run):
    """Each byte goes to one of them; all go on."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            readers = [aio.spawn(left.recv, 1) for _ in range(3)]
            for byte in (b"a", b"b", b"c"):
                time.sleep(0.001)
                right.sendall(byte)
            return sorted(await_(asyncio.gather(*readers)))

    assert run(main) == [b"a", b"b", b"c"]


def test_one_task_reads_while_another_writes(run):
    """Until the buffers are full, in both directions."""
    much = bytes(range(256)) * 20_000

    def take(sock):
        got = bytearray()
        while len(got) < len(much):
            got += sock.recv(65536)
        return got == much

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            writers = [aio.spawn(sock.sendall, much) for sock in (left, right)]
            readers = [aio.spawn(take, sock) for sock in (left, right)]
            return await_(asyncio.gather(*readers, *writers))

    assert run(main) == [True, True, None, None]


def test_flags_and_timeouts_may_be_mixed_in(run):
    """Peeking takes nothing; a socket gets a timeout, and has none again."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            soon(right.sendall, b"abc")
            assert left.recv(100, socket.MSG_PEEK) == b"abc"
            assert left.recv(2) == b"ab"
            left.settimeout(0.01)
            assert left.recv(2) == b"c"
            with pytest.raises(TimeoutError):
                left.recv(1)
            left.settimeout(None)
            soon(right.sendall, b"d")
            return left.recv(1)

    assert run(main) == b"d"


def test_a_number_that_another_socket_gets_is_waited_for_anew(run):
    """Closed behind the back of `patched`, or handed over."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            with socket.socket(fileno=left.detach()) as same:
                soon(right.sendall, b"handed over")
                assert same.recv(100) == b"handed over"
                with pytest.raises(OSError, match="Bad file descriptor"):
                    left.recv(1)
                os.close(same.detach())
            with connection() as (other, far):
                watched(other, far)
                soon(far.sendall, b"another")
                return other.recv(100)

    assert run(main) == b"another"


def test_a_socket_goes_from_loop_to_loop(run):
    """Each of them watches it."""

    def ask(left, right):
        watched(left, right)
        soon(right.sendall, b"here")
        return left.recv(100)

    with patched(), connection() as (left, right):
        assert [run(ask, left, right) for _ in range(2)] == [b"here", b"here"]


def test_watches_go_with_their_sockets(run):
    """When they are closed, and when they are dropped."""

    def main():
        with patched():
            with connection() as (left, right):
                watched(left, right)
            left, right = socket.socketpair()
            watched(left, right)
            right.close()
            del left, right
        gc.collect()

    before = len(descriptors.watches)
    with pytest.warns(ResourceWarning):
        run(main)
    assert len(descriptors.watches) == before


def test_a_task_goes_on_as_itself(run):
    """In its own context, as the current task, and not in the turn of the one that sends."""
    place = contextvars.ContextVar("place", default="outside")

    def main():
        with patched(), connection() as (left, right):
            trace = []

            def reader():
                place.set("reader")
                me = asyncio.current_task()
                left.recv(100)
                left.recv(100)
                trace.append((place.get(), asyncio.current_task() is me))

            task = aio.spawn(reader)
            time.sleep(0)
            right.sendall(b"one")
            time.sleep(0.001)
            right.sendall(b"two")
            trace.append(place.get())
            await_(task)
            return trace

    assert run(main) == ["outside", ("reader", True)]


def test_a_cancelled_read_takes_nothing(run):
    """Cancelled while it waits, and when the data have come but it has not been told."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            for send in (bool, lambda: right.sendall(b"abc")):
                task = aio.spawn(left.recv, 3)
                time.sleep(0)
                send()
                task.cancel("enough")
                with pytest.raises(asyncio.CancelledError):
                    await_(task)
            return left.recv(3)

    assert run(main) == b"abc"


def test_a_task_shows_what_it_waits_for(run):
    """In its `repr`, as with any future."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            task = aio.spawn(left.recv, 3)
            time.sleep(0)
            text = repr(task)
            right.sendall(b"abc")
            await_(task)
            return f"wait_for=<waiting for descriptor {left.fileno()}>" in text

    assert run(main)


def test_an_exit_in_one_task_leaves_the_others_their_data(loop_factory):
    """What the kernel has told of at the same time is not lost with it."""

    def leave(sock):
        sock.recv(100)
        raise SystemExit(3)

    async def main(tasks, ends):
        tasks += [aio.spawn(leave if n == 1 else left.recv, *([left] if n == 1 else [100])) for n, (left, _) in enumerate(ends)]
        await asyncio.sleep(0.01)
        for _, right in ends:
            right.sendall(b"abc")
        await asyncio.sleep(60)

    async def rest(tasks):
        return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    tasks = []
    with patched(), contextlib.ExitStack() as stack, asyncio.Runner(loop_factory=loop_factory) as runner:
        ends = [stack.enter_context(connection()) for _ in range(3)]
        with pytest.raises(SystemExit):
            runner.run(main(tasks, ends))
        got = runner.run(rest(tasks))
    assert got[0] == got[2] == b"abc"
    assert isinstance(got[1], SystemExit)


def test_behind_a_barrier_a_watched_socket_blocks(run):
    """Its thread; what it gets is not lost to the task."""

    def main():
        with patched(), connection() as (left, right):
            watched(left, right)
            sender = threading.Timer(0.01, socket.SocketType.send, (right, b"abc"))
            sender.start()
            assert barrier(lambda: left.recv(100)) == b"abc"
            soon(right.sendall, b"def")
            return left.recv(100)

    assert run(main) == b"def"
