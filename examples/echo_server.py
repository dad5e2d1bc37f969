"""A TCP echo server in plain blocking style: a function serves one client, and thousands of them run on one thread.

python examples/echo_server.py 7777
nc localhost 7777
"""

import contextlib
import socket
import sys

from stackful import aio


def serve(client):
    with client, contextlib.suppress(ConnectionError):  # a client may go away at any time
        while data := client.recv(65536):  # waits, while others are served
            client.sendall(data)


def main(port):
    with aio.patched(), socket.create_server(("127.0.0.1", port), backlog=4096) as server:
        print("echo: port", server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            aio.spawn(serve, client)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        aio.run(main, int(sys.argv[1]) if sys.argv[1:] else 0)
