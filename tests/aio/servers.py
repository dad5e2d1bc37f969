"""Local servers for the tests, each with its own way of showing that requests are at work at the same time."""

import contextlib
import glob
import http.server
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

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


def postgres_programs():
    """The folder with initdb and postgres, or None."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    found = shutil.which("initdb", path=os.pathsep.join([*folders, os.environ.get("PATH", "")]))
    return found and os.path.dirname(os.path.realpath(found))


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def postgres(password):
    """The port of a PostgreSQL of its own, for the user `postgres`; it refuses to be run by root, and runs as its own user then."""
    programs, folder = postgres_programs(), tempfile.mkdtemp(prefix="stackful-postgres-")
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}  # a sanitiser's
    if user:
        shutil.chown(folder, "postgres")
    secret, data, port = os.path.join(folder, "password"), os.path.join(folder, "data"), _free_port()
    with open(secret, "w", encoding="ascii") as file:
        file.write(password)
    os.chmod(secret, 0o644)
    initdb = [
        f"{programs}/initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "scram-sha-256",
        "--pwfile",
        secret,
        "--no-sync",
    ]
    server = [f"{programs}/postgres", "-D", data, "-p", str(port), "-F", "-k", "", "-c", "listen_addresses=127.0.0.1"]
    try:
        subprocess.run(initdb, cwd=folder, env=environment, capture_output=True, check=True, **user)
        with subprocess.Popen(server, cwd=folder, env=environment, stderr=subprocess.DEVNULL, **user) as process:
            _wait_for(port, process)
            try:
                yield port
            finally:
                process.terminate()
    finally:
        shutil.rmtree(folder)


def _wait_for(port, process):
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("PostgreSQL does not start")
