"""The examples do what they say, run as a reader would run them."""

import __future__

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parent.parent), "NO_COLOR": "1"}


def start(folder, *arguments, **options):
    """Run python with these arguments in a folder."""
    options = {"capture_output": True, "text": True, "timeout": 200, **options}
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, env=ENVIRONMENT, check=False, **options)


def output_of(folder, name, *arguments):
    """What an example prints; nothing on stderr, exit status 0."""
    done = start(folder, EXAMPLES / name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_same_fringe_stops_at_the_first_difference(tmp_path):
    """Equal fringes are equal to the end; different ones are found out at the second pair."""
    assert output_of(tmp_path, "same_fringe.py") == "same fringe after 5 pairs\ndifferent after 2 pairs\n"


def test_tree_walk_hands_out_sorted_values(tmp_path):
    """The values come in order, and from different depths."""
    lines = [line.split() for line in output_of(tmp_path, "tree_walk.py").splitlines()]
    assert [int(line[0]) for line in lines] == [20, 30, 40, 50, 60, 70, 80]
    assert [int(line[-1]) for line in lines] == [3, 2, 3, 1, 3, 2, 3]


def test_fork_search_finds_every_solution(tmp_path):
    """Six queens have four solutions; the first is shown."""
    title, *board = output_of(tmp_path, "fork_search.py").splitlines()
    assert title == "4 solutions for 6 queens"
    assert [row.split().index("Q") for row in board] == [3, 0, 4, 1, 5, 2]


def test_sieve_goes_on_in_other_processes(tmp_path):
    """Each of three processes finds three primes more."""
    lines = output_of(tmp_path, "sieve.py").splitlines()
    assert lines == ["2 3 5 (5 tasks)", "7 11 13 (8 tasks)", "17 19 23 (11 tasks)"]
    assert list(tmp_path.iterdir()) == []


def test_puzzles_have_their_published_answers(tmp_path):
    """SICP's for the dwellings, the liars and the triples; the Japanese keeps the zebra."""
    dwelling, girls, triples, keeper = output_of(tmp_path, "puzzles.py").splitlines()
    assert dwelling == "Baker 3, Cooper 2, Fletcher 4, Miller 5, Smith 1"
    assert girls == "Betty 3, Ethel 5, Joan 2, Kitty 1, Mary 4"
    assert triples == "(3, 4, 5) (6, 8, 10) (5, 12, 13) (9, 12, 15)"
    assert keeper == "the zebra's keeper: Japanese"


def test_probabilities_are_exact(tmp_path):
    """Those of two dice, and Bayes' rule by hand: 0.2·(0.01·0.99 + 0.99·0.8) against 0.8·0.4·0.9."""
    dice, grass, boys = output_of(tmp_path, "probability.py").splitlines()
    assert dice.startswith("two_dice: 2 1/36, 3 1/18, ")
    assert grass == "grass: False 1600/2491, True 891/2491"
    assert boys == "boys: False 2/3, True 1/3"


def test_the_game_is_played_well(tmp_path):
    """The search takes the win, and blocks the other's."""
    assert output_of(tmp_path, "game.py") == "X wins at 2\nO must block at 2\n"


def test_pickle_elsewhere_ends_in_the_second_process(tmp_path):
    """The second process has the frames of the first, and returns through all of them."""
    first, second, result = output_of(tmp_path, "pickle_elsewhere.py").splitlines()
    assert first == "first process: suspended, 21 calls deep"
    assert second == "second process: 21 calls deep, the innermost has {'number': 0}"
    assert result == "second process: the result is 2,432,902,008,176,640,000"


def test_crossref_counts_right(tmp_path):
    """Its figures for the first module in the alphabet, __future__, are those that its source gives."""
    source = Path(__future__.__file__).read_text(encoding="utf-8")
    figures = dict(line.rsplit(maxsplit=1) for line in output_of(tmp_path, "crossref.py", 1).splitlines() if line)
    nodes = list(ast.walk(ast.parse(source)))
    assert figures["  modules"] == "1"
    assert figures["  lines"] == str(source.count("\n"))
    assert figures["  syntax nodes"] == f"{len(nodes):,}"
    assert figures["  calls"] == str(sum(isinstance(node, ast.Call) for node in nodes))


def test_the_data_loader_goes_on_in_the_middle_of_an_epoch(tmp_path):
    """What comes after the state was loaded is what came without."""
    first, second = output_of(tmp_path, "data_loader.py").splitlines()
    assert first.startswith("after a resume: 8 batches, ")
    assert second == "the same as without: True"


def test_the_simulation_survives_being_killed(tmp_path):
    """Killed after its first checkpoint and resumed, it prints what it prints under plain python."""
    pytest.importorskip("simpy")
    plain = output_of(tmp_path, "simulation.py", 40)
    printed = killed_after_a_checkpoint(tmp_path, "simulation.py", "40")
    done = start(tmp_path, "-m", "stackful", "resume", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    repeated = printed + done.stdout  # what came after the last checkpoint is printed again
    assert plain.endswith(done.stdout)
    assert set(repeated.splitlines()) == set(plain.splitlines())


def test_the_agent_pays_once_for_what_its_branches_share(tmp_path):
    """Four branches and their root: one call for the context, five for each of the rest; the best branch comes first."""
    *branches, calls = output_of(tmp_path, "agent_tree.py").splitlines()
    assert [line.split(maxsplit=1)[1] for line in branches] == ["a second door", "appointments", "more staff", "music"]
    assert calls == "calls of the model: read 1, propose 5, grade 5"


def test_an_approval_waits_for_people_and_survives_processes(tmp_path):
    """Killed while it waits, answered twice by the command line, it is published as it was changed."""
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "approval.py", "start", "News"], cwd=tmp_path, env=ENVIRONMENT
    ) as process:
        while "signal:ask-1" not in start(tmp_path, "-m", "stackful", "ps", "--json").stdout:
            assert process.poll() is None
        process.kill()
    answer(tmp_path, "ok=false", "change=shorter")
    with subprocess.Popen(
        [sys.executable, EXAMPLES / "approval.py", "work"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        while "signal:ask-3" not in start(tmp_path, "-m", "stackful", "ps", "--json").stdout:
            assert process.poll() is None
        answer(tmp_path, "ok=true")
        assert process.stdout.read() == "posted /news/News%20%28shorter%29\npublished as /news/News%20%28shorter%29\n"


def answer(folder, *fields):
    """Answer what the run of approval.py asks."""
    options = [part for field in fields for part in ("--answer", field)]
    done = start(folder, "-m", "stackful", "signal", "publish-1", *options)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("options", [(), ("--every", "0.05")], ids=["no checkpoints", "every 0.05 s"])
def test_crossref_prints_the_same_as_a_durable_run(tmp_path, options):
    """`stackful run` changes nothing about what the script prints."""
    plain = output_of(tmp_path, "crossref.py", 30)
    done = start(tmp_path, "-m", "stackful", "run", *options, EXAMPLES / "crossref.py", 30)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain


def test_crossref_asks_for_checkpoints_itself(tmp_path):
    """With --ask, plain python prints the same, and a durable run that was killed is resumed after the last module."""
    plain = output_of(tmp_path, "crossref.py", 200)
    assert output_of(tmp_path, "crossref.py", 5, "--ask") == output_of(tmp_path, "crossref.py", 5)
    killed_after_a_checkpoint(tmp_path, "crossref.py", "200", "--ask")
    done = start(tmp_path, "-m", "stackful", "resume", "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == plain


def killed_after_a_checkpoint(folder, name, *arguments):
    """Run an example as the run "mine", kill it as soon as something is stored, and return what it printed."""
    command = [sys.executable, "-m", "stackful", "run", "--name", "mine", EXAMPLES / name, *arguments]
    with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not has_checkpoint(folder):
            pass
        process.kill()
        return process.stdout.read()


def has_checkpoint(folder):
    """Whether the run in this folder's store has one."""
    return any(run["checkpoint"] for run in json.loads(start(folder, "-m", "stackful", "ps", "--json").stdout or "[]"))


@pytest.mark.slow
def test_demo_kills_resumes_and_finds_the_same(tmp_path):
    """The demo, with fewer modules: three kills, equal output, exit status 0."""
    shown = output_of(tmp_path, "demo.py", "--modules", 300, "--kills", 3)
    assert shown.count("kill -9") == 3
    assert "3 kills, 4 processes, and the output is EQUAL to the uninterrupted run's," in shown


@pytest.mark.slow
def test_demo_fails_when_it_could_not_kill_often_enough(tmp_path):
    """A demo that shows too little says so."""
    done = start(tmp_path, EXAMPLES / "demo.py", "--modules", 150, "--kills", 1)
    assert done.returncode == 1
    assert "the run ended after 1 kills of 3" in done.stdout
