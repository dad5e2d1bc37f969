"""What `make demo` shows: a program that is killed several times and still comes to the right result.

    python examples/demo.py [--modules N] [--kills N]

The program is crossref.py beside this file, over the source of the running Python's own standard library.
"""

import argparse
import difflib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SCRIPT = "crossref.py"
LEAST_KILLS = 3
COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ


def say(text=""):
    print(text, flush=True)


def heading(text):
    say()
    say(f"\033[1m{text}\033[0m" if COLOURS else text)


def bar(done, total, width=40):
    filled = width * done // max(total, 1)
    return "█" * filled + "░" * (width - filled)


class Demo:
    """The durable run that is being killed and resumed: its store, its processes, what they print."""

    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.store = folder / "runs.db"
        self.output = folder / "output.txt"
        self.process = None
        self.started = 0.0

    def script(self):
        return [SCRIPT, *([str(self.options.modules)] if self.options.modules else [])]

    def python(self, *arguments, **more):
        return subprocess.run([sys.executable, *arguments], cwd=FOLDER, check=False, **more)

    def ask(self, command, *arguments):
        """What a `stackful` command prints; the demo ends if it fails."""
        line = ["-m", "stackful", command, "--store", str(self.store), *arguments]
        done = self.python(*line, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"stackful {command} failed: {done.stderr}")
        return done.stdout

    def begin(self, command, *arguments):
        """Start a process of the run in the background; all of them print to the same file."""
        line = [sys.executable, "-m", "stackful", command, "--store", str(self.store), *arguments]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(line, cwd=FOLDER, stdout=output)
        self.started = time.time()

    def run(self):
        """The run as `stackful ps --json` tells of it, or None."""
        runs = json.loads(self.ask("ps", "--json")) if self.store.exists() else []
        return runs[0] if runs else None

    def wait_for_checkpoint(self, seconds):
        """So long, and until this process has stored a checkpoint: True; or until it has ended: False."""
        time.sleep(seconds)
        while self.process.poll() is None:
            run = self.run()
            if run and run["checkpoint"] and run["checkpoint"]["when"] > self.started:
                return True
            time.sleep(0.05)
        return False

    def kill(self):
        """SIGKILL, which no program can catch: no `finally`, no clean-up, nothing is flushed."""
        self.process.send_signal(signal.SIGKILL)
        return self.process.wait() == -signal.SIGKILL


def uninterrupted(demo):
    """Run the script with plain python: what it prints, and how long it took."""
    heading("1. An ordinary script, uninterrupted, with plain python")
    say(f"   $ python examples/{' '.join(demo.script())}")
    start = time.perf_counter()
    done = demo.python(*demo.script(), stdout=subprocess.PIPE)
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"the script failed with exit status {done.returncode}")
    lines = done.stdout.decode().splitlines()
    for line in lines[2:8]:
        say(f"   {line}")
    say(f"   … {len(lines)} lines in all, after {seconds:.1f} s. They are kept, to compare.")
    return done.stdout, seconds


def killed_and_resumed(demo, seconds):
    """The same script as a durable run, killed again and again; how often."""
    every = f"{min(0.5, seconds / 20):.2g}"
    heading("2. The same script as a durable run, killed with SIGKILL again and again")
    say(f"   $ stackful run --every {every} examples/{' '.join(demo.script())}")
    demo.begin("run", "--every", every, *demo.script())
    share = seconds / (demo.options.kills + 1)
    kills = 0
    while kills < demo.options.kills and demo.wait_for_checkpoint(share * random.uniform(0.5, 1)):
        if not demo.kill():
            break
        kills += 1
        tell_of_kill(demo, kills)
        say("   $ stackful resume")
        demo.begin("resume")
    if demo.process.wait():
        sys.exit(f"the run ended with exit status {demo.process.returncode}")
    say("   It came to its end.")
    return kills


def tell_of_kill(demo, kills):
    clear = "\r\033[2K" if sys.stderr.isatty() else ""
    seconds = time.time() - demo.started
    say(f"{clear}   kill -9 {demo.process.pid}: process {kills} of this run is dead, after {seconds:.1f} s.")
    if kills == 1:
        say("\n   $ stackful ps")
        show_lines(demo.ask("ps"), 8)
        run = demo.run()["id"]
        say(f"   $ stackful show {run}      (its suspended stack, shortened)")
        show_lines(shortened(demo.ask("show", run)), 60)
    tell_stack(json.loads(demo.ask("show", "--json", demo.run()["id"])))


def shortened(text):
    """The heading of `show`, then of the outer and the innermost frames a few lines each."""
    title, *frames = text.strip().split("\n\n")
    shown = [few_lines(frame) for frame in frames]
    if len(shown) > 5:
        shown[4:-1] = [f"… {len(shown) - 5} frames more …"]
    return "\n\n".join([title, *shown])


def few_lines(frame):
    """Where a frame stands, two of its variables, and its evaluation stack."""
    lines = frame.splitlines()
    return "\n".join(lines[:6] + [line for line in lines[6:] if "evaluation stack" in line])


def show_lines(text, most, width=110):
    lines = text.rstrip().splitlines()
    for line in lines[:most]:
        say(f"     {line if len(line) <= width else line[: width - 1] + '…'}")
    say()


def tell_stack(run):
    """Where the last checkpoint stands, in two lines."""
    frames = run["frames"]
    names = [f"{frame['function'].rpartition('.')[2]}:{frame['line']}" for frame in frames]
    path = " → ".join(names if len(names) < 8 else [*names[:4], f"… {len(names) - 6} more …", *names[-2:]])
    variables = next((frame["locals"] for frame in frames if frame["function"] == "main"), {})
    size = run["checkpoint"]["size"] / 1024
    say(f"   Checkpoint {run['checkpoint']['seq']} ({size:,.0f} KiB) stands at  {path}")
    done, total = variables.get("done", ""), re.search(r"total=(\d+)", variables.get("bar", ""))
    if done.isdigit() and total:
        say(f"   {bar(int(done), int(total[1]))} {done} of {total[1]} modules")


def compare(expected, demo, kills):
    """Whether the durable run printed what the uninterrupted one did."""
    heading("3. Compare")
    found = demo.output.read_bytes()
    if found != expected:
        say("   The outputs DIFFER:")
        lines = difflib.unified_diff(
            expected.decode().splitlines(), found.decode().splitlines(), "plain", "durable", n=0
        )
        say("\n".join(f"     {line}" for line in lines))
        return False
    if kills < LEAST_KILLS:
        say(f"   The outputs are equal, but the run ended after {kills} kills of {LEAST_KILLS}: give it more to do.")
        return False
    say(f"   {kills} kills, {kills + 1} processes, and the output is EQUAL to the uninterrupted run's,")
    say(f"   all {len(found):,} bytes of it. Its last line:")
    say(f"   {found.decode().splitlines()[-1]}")
    return True


def main():
    parser = argparse.ArgumentParser(description="Kill a running program several times, resume it, compare.")
    parser.add_argument("--modules", type=int, help="how many modules to read; by default all")
    parser.add_argument("--kills", type=int, default=4, help="how often to kill it (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(Path(folder), options)
        start = time.perf_counter()
        expected, seconds = uninterrupted(demo)
        kills = killed_and_resumed(demo, seconds)
        equal = compare(expected, demo, kills)
        say(f"   ({time.perf_counter() - start:.0f} s in all. Next: README.md, docs/tutorial.md)")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
