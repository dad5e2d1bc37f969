"""A killed run of a script whose text has changed goes on right, as it was told to, or is refused by name: never silently wrong."""

import json
import shutil
import sqlite3
from contextlib import closing

import pytest

from durable.commands import Commands

CODE_CHANGED = 68

# What stops a run: the third call, where the environment says so. Every call is a checkpoint.
HALTING = """
import itertools, os, signal
from stackful import checkpoint
calls = itertools.count(1)
def halt():
    checkpoint()
    if str(next(calls)) == os.environ.get("HALT_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
"""

OLD = """
from halting import halt
RATE = 5

def work(number):
    total = number + 1
    for extra in (10, 20):
        total += extra
        halt()
        total *= 2
    return total * RATE

def label(value):
    return f"<{value}>"

for number in range(3):
    first = work(number)
    print(label(first), flush=True)
print("done")
"""
REST = ["<440>", "<460>", "done"]

# From what to what, and what is printed by a run that has moved to it.
RIGHT = {
    "a comment and a blank line are added": ("    total = number", "\n    # one more\n    total = number", REST),
    "a local is renamed": ("total", "amount", REST),
    "a function is moved": (
        '\ndef label(value):\n    return f"<{value}>"\n\nfor',
        "\nfor",
        "\ndef work",
        '\ndef label(value):\n    return f"<{value}>"\n\ndef work',
        REST,
    ),
    "a step is added before the position": (
        "        total += extra",
        "        total += 1\n        total += extra",
        ["<450>", "<490>", "done"],
    ),
    "a step is added behind the position": (
        "        halt()\n",
        "        halt()\n        total -= 1\n",
        ["<410>", "<430>", "done"],
    ),
    "the end of the suspended function changes": ("* RATE", "* RATE + 1000", ["<1440>", "<1460>", "done"]),
    "a function changes that is not suspended": ("<{value}>", "[{value}]", ["[440]", "[460]", "done"]),
    "a constant changes in a statement that has run": ("RATE = 5", "RATE = 6", REST),
    "the script's own end changes": ('"done"', '"finished"', ["<440>", "<460>", "finished"]),
    "the script's own loop body changes": (
        "print(label(first)",
        'print("=", label(first)',
        ["= <440>", "= <460>", "done"],
    ),
    "a global is made behind the position": (
        'print("done")',
        'last = number * 7\nprint("done", last)',
        ["<440>", "<460>", "done 14"],
    ),
    "a function is defined that is only used by what it is defined behind": (
        'print("done")',
        'def end():\n    return "end"\nprint(end())',
        ["<440>", "<460>", "end"],
    ),
}

# From what to what, and what the refusal of a run that should move to it says.
WRONG = {
    "a step is moved ahead of the position": (
        "        halt()\n        total *= 2\n",
        "        total *= 2\n        halt()\n",
        "would be skipped",
    ),
    "a step is moved behind the position": (
        "        total += extra\n        halt()\n",
        "        halt()\n        total += extra\n",
        "would be repeated",
    ),
    "the suspended function is renamed": ("work", "job", '"work"'),
    "a function that is in use is deleted": (
        'def label(value):\n    return f"<{value}>"\n',
        "label = str\n",
        '"label"',
    ),
    "the loop around the position changes": ("(10, 20)", "(10, 30)", "the block around its position"),
    "the script's own loop around the position changes": ("range(3)", "range(4)", "the block around its position"),
    "a global is renamed that has been made": ("RATE", "PRICE", 'the global "PRICE"'),
    "a function is added that has not been defined": (
        "def label(value):\n    return",
        "def decorated(value):\n    return value\n\ndef label(value):\n    return decorated('!') +",
        'the global "decorated"',
    ),
    "a parameter is renamed": ("def label(value):", "def label(text):", "its parameters are others now"),
    "a parameter with a default is added": ("label(value):", "label(value, width=3):", "its decorators or defaults"),
    "a decorator is added": ("def label", "@str\ndef label", "its decorators or defaults"),
    "the position comes to stand in a branch": (
        "        halt()",
        "        if extra:\n            halt()",
        "other blocks",
    ),
    "the statement of the position is there twice": (
        "        halt()",
        "        halt()\n        halt()",
        "more than one",
    ),
    "the statement of the position is gone": ("        halt()", "        pass", "is not in the new code"),
    "a local is read that has no value": ("return total * RATE", "return total * factor", "factor"),
    "a function becomes a generator": ("    return total * RATE", "    yield total * RATE", "another kind"),
    "the text is no program": ("def label(value):", "def label(value:", "no longer compiles"),
    "another call of the same statement would go on": ("halt()", "halt() or halt()", "is not in the new code"),
}


