"""The servers of examples/, loaded from another process (benches/load.py): many connections, slow clients, resets, half-closed ones."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

import stackful

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parent.parent)}
EXAMPLES = {"echo": "echo_server.py", "http": "http_server.py"}
PATIENCE = 30.0  # seconds in which a server has closed what its clients have


class Server:
    """An example at work; what of the machine it has."""

    def __init__(self, process, protocol):
        self.process = process
        self.protocol = protocol
        self.port = int(process.stdout.readline().split()[-1])

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kib(self):
        """Memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def is_back_to(self, descriptors):
        end = time.monotonic() + PATIENCE
        while self.descriptors() > descriptors and time.monotonic() < end:
            time.sleep(0.01)
        return self.descriptors() == descriptors

    def load(self, manner, connections, requests):
        """What came of it: benches/load.py has compared each answer."""
        command = [sys.executable, ROOT / "benches" / "load.py", self.protocol, self.port, "--manner", manner]
        command += ["--connections", connections, "--requests", requests]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@contextmanager
def serving(protocol):
    """The server; it must have nothing to say, and end by ^C as if nothing had happened."""
    command = [sys.executable, str(ROOT / "examples" / EXAMPLES[protocol])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            server = Server(process, protocol)
            server.load("brief", 1, 1)  # what it makes once is made now
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("manner", ["steady", "brief", "slow", "reset", "half"])
@pytest.mark.parametrize("protocol", EXAMPLES)
def test_a_thousand_connections(protocol, manner):
    """Each is answered rightly, whatever the others do, and nothing is left of it."""
    with serving(protocol) as server:
        before = server.descriptors()
        came = server.load(manner, 1000, 2000)
        assert came["answers"] == (0 if manner == "reset" else 2000)
        assert server.is_back_to(before)
        assert server.load("brief", 1, 1)["answers"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("protocol", EXAMPLES)
def test_ten_thousand_connections(protocol):
    """All open at the same time; twice."""
    with serving(protocol) as server:
        before = server.descriptors()
        for _ in range(2):
            assert server.load("steady", 10_000, 20_000)["answers"] == 20_000
            assert server.is_back_to(before)


@pytest.mark.slow
@pytest.mark.parametrize("protocol, requests", [("echo", 360_000), ("http", 90_000)])
def test_an_hour_of_requests_leaks_nothing(protocol, requests):
    """A hundred requests a second for an hour, or twenty-five, as fast as they come; clients of all manners in between."""
    with serving(protocol) as server:
        before = server.descriptors()
        sizes = []
        for _ in range(10):
            assert server.load("steady", 500, requests // 10)["answers"] == requests // 10
            for manner in ("brief", "reset", "half", "slow"):
                server.load(manner, 100, 500)
            assert server.is_back_to(before)
            sizes.append(server.kib())
        assert max(sizes[5:]) - max(sizes[:5]) < 512, sizes
