"""A contender that runs in a process of its own and takes its turns with ours: the other end of serving.py."""

import math
import select
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PATIENCE = 60.0  # seconds for an answer
BUDGET = 5.0  # seconds of runs; a contender that takes long is run fewer times


class Elsewhere:
    """Asks the other process to run, and takes its word for how long a run took.

    `failure` says in a few words what happened where it does not come to the right answer; there is no figure then.
    """

    def __init__(self, peer: str, *words: object):
        script = Path(__file__).with_name(f"{peer}_process.py")
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - a pipe would be full: tracebacks are as deep as the stack
        self._process = subprocess.Popen(
            [sys.executable, str(script), *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._took: list[float] = []
        self._spent = 0.0
        self.failure = ""
        self._line()

    def seconds(self, number: int) -> float:
        """For `number` runs; what a run took until now where the time for runs is used up."""
        if self._spent < BUDGET and not self.failure:
            self._ask(number)
        return math.nan if self.failure else statistics.median(self._took) * number

    def close(self) -> None:
        if not self._process.stdout.closed:
            self._process.kill()
            self._process.communicate()
            self._errors.close()

    def _ask(self, number: int) -> None:
        try:
            print(number, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            pass  # it has ended: _line() finds out how
        if line := self._line():
            each, spent = map(float, line.split())
            self._took.append(each)
            self._spent += spent

    def _line(self) -> str:
        """What the other process says next; nothing when it fails."""
        if not select.select([self._process.stdout], [], [], PATIENCE)[0]:
            self.failure = f"no answer in {PATIENCE:.0f} s"
            self.close()
            return ""
        line = self._process.stdout.readline()
        if not line:
            self.failure = self._what_ended()
            self.close()
        return line

    def _what_ended(self) -> str:
        """The signal, or the error's type; of a wrong answer, what was expected."""
        code = self._process.wait()
        if code < 0:
            return signal.Signals(-code).name
        self._errors.seek(0)
        *_, last = self._errors.read().strip().splitlines() or [f"exit code {code}"]
        kind, _, message = last.partition(": ")
        return f"wrong answer: {message}" if kind == "AssertionError" else kind.rpartition(".")[2]


def second_resumption(depth: int, *options: str) -> Elsewhere:
    """A continuation of aleff's, resumed again and again; without it the rows beside it are not worth having."""
    contender = Elsewhere("aleff", "resumption", depth, depth - 1, *options)
    if contender.failure:
        raise RuntimeError(f"aleff's second resumption: {contender.failure}")
    return contender


def with_greenlet(*words: object) -> Elsewhere:
    """A contender of greenlet_process.py, which is not to fail."""
    contender = Elsewhere("greenlet", *words)
    if contender.failure:
        raise RuntimeError(f"greenlet: {contender.failure}")
    return contender
