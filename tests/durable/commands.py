"""Real processes for tests: scripts in a folder, the command line, plain python."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import stackful

SOURCES = str(Path(stackful.__file__).parent.parent)
BYTECODE = str(Path(tempfile.gettempdir()) / f"stackful-tests-{os.getuid()}")
TIMEOUT = 120


class Commands:
    """A folder with scripts, in which commands are run."""

    def __init__(self, folder):
        self.folder = folder
        # Nothing of the tester's own settings, PYTHONUNBUFFERED above all: buffers are part of what is tested.
        outer = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("PYTHON") or name == "PYTHONWARNINGS"
        }
        ours = {"PYTHONPATH": SOURCES, "PYTHONPYCACHEPREFIX": BYTECODE, "COLUMNS": "200", "NO_COLOR": "1"}
        self.environment = outer | ours

    def script(self, text, name="program.py"):
        """Write a script; its name."""
        (self.folder / name).write_text(textwrap.dedent(text))
        return name

    def python(self, *args, **options):
        """Run plain python."""
        return self._run([sys.executable, *args], **options)

    def stackful(self, *args, **options):
        """Run the command line."""
        return self._run([sys.executable, "-m", "stackful", *args], **options)

    def begin(self, *args, **options):
        """Start the command line, without waiting for its end."""
        command = [sys.executable, "-m", "stackful", *args]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, text=True, **options)

    def _run(self, command, **options):
        options = {"cwd": self.folder, "env": self.environment, "timeout": TIMEOUT, **options}
        return subprocess.run(command, capture_output=True, text=True, **options)

    def ids(self):
        """The ids of all runs, the newest first."""
        import json

        return [run["id"] for run in json.loads(self.stackful("ps", "--json").stdout)]

    def wait_for(self, name):
        """Wait until a script has made a file."""
        for _ in range(TIMEOUT * 100):
            if (self.folder / name).exists():
                return
            time.sleep(0.01)
        raise AssertionError(f"{name} never appeared")


def kill(process):
    """End a process as a power cut would."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT)