def edited(*changes):
    """The script with these replacements."""
    text = OLD
    for old, new in zip(changes[::2], changes[1::2], strict=True):
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A folder with a run that was killed, and a copy of its store."""
    commands = Commands(tmp_path_factory.mktemp("changes"))
    commands.script(HALTING, "halting.py")
    commands.script(OLD)
    killed(commands)
    shutil.copytree(commands.folder / ".stackful", commands.folder / "kept")
    return commands


def killed(commands, *options, at="3"):
    """Run the program until it kills itself; what it has printed."""
    first = commands.stackful("run", *options, "program.py", env={**commands.environment, "HALT_AT": at})
    assert first.returncode == -9, first.stderr
    return first.stdout.splitlines()


@pytest.fixture
def halted(kept):
    """The same folder with the store as it was."""
    shutil.rmtree(kept.folder / ".stackful")
    shutil.copytree(kept.folder / "kept", kept.folder / ".stackful")
    return kept


def resumed(commands, *options):
    """What the rest of the run prints, line by line."""
    done = commands.stackful("resume", *options)
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout.splitlines()


def refusal(commands, *options):
    """The error of a resume that is refused; nothing has run, and the run is as it was."""
    before = checkpoints(commands)
    done = commands.stackful("resume", *options)
    assert (done.stdout, done.returncode) == ("", CODE_CHANGED), done.stderr
    assert checkpoints(commands) == before
    return done.stderr


def checkpoints(commands):
    """The checkpoints in the store, and the run's text."""
    with closing(sqlite3.connect(commands.folder / ".stackful/runs.db")) as database:
        return database.execute("SELECT seq, taken, source FROM checkpoints JOIN runs ON run = id").fetchall()


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_a_run_keeps_to_its_text_whatever_the_file_says(halted, change):
    """With --on-change keep the run ends as if nobody had touched the script."""
    halted.script(edited(*change[:-1]))
    assert resumed(halted, "--on-change", "keep") == REST


@pytest.mark.parametrize("change", RIGHT.values(), ids=RIGHT)
def test_a_run_moves_to_a_text_in_which_it_has_a_place(halted, change):
    """With --on-change move it goes on in the new text, and doctor says so before."""
    halted.script(edited(*change[:-1]))
    assert halted.stackful("doctor", "--on-change", "move").returncode == 0
    assert resumed(halted, "--on-change", "move") == change[-1]


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_run_without_a_place_in_the_new_text_is_refused_by_name(halted, change):
    """With --on-change move the error says what speaks against it, doctor says the same before, and the run can still be kept."""
    halted.script(edited(*change[:-1]))
    doctor = halted.stackful("doctor", "--on-change", "move")
    assert doctor.returncode == CODE_CHANGED
    assert change[-1] in doctor.stdout
    assert change[-1] in refusal(halted, "--on-change", "move")
    assert resumed(halted, "--on-change", "keep") == REST


@pytest.mark.parametrize("name", [name for name in [*RIGHT, *WRONG] if "comment" not in name])
def test_a_changed_script_is_refused_by_default(halted, name):
    """Without an option every change of the code is refused, with the way out."""
    halted.script(edited(*{**RIGHT, **WRONG}[name][:-1]))
    assert "program.py" in refusal(halted)


def test_a_comment_is_no_change(halted):
    """A run goes on by itself where only comments and blank lines have come."""
    halted.script("# first\n" + OLD)
    assert resumed(halted) == REST


# --- the text that a run has from then on -----------------------------------------------------------------------------


