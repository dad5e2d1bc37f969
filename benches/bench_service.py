"""Echo servers, each in a process of its own, that answer the same client in another: requests a second."""

import json
import subprocess
import sys
from pathlib import Path

from measure import Row, at_least, missing, time_text
from peers import is_installed

CONNECTIONS = 100
HERE = Path(__file__).parent
BESIDE = {"asyncio": "asyncio's sockets", "streams": "asyncio's streams", "gevent": "gevent"}


class Server:
    """An echo server at work."""

    def __init__(self, way: str, loop: str):
        command = [sys.executable, str(HERE / "echo_process.py"), way, loop]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._port = self._process.stdout.readline().strip()

    def seconds(self, number: int) -> float:
        """For one request of so many, all connections together."""
        command = [sys.executable, str(HERE / "load.py"), "echo", self._port]
        command += ["--connections", str(CONNECTIONS), "--requests", str(number)]
        came = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return came["seconds"] / came["answers"]

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def rows_of(loop: str, number: int, rounds: int) -> list[Row]:
    """With gevent, which has a loop of its own, beside asyncio's only."""
    beside = {way: name for way, name in BESIDE.items() if way != "gevent" or loop == "asyncio"}
    ways = ["Stackful", *(way for way in beside if way != "gevent" or is_installed("gevent"))]
    servers = {way: Server(way, loop) for way in ways}
    took: dict[str, list[float]] = {way: [] for way in ways}
    try:
        for _ in range(rounds):
            for way, server in servers.items():
                took[way].append(server.seconds(number))
    finally:
        for server in servers.values():
            server.close()
    middle = {way: sorted(times)[len(times) // 2] for way, times in took.items()}
    subject = f"an echo request, {CONNECTIONS} connections ({loop})"
    return [
        at_least(subject, middle["Stackful"], middle[way], name, 1)
        if way in middle
        else missing(subject, time_text(middle["Stackful"]), name)
        for way, name in beside.items()
    ]


def benchmark(rounds: int, number: int) -> list[Row]:
    rows = rows_of("asyncio", number, rounds)
    return rows + rows_of("uvloop", number, rounds) if is_installed("uvloop") else rows
