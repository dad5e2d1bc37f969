"""`stackful doctor`: will the runs of a store resume on this checkout?"""

import json

import pytest

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

HELPERS = """
from stackful import checkpoint
import os

class Basket:
    def __init__(self):
        self.items = []

def work(basket):
    basket.items.append("pen")
    checkpoint()
    if not os.path.exists("go on"):
        os.kill(os.getpid(), 9)
    return basket.items
"""
SCRIPT = """
from helpers import Basket, work
print(work(Basket()))
"""


@pytest.fixture
def stored(commands):
    """A killed run whose frames stand in a script and in a module."""
    commands.script(HELPERS, "helpers.py")
    commands.script(SCRIPT)
    commands.stackful("run", "--name", "r", "program.py")
    (commands.folder / "go on").touch()
    return commands


def edit(stored, name, old, new):
    """Change a file."""
    path = stored.folder / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_where_nothing_has_changed_every_run_would_resume(stored):
    """And does."""
    done = stored.stackful("doctor")
    assert (done.stdout, done.stderr, done.returncode) == ("r: would resume\n", "", 0)
    assert json.loads(stored.stackful("doctor", "--json").stdout) == [{"run": "r", "findings": []}]
    assert stored.stackful("resume").stdout == "['pen']\n"
    assert stored.stackful("doctor").stdout == ""


@pytest.mark.parametrize(
    "name, old, new, function",
    [
        ("helpers.py", "return basket.items", "return basket.items * 2", "work"),
        ("helpers.py", "def work(", "def work_hard(", "work"),
        ("helpers.py", "class Basket", "class Trolley", "Basket"),
        ("program.py", "print(work(Basket()))", "print('got', work(Basket()))", "<module>"),
    ],
    ids=["a function", "a renamed function", "a renamed class", "the script"],
)
def test_what_would_keep_a_run_from_resuming_is_named(stored, name, old, new, function):
    """With its lines, before anything is resumed; what `resume` says then is the same."""
    edit(stored, name, old, new)
    done = stored.stackful("doctor")
    assert done.returncode == 68
    assert done.stdout.startswith("r: would not resume\n")
    (told,) = json.loads(stored.stackful("doctor", "--json", "r").stdout)
    assert function in [finding["function"] for finding in told["findings"]]
    refused = stored.stackful("resume")
    assert refused.returncode == 68
    edit(stored, name, new, old)
    assert stored.stackful("resume").stdout == "['pen']\n"


def test_a_run_that_holds_instances_of_the_scripts_classes_is_examined(commands):
    """Such classes travel with the run, and are not made for an examination."""
    commands.script(HELPERS, "helpers.py")
    commands.script(SCRIPT.replace("\nprint", "\nclass Mine(Basket): pass\n\nprint").replace("Basket())", "Mine())"))
    commands.stackful("run", "--name", "r", "program.py")
    done = commands.stackful("doctor")
    assert (done.stdout, done.stderr) == ("r: would resume\n", "")
