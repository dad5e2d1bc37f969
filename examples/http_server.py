"""An HTTP server in plain blocking style: the standard library's own, with a task for each client in place of a thread.

python examples/http_server.py 8080
curl localhost:8080/sleep/1 & curl localhost:8080/hello
"""

import contextlib
import http.server
import socketserver
import sys
import time

from stackful import aio


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers each path with itself, after a while if it says so."""

    protocol_version = "HTTP/1.1"  # a client may ask again on the same connection

    def do_GET(self):
        if self.path.startswith("/sleep/"):
            time.sleep(float(self.path.removeprefix("/sleep/")))  # others are served meanwhile
        self.answer(self.path.encode())

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """Each client has a task of its own. The handler runs within its own `__init__`, which C code calls: it can be suspended all the same."""

    request_queue_size = 4096

    def process_request(self, request, client_address):
        aio.spawn(self.process_request_thread, request, client_address)

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # a client may go away at any time
            super().handle_error(request, client_address)


def main(port):
    with aio.patched(), Server(("127.0.0.1", port), Handler) as server:
        print("http: port", server.server_port, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        aio.run(main, int(sys.argv[1]) if sys.argv[1:] else 0)
