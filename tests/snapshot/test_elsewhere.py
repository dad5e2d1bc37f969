"""A snapshot goes on elsewhere: in another folder, under another hash seed, for another user, in another virtual environment."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import stackful

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

BANK = '''
"""A program that depends on its surroundings as little as most do."""
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum
from stackful import suspend

class Colour(Enum):
    RED = "red"
    BLUE = "blue"

@dataclass(frozen=True)
class Account:
    owner: str
    tags: frozenset = field(default_factory=frozenset)

def pay(account, amounts):
    seen, kinds = {"a", "b", "c", account}, {Colour.RED, Colour.BLUE}
    by_owner = defaultdict(list, {account.owner: [1]})
    for amount in sorted(amounts):
        if amount in {10, 20, 30}:
            answer = suspend(amount)
            by_owner[account.owner].append(answer)
            assert {"a", "b", "c"} < seen and account in seen and Colour.RED in kinds
    return dict(by_owner), Counter("abba"), sorted(colour.value for colour in kinds)

def start():
    def remember(x, *, kept=frozenset({"x", "y"})):
        return x in kept
    found = pay(Account("ann", frozenset({"one", "two", "three"})), {10, 20, 30})
    return found, remember("x"), remember("z")
'''

TAKE = """
import sys
from stackful import Fiber, snapshot
import bank
fiber = Fiber(bank.start)
fiber.resume()
open(sys.argv[1], "wb").write(snapshot.dumps(fiber, key=b"secret"))
"""

GO_ON = """
import os, sys
from stackful import snapshot
{become}
fiber = snapshot.loads(open(sys.argv[1], "rb").read(), key=b"secret")
import bank
while fiber.status != "dead":
    answer = fiber.resume("yes")
print(answer)
print(os.getcwd(), os.getuid(), bank.__file__, snapshot.__file__, hash("seed"), sep="\\n")
"""

ANSWER = "(({'ann': [1, 'yes', 'yes', 'yes']}, Counter({'a': 2, 'b': 2}), ['blue', 'red']), True, False)"


def run(python, program, *arguments, paths, cwd, seed):
    """The lines that a program prints in surroundings of its own."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONHASHSEED": str(seed)}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    command = [python, "-B", "-c", program, *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def places():
    """Two folders that every user may read, each with the program in a folder of its own; they are not where pytest keeps its own."""
    with tempfile.TemporaryDirectory(prefix="stackful-") as name:
        Path(name).chmod(0o755)
        folders = [Path(name, "one"), Path(name, "another", "place")]
        for folder in folders:
            (folder / "app").mkdir(parents=True)
            (folder / "app" / "bank.py").write_text(BANK)
        yield folders


PACKAGE = Path(stackful.__file__).parents[1]


def test_another_folder_and_another_hash_seed(places):
    """Neither the working directory, nor where the module lies, nor the order of sets is any part of it."""
    one, other = places
    run(sys.executable, TAKE, one / "data", paths=[one / "app", PACKAGE], cwd=one, seed=1)
    told = run(sys.executable, GO_ON.format(become=""), one / "data", paths=[other / "app", PACKAGE], cwd=other, seed=2)
    assert told[0] == ANSWER
    assert (told[1], told[3]) == (str(other), str(other / "app" / "bank.py"))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_another_user(places):
    """What root has saved, the user nobody can go on with who may read it."""
    one, other = places
    run(sys.executable, TAKE, one / "data", paths=[one / "app", PACKAGE], cwd=one, seed=1)
    (one / "data").chmod(0o644)
    # All that is imported from folders that nobody may enter is imported before.
    become = (
        "import cloudpickle, sysconfig; sysconfig.get_paths(); os.setgroups([]); os.setgid(65534); os.setuid(65534)"
    )
    told = run(
        sys.executable, GO_ON.format(become=become), one / "data", paths=[other / "app", PACKAGE], cwd=other, seed=2
    )
    assert (told[0], told[2]) == (ANSWER, "65534")


def environment(folder):
    """A virtual environment with the package in it; its Python and where it keeps packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(Path(stackful.__file__).parent, packages / "stackful", ignore=shutil.ignore_patterns("__pycache__"))
    return folder / "bin" / "python", packages


def test_another_virtual_environment(places):
    """Two real ones, each with the package installed in it, at different paths and different depths, the program in different folders."""
    one, other = places
    first, second = environment(one / "env"), environment(other / "deep" / "er" / "env")
    run(first[0], TAKE, one / "data", paths=[one / "app"], cwd=one, seed=3)
    told = run(second[0], GO_ON.format(become=""), one / "data", paths=[other / "app"], cwd=other, seed=4)
    assert told[0] == ANSWER
    assert told[3:5] == [str(other / "app" / "bank.py"), str(second[1] / "stackful" / "snapshot" / "__init__.py")]


def test_a_program_that_is_installed_in_the_environment(places):
    """A module in site-packages is as good as one beside the program."""
    one, other = places
    first, second = environment(one / "env"), environment(other / "env")
    for place, (_, packages) in zip(places, (first, second), strict=True):
        shutil.move(place / "app" / "bank.py", packages / "bank.py")
    run(first[0], TAKE, one / "data", paths=[], cwd=one, seed=3)
    go_on = GO_ON.format(become="import bank  # what the program imports itself, a snapshot may name")
    told = run(second[0], go_on, one / "data", paths=[], cwd=other, seed=4)
    assert (told[0], told[3]) == (ANSWER, str(second[1] / "bank.py"))