def killed_again(commands, *options, at="3"):
    """Resume, until it kills itself; what it has printed. The call that it goes on from is the first."""
    second = commands.stackful("resume", *options, env={**commands.environment, "HALT_AT": at})
    assert second.returncode == -9, second.stderr
    return second.stdout.splitlines()


def shown(commands):
    """The suspended line of each frame, as the command shows it."""
    frames = json.loads(commands.stackful("show", commands.ids()[0], "--json").stdout)["frames"]
    return [frame["source"] for frame in frames]


STEP = ("        halt()\n", "        halt()\n        total -= 1\n")


def test_a_run_that_has_moved_has_the_new_text(halted):
    """Killed again after it has moved, it needs no option, and shows its new lines; the old text is now the changed one."""
    halted.script(edited("print(label(first), flush=True)", "print(label(first),  flush=True)", *STEP))
    assert killed_again(halted, "--on-change", "move") == ["<410>"]
    assert shown(halted)[:2] == ["first = work(number)", "halt()"]
    assert resumed(halted) == ["<430>", "done"]


def test_a_run_that_is_killed_as_soon_as_it_has_moved_has_the_new_text(halted):
    """The checkpoint of the new text is stored before anything runs, in one transaction with the text."""
    halted.script(edited(*STEP))
    assert killed_again(halted, "--on-change", "move", at="1") == []
    assert resumed(halted) == ["<410>", "<430>", "done"]


def test_a_run_that_is_kept_keeps_its_text(halted):
    """Killed again it is shown with its own lines, and asks again for the option."""
    halted.script(edited(*STEP, "work(number)\n", "work(number) - 0\n"))
    assert killed_again(halted, "--on-change", "keep") == ["<440>"]
    assert shown(halted)[0] == "first = work(number)"
    assert "constants" in refusal(halted) or "bytecode" in refusal(halted)
    assert resumed(halted, "--on-change", "keep") == ["<460>", "done"]


def test_a_run_is_kept_when_its_script_is_gone(halted):
    """The store has the text."""
    (halted.folder / "program.py").unlink()
    assert resumed(halted, "--on-change", "keep") == REST


def test_a_traceback_of_a_kept_run_shows_the_lines_that_run(commands):
    """Not those that stand at these numbers in the file now."""
    commands.script(HALTING, "halting.py")
    commands.script("from halting import halt\nhalt()\nraise ValueError('as it was')\n")
    killed(commands, at="1")
    commands.script("from halting import halt\n\n# another line\nhalt(); 1 + 1\nraise KeyError\n")
    done = commands.stackful("resume", "--on-change", "keep")
    assert done.returncode == 1
    assert "line 3, in <module>\n    raise ValueError('as it was')\n" in done.stderr


# --- at the top of a script -------------------------------------------------------------------------------------------

TOP = """
from halting import halt
total = 0
for number in range(3):
    total += 1
    halt()
    total *= 2
    print(total, flush=True)
"""


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [
        ("*= 2", "*= 3", ["9", "30"]),
        ("    halt()", "    total += 10\n    halt()", ["6", "34"]),
        ("    print", "    half = total // 2\n    print", ["6", "14"]),
        ("    halt()\n    total *= 2", "    total *= 2\n    halt()", "would be skipped"),
        ("total", "amount", 'the global "amount"'),
        ("    print(total", "    print(total, double", 'the global "double"'),
        ("range(3)", "[0, 1, 2]", "the block around its position"),
        ("    halt()", "    with open('x') as x:\n        halt()", "other blocks"),
    ],
)
def test_a_position_at_the_top_of_a_script_moves_or_is_refused(commands, old, new, result):
    """Where the locals are the globals: what has no value is found before anything runs."""
    commands.script(HALTING, "halting.py")
    commands.script(TOP)
    assert killed(commands, at="2") == ["2"]
    commands.script(TOP.replace(old, new))
    if isinstance(result, str):
        assert result in commands.stackful("doctor", "--on-change", "move").stdout
        assert result in refusal(commands, "--on-change", "move")
    else:
        assert resumed(commands, "--on-change", "move") == result


# --- other ways to be suspended ---------------------------------------------------------------------------------------

