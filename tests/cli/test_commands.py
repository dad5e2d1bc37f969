"""The commands that look at runs, and the command line's own mistakes."""

import json
import os
import signal
import subprocess
import sys

import pytest

from stackful.cli import status
from stackful.cli.listing import ago, size_text
from stackful.durable.values import describe

PROGRAM = """
    import os, stackful

    class Node:
        def __init__(self, name):
            self.name = name
        def __repr__(self):
            print("repr was called")
            return "never"

    def visit(node, depth):
        numbers = [depth] * 3
        for kid in ["a", "b"]:
            if depth < 2:
                total = 10 + visit(Node(kid), depth + 1)
        stackful.checkpoint()
        os.kill(os.getpid(), 9)
        return len(numbers)

    print(visit(Node("root"), 0))
"""


@pytest.fixture
def killed(commands):
    """A killed run called "tree"."""
    commands.script(PROGRAM, "tree.py")
    assert commands.stackful("run", "--name", "tree", "tree.py", "--flag").returncode == -signal.SIGKILL
    return commands


def test_ps_lists_runs_newest_first(killed):
    """Id, script with its arguments, status, last checkpoint and size stand in a table."""
    killed.stackful("run", "--name", "quick", killed.script("raise SystemExit(3)"))
    heading, first, second = killed.stackful("ps").stdout.splitlines()
    assert heading.split() == ["RUN", "PROGRAM", "STATUS", "STARTED", "LAST", "CHECKPOINT", "SIZE"]
    assert first.split()[:4] == ["quick", "program.py", "finished", "(3)"]
    assert second.split()[:4] == ["tree", "tree.py", "--flag", "interrupted"]
    assert "(no. 1)" in second
    assert second.endswith("KiB")


def test_ps_as_data(killed):
    """--json gives the same to programs."""
    (run,) = json.loads(killed.stackful("ps", "--json").stdout)
    assert {key: run[key] for key in ("id", "argv", "status", "exit_status", "every")} == {
        "id": "tree", "argv": ["tree.py", "--flag"], "status": "interrupted", "exit_status": None, "every": None,
    }  # fmt: skip
    assert run["script"] == str(killed.folder / "tree.py")
    assert run["checkpoint"]["seq"] == 1
    assert run["checkpoint"]["size"] > 100


def test_ps_without_runs(commands):
    """An empty folder is no error, in words and as data."""
    assert commands.stackful("ps").stdout.startswith("No runs in .stackful/runs.db yet;")
    assert json.loads(commands.stackful("ps", "--json").stdout) == []


def test_every_status_is_listed(commands):
    """Finished, failed and interrupted runs say so, with the exit status where there is one."""
    for name, text in {"a": "1 / 0", "b": "pass", "c": "import os; os._exit(0)", "d": "raise SystemExit(4)"}.items():
        commands.stackful("run", "--name", name, commands.script(text))
    runs = json.loads(commands.stackful("ps", "--json").stdout)
    assert {run["id"]: (run["status"], run["exit_status"]) for run in runs} == {
        "a": ("failed", 1),
        "b": ("finished", 0),
        "c": ("interrupted", None),
        "d": ("finished", 4),
    }


def test_show_prints_the_stack_as_a_person_reads_it(killed):
    """Each frame has its function, place, marked source line, locals and evaluation stack; nothing of the program is run."""
    done = killed.stackful("show", "tree")
    assert (done.stderr, done.returncode) == ("", 0)
    text = done.stdout
    place = killed.folder / "tree.py"
    positions = [text.index(f"{place}:{line}\n") for line in (20, 15, 16)]
    assert positions == sorted(positions)
    assert text.splitlines()[0].startswith("tree  tree.py --flag  interrupted  checkpoint 1, ")
    assert "▶   15 │             total = 10 + visit(Node(kid), depth + 1)\n" in text
    assert "numbers = [1, 1, 1]" in text
    assert "node = Node(name='a')" in text
    assert "evaluation stack: <tuple_iterator, 1 to go>, 10\n" in text
    assert "checkpoints.py" not in text
    assert "repr was called" not in text


