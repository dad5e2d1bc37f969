"""Local servers for the tests, each with its own way of showing that requests are at work at the same time."""

import contextlib
import http.server
import shutil
import ssl
import subprocess
import threading

PATIENCE = 60  # seconds


class Meeting(http.server.BaseHTTPRequestHandler):
    """Answers when as many requests as `server.meeting` wants are there: one after the other they would never be."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.meeting.wait(PATIENCE)
        self._answer(self.path.encode())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.meeting.wait(PATIENCE)
        self._answer(body[::-1])

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # clients that give up are the subject of some tests


@contextlib.contextmanager
def web_server(parties, certificate=None):
    """The port of a server whose requests meet in such numbers; with a certificate, over TLS."""
    server = Server(("127.0.0.1", 0), Meeting)
    server.meeting = threading.Barrier(parties)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.meeting.abort()
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(folder):
    """A file with a key, and a certificate for localhost that it has signed itself; None where there is no openssl."""
    if shutil.which("openssl") is None:
        return None
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(command, capture_output=True, check=True)
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both
