"""An echo server: `echo_process.py (Stackful|asyncio|streams|gevent) (asyncio|uvloop)`; prints its port."""

import asyncio
import socket
import sys
from contextlib import suppress

ADDRESS = ("127.0.0.1", 0)
MANY = 4096
SIZE = 65536


def serve(client):
    """In blocking style."""
    with client, suppress(ConnectionError):
        while data := client.recv(SIZE):
            client.sendall(data)


def say(server):
    print(server.getsockname()[1], flush=True)


def stackful(loop_factory):
    from stackful import aio

    def main():
        with aio.patched(), socket.create_server(ADDRESS, backlog=MANY) as server:
            say(server)
            while True:
                aio.spawn(serve, server.accept()[0])

    aio.run(main, loop_factory=loop_factory)


async def serve_streams(reader, writer):
    with suppress(ConnectionError):
        while data := await reader.read(SIZE):
            writer.write(data)
            await writer.drain()
    writer.close()


async def streams():
    server = await asyncio.start_server(serve_streams, *ADDRESS, backlog=MANY)
    say(server.sockets[0])
    await server.serve_forever()


async def serve_sockets(loop, client):
    with client, suppress(ConnectionError):
        while data := await loop.sock_recv(client, SIZE):
            await loop.sock_sendall(client, data)


async def sockets():
    loop, tasks = asyncio.get_running_loop(), set()
    with socket.create_server(ADDRESS, backlog=MANY) as server:
        server.setblocking(False)
        say(server)
        while True:
            client, _ = await loop.sock_accept(server)
            task = loop.create_task(serve_sockets(loop, client))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def gevent():
    from gevent.server import StreamServer

    server = StreamServer(ADDRESS, lambda client, _: serve(client), backlog=MANY)
    server.start()
    say(server.socket)
    server.serve_forever()


def main() -> None:
    way, loop = sys.argv[1:]
    factory = asyncio.new_event_loop
    if loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    if way == "gevent":
        gevent()
    elif way == "Stackful":
        stackful(factory)
    else:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(streams() if way == "streams" else sockets())


if __name__ == "__main__":
    main()
