"""A network of its own for a process, whose cable can be cut: nobody is told, as when a machine loses its link. A disk that is soon full."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest


class Network:
    """A namespace, joined to ours by a pair of devices.

    Attributes:
        outside: our address, as seen from inside.
        inside: what a command begins with that is to run inside.
    """

    def __init__(self, name, number):
        self.name = name
        self.ours, self.theirs = f"{name}o", f"{name}i"
        self.outside, self._address = f"10.213.{number}.1", f"10.213.{number}.2"
        self.inside = ["ip", "netns", "exec", name]

    def open(self):
        _ip("netns", "add", self.name)
        _ip("link", "add", self.ours, "type", "veth", "peer", "name", self.theirs)
        _ip("link", "set", self.theirs, "netns", self.name)
        _ip("addr", "add", f"{self.outside}/24", "dev", self.ours)
        _ip("link", "set", self.ours, "up")
        for command in (
            ["addr", "add", f"{self._address}/24", "dev", self.theirs],
            ["link", "set", self.theirs, "up"],
            ["link", "set", "lo", "up"],
        ):
            _ip("-n", self.name, *command)

    def cut(self):
        """Packets are lost from now on, both ways."""
        _ip("-n", self.name, "link", "set", self.theirs, "down")

    def mend(self):
        _ip("-n", self.name, "link", "set", self.theirs, "up")

    def close(self):
        for command in (["link", "del", self.ours], ["netns", "del", self.name]):
            subprocess.run(["ip", *command], capture_output=True, check=False)


def _ip(*arguments):
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


@contextlib.contextmanager
def cut_off_network():
    """A network of its own; skips where that takes more rights than we have, or programs that are not there."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("a network of its own takes root and the command ip: NOT RUN")
    network = Network(f"sf{os.getpid() % 100000}", os.getpid() % 250)
    try:
        try:
            network.open()
        except RuntimeError as error:
            pytest.skip(f"no network of its own can be made here ({error}): NOT RUN")
        yield network
    finally:
        network.close()


@contextlib.contextmanager
def small_disk(size):
    """A folder that holds so much; skips where that takes more rights than we have."""
    folder = Path(tempfile.mkdtemp(prefix="stackful-disk-"))  # other users come in
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        folder.rmdir()
        pytest.skip(f"a small disk cannot be mounted here ({done.stderr.strip()}): NOT RUN")
    try:
        folder.chmod(0o777)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
