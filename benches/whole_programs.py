"""The rows of a whole program: ours beside the others, those with aleff in a process of their own, all in turns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from elsewhere import Elsewhere, with_greenlet
from measure import Contender, Row, at_least, at_most, expect, interleaved, missing, time_text
from peers import has_aleff, has_greenlet

Function = Callable[[int], object]

PLAIN = "aleff"
METHODS = "aleff, k.__call__(v)"  # not as its documentation says, but a call without C in between
ONE_FRAME = "aleff, in one frame"


@dataclass(frozen=True)
class Program:
    """A size, its answer, and who is to find it.

    `greenlet` names a function of programs_greenlet; `aleff` names functions of programs_aleff, with options.
    """

    size: int
    answer: int
    ours: Function
    natives: dict[str, Function]
    greenlet: str = ""
    aleff: dict[str, str] = field(default_factory=dict)
    beyond_aleff: bool = False  # the target: this runs where aleff cannot


def both_ways(name: str) -> dict[str, str]:
    """As documented, and by calling methods: for programs that resume as often as they perform."""
    return {PLAIN: name, METHODS: f"{name} methods"}


def timed(function: Function, size: int) -> Contender:
    def loop(number):
        for _ in range(number):
            function(size)

    return loop


def with_aleff(words: str, size: int, answer: object) -> Elsewhere:
    function, *options = words.split()
    return Elsewhere("aleff", function, size, answer, *options)


def where_it_runs(program: Program, words: str) -> str:
    """The largest of half the size, a quarter and so on at which the program comes to its answer with aleff."""
    native = next(iter(program.natives.values()))
    size = program.size // 2
    while size:
        contender = with_aleff(words, size, native(size))
        contender.close()
        if not contender.failure:
            return f"runs at {size:,}"
        size //= 2
    return "at smaller sizes too"


def row_beside_aleff(subject: str, label: str, program: Program, ours: float, aleff: Elsewhere, took: float) -> Row:
    target = "runs where aleff cannot" if program.beyond_aleff and label == PLAIN else ""
    if not aleff.failure:
        row = at_least(subject, ours, took, label)
        return Row(row.subject, row.ours, row.beside, row.ratio, target, False) if target else row
    what = f"{label}: {aleff.failure}; {where_it_runs(program, program.aleff[label])}"
    return Row(subject, time_text(ours), what, None, target, True if target else None)


def rows_beside_aleff(subject: str, program: Program, rounds: int, number: int) -> list[Row]:
    """Measured apart from the others, who are not to wait until another process has had its turn."""
    there = {label: with_aleff(words, program.size, program.answer) for label, words in program.aleff.items()}
    took = interleaved({"ours": timed(program.ours, program.size), **there}, number, rounds)
    return [row_beside_aleff(subject, label, program, took["ours"], there[label], took[label]) for label in there]


def rows_of(name: str, program: Program, rounds: int, number: int) -> list[Row]:
    """Each contender gives its answer before it is measured."""
    here = {"ours": program.ours, **program.natives}
    for function in here.values():
        expect(function(program.size), program.answer)
    contenders: dict[str, Contender] = {label: timed(function, program.size) for label, function in here.items()}
    if program.greenlet and has_greenlet:
        contenders["greenlet"] = with_greenlet(program.greenlet, program.size, program.answer)
    took = interleaved(contenders, number, rounds)

    subject, ours = f"{name} ({program.size:,})", took["ours"]
    rows = [at_most(subject, ours, took[label], label) for label in program.natives]
    if program.greenlet:
        rows.append(
            at_least(subject, ours, took["greenlet"], "greenlet")
            if has_greenlet
            else missing(subject, time_text(ours), "greenlet")
        )
    if program.aleff and has_aleff:
        rows += rows_beside_aleff(subject, program, rounds, number)
    elif program.aleff:
        rows.append(missing(subject, time_text(ours), PLAIN))
    return rows
