"""What a type checker sees of operations, clauses and resumptions."""

import re

import pytest

api = pytest.importorskip("mypy.api", reason="mypy is not installed")

PROGRAM = """
from stackful import Clause, Resumption, effect, generator, handle, perform, tail_call
from stackful.search import choose, solutions

@effect
def ask(question: str, times: int = 1) -> int:
    raise NotImplementedError

reveal_type(perform(ask, "q"))  # shown: int
perform(ask, 5)  # wrong: "str"
perform(ask)  # wrong: Missing positional argument
reveal_type(handle(lambda: "text", ask.fun(lambda question, times=1: 3)))  # shown: str

@ask.ctl
def again(k: Resumption[int, list[str]], question: str, times: int = 1) -> list[str]:
    reveal_type(k.resume(3))  # shown: list[str]
    k.resume("three")  # wrong: "int"
    return k.resume(1) + k.resume(2)

ask.fun(lambda question, times=1: "no int")  # wrong: "str"
reveal_type(choose(["a", "b"]))  # shown: str

def program(limit: int) -> float:
    return limit / 2

reveal_type(solutions(program, 3))  # shown: Iterator[float]
reveal_type(tail_call(program, 3))  # shown: float
tail_call(program, "three")  # wrong: "int"
generator(program)("three")  # wrong: "int"
"""


@pytest.mark.slow
def test_a_checker_knows_parameters_and_results(tmp_path):
    """Each line marked "shown" reveals that type; each line marked "wrong", and no other, is an error that says so."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    report, _, _ = api.run(["--strict", "--no-incremental", "--no-error-summary", str(file)])
    said = {}
    for line in report.splitlines():
        if match := re.match(r".*program\.py:(\d+): (error|note): (.*)", line):
            text = re.sub(r"\b(builtins|typing|collections\.abc)\.", "", match[3])
            said.setdefault(int(match[1]), []).append((match[2], text))
    wrong = set()
    for number, line in enumerate(PROGRAM.splitlines(), 1):
        if "# shown: " in line:
            assert any(line.split("# shown: ")[1] in text for _, text in said.get(number, [])), (line, said.get(number))
        if "# wrong: " in line:
            wrong.add(number)
            assert any(kind == "error" and line.split("# wrong: ")[1] in text for kind, text in said.get(number, [])), (
                line
            )
    assert {number for number, notes in said.items() if any(kind == "error" for kind, _ in notes)} == wrong, report
