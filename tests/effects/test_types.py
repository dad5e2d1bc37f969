"""What a type checker finds in programs that use the library."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

pytest.importorskip("mypy", reason="mypy is not installed: types of programs NOT CHECKED")

PROGRAM = """
from stackful import Handler, Resumption, choose, effect, generator, handle, perform, solutions, yield_

@effect
def ask(question: str) -> str:
    raise NotImplementedError

@effect
def flip() -> bool:
    raise NotImplementedError

@effect
def get() -> int:
    raise NotImplementedError

def program() -> str:
    return ("a" if perform(flip) else "b") + perform(ask, "x")

def clause(k: Resumption[str, int], question: str) -> int:
    return k.resume(question) + 1

both: Handler[list[str]] = Handler(
    flip.ctl(lambda k: [*k.resume(True), *k.resume(False)]), returns=lambda result: [result]
)
answers: list[str] = handle(lambda: handle(program, ask.fun(lambda question: question.upper())), both)
counting = Handler(get.update(lambda state: (state, state)), state=0)
number: int = handle(lambda: perform(get), counting)
count: int = handle(lambda: len(perform(ask, "x")), ask.once(clause))

@generator
def numbers(n: int) -> None:
    yield_(n)

first: int = next(numbers(3))
found: list[int] = list(solutions(lambda: choose([1, 2])))
"""
WRONG = """
perform(ask, 3)  # arg-type
perform(ask)  # call-arg
length: int = perform(ask, "x")  # assignment
ask.fun(len)  # arg-type
numbers("3")  # arg-type
"""


@pytest.mark.no_leakcheck("the type checker runs in another process")
def test_programs_are_checked_by_the_types_of_their_operations(tmp_path):
    """Parameters, results and answers are known to mypy, and what is wrong is found, line by line."""
    (tmp_path / "program.py").write_text(PROGRAM + WRONG)
    environment = {**os.environ, "MYPYPATH": str(Path(stackful.__file__).parents[1])}
    command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", "--show-error-codes", "program.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = dict(re.findall(r"program\.py:(\d+): error: .*\[([a-z-]+)\]", done.stdout))
    lines = (PROGRAM + WRONG).splitlines()
    wanted = {str(i): line.split("# ")[1] for i, line in enumerate(lines, 1) if "  # " in line}
    assert {line: found[line] for line in wanted if line in found} == wanted, done.stdout
    assert found.keys() == wanted.keys(), done.stdout
