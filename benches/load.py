"""A client that loads a server on this machine, from a process of its own: `load.py (echo|http) PORT [options]`; prints one JSON object.

    --manner steady     every connection asks, waits for the whole answer, and asks again (the default)
             brief      a connection for each request
             slow       a request comes byte by byte, in turns with those of all others, and its answer is taken so, too
             reset      half a request, then the connection is reset
             half       a request, then nothing more is sent (shutdown); the answer comes none the less, and then the end
    --connections N     so many at the same time
    --requests N        in all

Every answer is compared with what it has to be. ``opened``: connections; ``answers``: right ones; ``seconds``: from the first request on.
"""

import argparse
import json
import select
import socket
import struct
import time

HOST = "127.0.0.1"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no goodbye
PATIENCE = 60.0  # seconds for anything


def echo(number):
    message = b"message %08d;" % number * 4
    return message, message


def http(number):
    path = b"/%08d" % number
    request = b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path
    return request, path


def last_http(number):
    request, path = http(number)
    return request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), path


class Connection:
    """Asks, and knows when the answer is whole: when it ends as it has to."""

    def __init__(self, port):
        self.socket = socket.create_connection((HOST, port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.expected = b""

    def ask(self, request, expected):
        self.received, self.expected = b"", expected
        self.socket.sendall(request)

    def receive(self, size=65536):
        """Is the answer whole now?"""
        data = self.socket.recv(size)
        if not data:
            raise ConnectionError(f"the server has closed the connection after {self.received!r}")
        self.received += data
        return self.received.endswith(self.expected)

    def check(self):
        assert self.received.count(self.expected) == 1, (self.received, self.expected)

    def finish(self):
        """The answer, to the end of the connection."""
        while data := self.socket.recv(65536):
            self.received += data
        self.check()

    def close(self):
        self.socket.close()


def steady(port, make, connections, requests):
    """The numbers of connections and of answers; likewise below."""
    all_of_them = {c.socket.fileno(): c for c in (Connection(port) for _ in range(connections))}
    poll = select.epoll()
    for fd in all_of_them:
        poll.register(fd, select.EPOLLIN)
    yield
    asked = answers = 0
    for connection in all_of_them.values():
        connection.ask(*make(asked))
        asked += 1
    while answers < asked:
        events = poll.poll(PATIENCE)
        assert events, f"no answer in {PATIENCE} s"
        for fd, _ in events:
            connection = all_of_them[fd]
            if connection.receive():
                connection.check()
                answers += 1
                if asked < requests:
                    connection.ask(*make(asked))
                    asked += 1
    for connection in all_of_them.values():
        connection.close()
    yield connections, answers


def in_batches(batch):
    """Of what serves so many connections at once, what serves all requests."""

    def manner(port, make, connections, requests):
        yield
        answers = 0
        for start in range(0, requests, connections):
            numbers = range(start, min(requests, start + connections))
            answers += batch([Connection(port) for _ in numbers], [make(number) for number in numbers])
        yield requests, answers

    return manner


@in_batches
def brief(connections, questions):
    for connection, question in zip(connections, questions, strict=True):
        connection.ask(*question)
    for connection in connections:
        while not connection.receive():
            pass
        connection.check()
        connection.close()
    return len(connections)


@in_batches
def slow(connections, questions):
    for connection, (request, expected) in zip(connections, questions, strict=True):
        connection.ask(b"", expected)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        connection.rest = request
    while any(connection.rest for connection in connections):
        for connection in connections:
            connection.socket.sendall(connection.rest[:1])
            connection.rest = connection.rest[1:]
    waiting = connections
    while waiting:
        waiting = [connection for connection in waiting if not connection.receive(1)]
    for connection in connections:
        connection.check()
        connection.close()
    return len(connections)


@in_batches
def reset(connections, questions):
    for connection, (request, _) in zip(connections, questions, strict=True):
        connection.ask(request[: len(request) // 2], b"")
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    for connection in connections:
        connection.close()
    return 0


@in_batches
def half(connections, questions):
    for connection, question in zip(connections, questions, strict=True):
        connection.ask(*question)
        connection.socket.shutdown(socket.SHUT_WR)
    for connection in connections:
        connection.finish()
        connection.close()
    return len(connections)


MANNERS = {"steady": steady, "brief": brief, "slow": slow, "reset": reset, "half": half}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=["echo", "http"])
    parser.add_argument("port", type=int)
    parser.add_argument("--manner", choices=MANNERS, default="steady")
    parser.add_argument("--connections", type=int, default=100)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    make = echo if options.protocol == "echo" else last_http if options.manner == "half" else http
    run = MANNERS[options.manner](options.port, make, options.connections, options.requests)
    next(run)
    start = time.perf_counter()
    opened, answers = next(run)
    print(json.dumps({"opened": opened, "answers": answers, "seconds": time.perf_counter() - start}))


if __name__ == "__main__":
    main()
