"""A killed run of a script whose text has changed goes on right, as it was told to, or is refused by name: never silently wrong."""

import json
import shutil

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
    "the script's own loop body changes": ("print(label(first)", 'print("=", label(first)', ["= <440>", "= <460>", "done"]),
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
    "a parameter is added": ("label(value)", "label(value, width=3)", "its parameters are others now"),
    "the position comes to stand in a branch": ("        halt()", "        if extra:\n            halt()", "other blocks"),
    "the statement of the position is there twice": ("        halt()", "        halt()\n        halt()", "more than one"),
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
    before = commands.stackful("log", commands.ids()[0], "--json").stdout
    done = commands.stackful("resume", *options)
    assert (done.stdout, done.returncode) == ("", CODE_CHANGED), done.stderr
    assert commands.stackful("log", commands.ids()[0], "--json").stdout == before
    return done.stderr


@pytest.mark.parametrize("change", [*RIGHT.values(), *WRONG.values()], ids=[*RIGHT, *WRONG])
def test_a_run_keeps_to_its_text_whatever_the_file_says(halted, change):
    """With --on-change keep the run ends as if nobody had touched the script."""
    halted.script(edited(*change[:-1]))
    assert resumed(halted, "--on-change", "keep") == REST


@pytest.mark.parametrize("change", [c for c in RIGHT.values()], ids=RIGHT)
def test_a_run_moves_to_a_text_in_which_it_has_a_place(halted, change):
    """With --on-change move it goes on in the new text, doctor says so before, and from then on that is its text."""
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