def test_show_as_data(killed):
    """--json gives the frames, outermost first."""
    shown = json.loads(killed.stackful("show", "--json", "tree").stdout)
    assert shown["id"] == "tree"
    assert [(frame["function"], frame["line"]) for frame in shown["frames"]] == [
        ("<module>", 20), ("visit", 15), ("visit", 15), ("visit", 16),
    ]  # fmt: skip
    inner = shown["frames"][-1]
    assert inner["source"] == "stackful.checkpoint()"
    assert inner["locals"] == {"node": "Node(name='a')", "depth": "2", "numbers": "[2, 2, 2]", "kid": "'b'"}
    assert shown["frames"][1]["stack"] == ["<tuple_iterator, 1 to go>", "10"]


def test_show_uses_the_script_as_it_was(killed):
    """A changed script does not change what is shown."""
    before = killed.stackful("show", "--json", "tree").stdout
    (killed.folder / "tree.py").write_text("nothing = 'of it is left'\n")
    assert killed.stackful("show", "--json", "tree").stdout == before


def test_show_without_a_stack(commands):
    """A run that has ended, or was never stored, has a heading and no frames."""
    commands.stackful("run", "--name", "r", commands.script("pass"))
    assert commands.stackful("show", "r").stdout == "r  program.py  finished  no checkpoint\n"
    assert json.loads(commands.stackful("show", "r", "--json").stdout)["frames"] == []


def test_output_into_a_pipe_that_closes(killed):
    """`stackful show | head -1` ends quietly enough: no traceback of ours."""
    command = f"{sys.executable} -m stackful show tree | head -1"
    done = subprocess.run(
        command, shell=True, cwd=killed.folder, env=killed.environment, capture_output=True, text=True
    )
    assert done.stdout.startswith("tree ")
    assert "stackful/" not in done.stderr


def test_ctrl_c_ends_a_command_in_silence(killed):
    """By the signal, as the system ends what does not handle it: whoever waits for the process sees what it was."""
    killed.script(
        """
        import os, signal, sys
        from stackful.cli import listing
        from stackful.cli.main import main
        listing.ago = lambda when: os.kill(os.getpid(), signal.SIGINT)
        sys.argv = ["stackful", "ps"]
        main()
        """,
        "interrupted.py",
    )
    done = killed.python("interrupted.py")
    assert (done.returncode, done.stdout, done.stderr.strip()) == (-signal.SIGINT, "", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["run"],
        ["run", "--every", "0", "x.py"],
        ["run", "--every", "x", "x.py"],
        ["resume", "a", "b"],
        ["show"],
        ["--nope"],
        [],
    ],
)
def test_a_wrong_command_line(commands, arguments):
    """Usage goes to stderr, with its own status; no store is made."""
    done = commands.stackful(*arguments)
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: stackful")
    assert done.returncode == 64
    assert os.listdir(commands.folder) == []


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["run", "-h"], ["resume", "-h"], ["ps", "-h"], ["show", "-h"], ["--version"]],
)
def test_help_is_no_error(commands, arguments):
    """Help and the version go to stdout."""
    done = commands.stackful(*arguments)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "stackful" in done.stdout


def test_every_status_is_documented():
    """The table of exit statuses holds each number that the code uses."""
    table = {int(line.split()[0]) for line in status.__doc__.splitlines() if line[:1].isdigit()}
    numbers = {value for name, value in vars(status).items() if name.isupper() and isinstance(value, int)}
    assert numbers == table - {0, 1, 130}


@pytest.mark.parametrize("own", ["", "--every 1000"])
def test_a_run_loads_no_terminal(commands, own):
    """`run` leaves rich, asyncio and the checks' compiler alone unless they are needed."""
    script = commands.script(
        "import sys; print([n for n in ('rich', 'asyncio', 'ast', 'cloudpickle') if n in sys.modules])"
    )
    plain = commands.python(script).stdout
    expected = "[]\n" if not own else "['ast']\n"
    assert plain == "[]\n"
    assert commands.stackful("run", *own.split(), script).stdout in {expected, "['ast']\n"}


