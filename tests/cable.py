"""A cable to a server, that a test can cut: connections go through it, and what it does to them is told to it."""

import contextlib
import select
import socket
import threading


class Cable:
    """Listens on a port of its own and passes everything on to a server, both ways.

    Attributes:
        is_cut: nothing is passed on any more, and nobody is told: both ends wait, as when a cable is cut.
        turns: how often the client spoke after the server did: round trips.
        lose: what a client must say so that the connection breaks; None: nothing does that.
        is_heard: whether the server still gets what made the connection break; its answer is lost in any case.
        lost: how often that happened.
    """

    def __init__(self, address, port):
        self._to = (address, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.is_cut = False
        self.turns = 0
        self.lose, self.is_heard, self.lost = None, True, 0
        self._open = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.tear()
        for thread in self._threads:
            thread.join(5)

    def tear(self):
        """Break all connections, with both ends told."""
        for end in list(self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._to)
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._pass_on, args=(client, server), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _pass_on(self, client, server):
        self._open |= {client, server}
        spoke = None
        try:
            while True:
                for end in select.select([client, server], [], [])[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    if self.is_cut:
                        continue
                    if end is client and spoke is not client:
                        self.turns += 1
                    spoke = end
                    if end is client and self.lose is not None and self.lose in data:
                        self._lose(server, data)
                        return
                    (server if end is client else client).sendall(data)
        except OSError:
            pass
        finally:
            self._open -= {client, server}
            client.close()
            server.close()

    def _lose(self, server, data):
        self.lost += 1
        self.lose = None
        if self.is_heard:
            server.sendall(data)
            server.recv(65536)  # it has done it, then


@contextlib.contextmanager
def cable_to(url):
    """A cable to the server of a URL, and the URL that goes through it."""
    start, _, rest = url.partition("@")
    place, _, database = rest.partition("/")
    address, _, port = place.partition(":")
    cable = Cable(address, int(port))
    try:
        yield cable, f"{start}@127.0.0.1:{cable.port}/{database}"
    finally:
        cable.close()