TIMED = """
import itertools, os, signal, time
seen = []

def work(number):
    for turn in itertools.count():
        seen.append(turn)
        if os.environ.get("HALT_AT") and len(seen) == 300:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.001)
        if "enough" in os.environ:
            return number * 2

print(work(21), seen == [*range(len(seen))])
"""


@pytest.mark.parametrize(
    ("old", "new", "result"),
    [("number * 2", "number * 3", "63 True"), ("\ndef work", "\n\ndef other(): pass\n\ndef work", "42 True")],
)
def test_a_run_moves_from_a_checkpoint_by_the_clock(commands, old, new, result):
    """Where --every has put its checks the position is found as everywhere, and nothing is done twice or left out."""
    commands.script(TIMED)
    killed(commands, "--every", "0.01", at="yes")
    commands.script(TIMED.replace(old, new))
    commands.environment["enough"] = "yes"
    assert resumed(commands, "--on-change", "move") == [result]


def test_a_run_does_not_move_from_a_checkpoint_by_the_clock_that_is_elsewhere_now(commands):
    """The check stands in front of the loop body's first statement, and is looked for there."""
    commands.script(TIMED)
    killed(commands, "--every", "0.01", at="yes")
    commands.script(TIMED.replace("        seen.append", "        turn += 0\n        seen.append"))
    assert "in front of line 8" in refusal(commands, "--on-change", "move")


HELD = """
from halting import halt
class Ledger:
    kind = "book"
    def __init__(self): self.rows = []
    def add(self, row):
        self.rows.append(row)
        halt()
        return f"{self.kind} has {len(self.rows)}"
def numbers():
    n = 0
    while True:
        n += 1
        yield n
def counter(step):
    count = 0
    def more():
        nonlocal count
        count += step
        return count
    return more
ledger, stream, more = Ledger(), numbers(), counter(10)
add = ledger.add
for _ in range(3):
    print(add("x"), next(stream), more(), flush=True)
"""


def test_what_a_script_holds_moves_with_it(commands):
    """Methods, a generator that waits, a closure: each goes on with its values in the new code."""
    commands.script(HALTING, "halting.py")
    commands.script(HELD)
    assert killed(commands, at="2") == ["book has 1 1 10"]
    commands.script(
        HELD.replace(" has ", " holds ")
        .replace("yield n", "yield n\n        n += 100")
        .replace("+= step", "+= step + 1")
    )
    assert resumed(commands, "--on-change", "move") == ["book holds 2 102 21", "book holds 3 203 32"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"book"', '"journal"'),
        ("    def add", "    def size(self): return 1\n    def add"),
        ("class Ledger:", "class Ledger(list):"),
    ],
)
def test_a_class_that_has_been_made_must_be_made_alike(commands, old, new):
    """Its attributes, bases and which methods it has were settled when its statement ran: another one is refused by its name."""
    commands.script(HALTING, "halting.py")
    commands.script(HELD)
    killed(commands, at="2")
    commands.script(HELD.replace(old, new))
    assert 'the class "Ledger"' in commands.stackful("doctor", "--on-change", "move").stdout
    assert 'the class "Ledger"' in refusal(commands, "--on-change", "move")


MODULE = """
from halting import halt
def task():
    halt()
    return "old"
"""


def test_modules_of_a_script_are_kept_or_moved_too(commands):
    """What the option says holds for functions of modules in which the script is suspended."""
    commands.script(HALTING, "halting.py")
    commands.script(MODULE, "helper.py")
    commands.script("import helper\nfor _ in range(2):\n    print(helper.task(), flush=True)\n")
    killed(commands, at="1")
    commands.script(MODULE.replace("old", "newer"), "helper.py")
    shutil.copytree(commands.folder / ".stackful", commands.folder / "kept")
    assert '"task"' in refusal(commands)
    assert resumed(commands, "--on-change", "keep") == ["old", "newer"]
    shutil.rmtree(commands.folder / ".stackful")
    (commands.folder / "kept").rename(commands.folder / ".stackful")
    assert resumed(commands, "--on-change", "move") == ["newer", "newer"]