@pytest.mark.parametrize("seconds, text", [(3, "3 s ago"), (200, "3 min ago"), (7300, "2 h ago"), (200_000, "2 d ago")])
def test_times_are_told_in_words(seconds, text, monkeypatch):
    """The largest unit that fits."""
    monkeypatch.setattr("time.time", lambda: 1_000_000.0)
    assert ago(1_000_000.0 - seconds) == text


@pytest.mark.parametrize("size, text", [(12, "12 B"), (2048, "2.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 40, "3072.0 GiB")])
def test_sizes_are_told_in_units(size, text):
    """The largest unit that fits, up to GiB."""
    assert size_text(size) == text


class Bomb:
    """Nothing of it may be called."""

    def __init__(self):
        self.inside = [1]

    def __getattribute__(self, name):
        raise AssertionError(name)

    __repr__ = __str__ = __len__ = __iter__ = __getattribute__


class Slots:
    __slots__ = ("x",)


class OwnList(list):
    def __repr__(self):
        raise AssertionError

    __iter__ = __len__ = __repr__


class OwnInt(int):
    def __repr__(self):
        raise AssertionError


def endless():
    yield


@pytest.mark.parametrize(
    "value, text",
    [
        (1, "1"),
        ("x", "'x'"),
        (None, "None"),
        ([], "[]"),
        ((), "()"),
        ({}, "{}"),
        (set(), "set()"),
        (frozenset({1}), "frozenset({1})"),
        ((1,), "(1,)"),
        ({"a": [1, (2,)]}, "{'a': [1, (2,)]}"),
        ([[[[1]]]], "[[[[…]]]]"),
        (list(range(9)), "[0, 1, 2, 3, 4, 5, … 9 in all]"),
        (10**50, "<int of 167 bits>"),
        (Slots(), "<Slots>"),
        (len, "<function len>"),
        (endless, "<function endless>"),
        (endless(), "<generator endless>"),
        (Slots().__repr__, "<method-wrapper>"),
        (ExceptionGroup("g", [KeyError(1)]).split, "<function ExceptionGroup.split>"),
        (os, "<module os>"),
        (Bomb, "<class Bomb>"),
        (iter([1, 2]), "<list_iterator, 2 to go>"),
        (iter(range(4)), "<range_iterator, 4 to go>"),
        (ValueError("x"), "ValueError('x')"),
    ],
)
def test_values_are_described(value, text):
    """A value is described by what it is and holds."""
    assert describe(value) == text


def test_values_are_described_without_their_help():
    """No code of a value's class runs, whatever it defines."""
    assert describe(Bomb()) == "Bomb(inside=[1])"
    assert describe([OwnList([1]), OwnInt(4), Bomb()]) == "[OwnList([1]), OwnInt(4), Bomb(inside=[1])]"


def test_descriptions_are_short():
    """A long value is cut, a value that holds itself ends."""
    loop = []
    loop.append(loop)
    assert describe(loop) == "[[[[…]]]]"
    assert len(describe("x" * 10_000_000)) == 100
    assert describe(dict.fromkeys(range(1000), "y" * 50), width=20) == "{0: 'yyyyyyyyyyyyyy…"


@pytest.mark.parametrize("command", [["ps"], ["ps", "--json"], ["log", "r"]])
def test_what_only_looks_at_rows_loads_no_engine(commands, command):
    """Nor what pickles, runs or waits: that would take most of the time of the command."""
    commands.stackful("run", "--name", "r", commands.script("import stackful; stackful.checkpoint()"), check=True)
    done = commands.python("-X", "importtime", "-m", "stackful", *command, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "stackful.durable.overview" in loaded
    assert not loaded & {"stackful.durable.engine", "stackful.snapshot", "asyncio", "logging"}
