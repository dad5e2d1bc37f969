"""What a snapshot may name: the program's own and data types, more by configuration; the rest is refused, with how to allow it."""

import collections
import datetime as dt
import decimal
import functools
import importlib
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import stackful
from stackful import Fiber, NameRefusedError, snapshot, suspend
from stackful.snapshot import allowed
from stackful.snapshot.allowed import EVERYTHING, Allowed
from stackful.snapshot.codes import Program
from stackful.snapshot.format import seal


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Of the modules in this process only this one, and those that a test makes, are the program's: other tests import much."""
    tests, is_own = str(Path(__file__).parent.parent), allowed._is_own
    files = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    others = {name for name, file in files.items() if file.startswith(tests) and name != __name__}
    monkeypatch.setattr(allowed, "_is_own", lambda module: module not in others and is_own(module))


class Own:
    def method(self):
        return "own"


def own():
    return "own"


def waits(value):
    suspend()
    return value


class Calls:
    """Unpickling it calls a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def named(module, name):
    """A snapshot that names something, and does no more."""
    return seal(pickle.PROTO + b"\x05" + pickle.GLOBAL + f"{module}\n{name}\n".encode() + pickle.STOP)


HARMLESS = [
    ("builtins", "len"), ("builtins", "int"), ("builtins", "ValueError"), ("collections", "OrderedDict"), ("datetime", "date"),
    ("decimal", "Decimal"), ("functools", "partial"), ("itertools", "count"), ("operator", "itemgetter"), ("_operator", "add"),
    ("math", "sqrt"), ("re", "_compile"), ("copyreg", "_reconstructor"), ("pathlib", "Path"), ("io", "BytesIO"), ("json", "dumps"),
    ("subprocess", "CalledProcessError"), ("signal", "Signals"), ("os", "stat_result"), ("ast", "walk"), ("stackful", "suspend"),
    (__name__, "own"), (__name__, "Own"), (__name__, "Own.method"),
]  # fmt: skip
HARMFUL = [
    ("builtins", "eval"), ("builtins", "exec"), ("builtins", "__import__"), ("builtins", "open"), ("builtins", "compile"),
    ("os", "system"), ("posix", "system"), ("subprocess", "getoutput"), ("shutil", "rmtree"), ("socket", "socket"), ("io", "open"),
    ("_io", "open"), ("_io", "FileIO"), ("importlib", "reload"), ("pickle", "loads"), ("marshal", "loads"), ("sys", "exit"),
    ("mmap", "mmap"), ("pathlib", "Path.write_text"), ("pty", "spawn"), ("runpy", "run_path"), ("code", "interact"),
    ("stackful.snapshot", "loads_pickled"), ("stackful.snapshot", "loads"), ("stackful.durable.runs", "start"),
    ("stackful.keyfiles", "rotate_key_file"),
]  # fmt: skip


@pytest.mark.parametrize(("module", "name"), HARMLESS)
def test_what_is_harmless_is_allowed(module, name):
    """The program's own, data types, functions that compute, exceptions, functions that are suspended at first."""
    value = importlib.import_module(module)
    for part in name.split("."):
        value = getattr(value, part)
    assert snapshot.loads(named(module, name)) is value


@pytest.mark.parametrize(("module", "name"), HARMFUL)
def test_what_can_do_harm_is_refused_with_its_name_and_the_way_out(module, name):
    """Nothing is called; the message has the three ways to allow it, and the first of them does."""
    data = named(module, name)
    with pytest.raises(NameRefusedError) as caught:
        snapshot.loads(data, allow=())
    assert caught.value.name == f"{module}:{name}"
    for way in (f'allow=["{module}:{name}"]', f"STACKFUL_ALLOW={module}:{name}", "[tool.stackful]"):
        assert way in str(caught.value)
    assert snapshot.loads(data, allow=[f"{module}:{name}"]) is not None


@pytest.mark.parametrize("name", ["os", "os.path", "subprocess.os.system", "os.path.os.system"])
def test_a_way_through_modules_is_none(name):
    """A module of the program's own has imported others; they are not reached through it."""
    with pytest.raises(NameRefusedError):
        snapshot.loads(named(__name__, name))


def test_what_an_own_module_has_from_another_is_that_ones(monkeypatch):
    """`from os import system` does not make it the program's by this name; that the program has it among its globals does."""
    made = ModuleType("made_for_this_test")
    monkeypatch.setitem(sys.modules, made.__name__, made)
    made.now = lambda: None
    made.now.__module__ = "subprocess"
    data = named("made_for_this_test", "now")
    function = made.now
    assert snapshot.loads(data) is function  # one of its globals
    monkeypatch.setattr(made, "holder", type("holder", (), {"now": function}), raising=False)
    monkeypatch.delattr(made, "now")
    with pytest.raises(NameRefusedError):
        snapshot.loads(named("made_for_this_test", "holder.now"))


def test_getattr_is_for_methods():
    """A bound method is pickled by `getattr`; there is no way from a value to all that its module imports."""
    assert snapshot.loads(snapshot.dumps(Own().method))() == "own"
    assert snapshot.loads(snapshot.dumps([1, 2].index))(2) == 1
    for value, name in ((own, "__globals__"), (Own, "__subclasses__"), (own, "__code__"), (Own(), "__dict__")):
        with pytest.raises(NameRefusedError, match="getattr"):
            snapshot.loads(seal(pickle.dumps(Calls(getattr, value, name), 5)))


def test_a_plain_pickle_and_a_copy_check_nothing():
    """Whoever calls `pickle.loads` has made up his mind; a copy is not even bytes that could be changed."""
    import copy

    fiber = Fiber(waits, os.system)
    fiber.resume()
    assert copy.deepcopy(fiber).resume() is pickle.loads(pickle.dumps(fiber)).resume() is os.system


def test_everything_can_be_allowed():
    """As trusting as pickle."""
    data = named("shutil", "rmtree")
    for everything in (EVERYTHING, ["*"]):
        assert snapshot.loads(data, allow=everything).__name__ == "rmtree"


def test_the_environment_allows(monkeypatch):
    """A package, or a name."""
    data = named("shutil", "rmtree")
    monkeypatch.setenv("STACKFUL_ALLOW", "subprocess, shutil:move")
    with pytest.raises(NameRefusedError):
        snapshot.loads(data, allow=())
    monkeypatch.setenv("STACKFUL_ALLOW", "subprocess, shutil")
    assert snapshot.loads(data, allow=()).__name__ == "rmtree"


def test_the_project_allows(monkeypatch, tmp_path):
    """By the pyproject.toml of the folder, or of one above it."""
    data = named("shutil", "rmtree")
    (tmp_path / "pyproject.toml").write_text('[tool.stackful]\nallow = ["shutil:rmtree"]\n')
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    assert snapshot.loads(data, allow=()).__name__ == "rmtree"
    with pytest.raises(NameRefusedError):
        snapshot.loads(named("shutil", "move"), allow=())


@pytest.mark.parametrize("text", ['allow = "shutil"', "allow = 7", 'allow = ["not a name!"]', "allow ="])
def test_a_project_file_that_is_wrong_is_reported(monkeypatch, tmp_path, text):
    """Only when it is looked at: when something would be refused otherwise."""
    (tmp_path / "pyproject.toml").write_text(f"[tool.stackful]\n{text}\n")
    monkeypatch.chdir(tmp_path)
    assert snapshot.loads(named("builtins", "len")) is len
    with pytest.raises(NameRefusedError, match=r"shutil:rmtree.*pyproject\.toml.*pyproject\.toml"):
        snapshot.loads(named("shutil", "rmtree"), allow=())


@pytest.mark.parametrize("entry", ["", "a b", "a:", ":a", "os.system()", "1a"])
def test_an_entry_is_a_package_or_a_name(entry):
    """Else it would allow nothing, and nobody would notice."""
    with pytest.raises(ValueError, match="neither a package"):
        Allowed([entry])


def test_allow_takes_a_list():
    """A text is a list of letters in Python."""
    with pytest.raises(TypeError, match=r"\['os'\]"):
        snapshot.loads(b"", allow="os")


SCRIPT = """
import subprocess
from shutil import rmtree
def call():
    return subprocess.run
"""


@pytest.mark.parametrize(
    ("module", "name", "is_allowed"),
    [
        ("shutil", "rmtree", True),
        ("subprocess", "run", True),
        ("shutil", "move", False),
        ("subprocess", "check_call", False),
    ],
)
def test_what_a_script_imports_is_its_own(module, name, is_allowed):
    """What it has imported by name, and what it says of a module that it has imported."""
    program = Program(ModuleType("__main__"), compile(SCRIPT, "script.py", "exec"))
    data = named(module, name)
    if is_allowed:
        assert snapshot.loads(data, program=program).__name__ == name
    else:
        with pytest.raises(NameRefusedError):
            snapshot.loads(data, program=program)


def test_packages_that_the_program_does_not_import_are_refused(tmp_path):
    """An installed package is the program's when the program imports it; before that its name imports nothing."""
    packages = tmp_path / "site-packages"
    packages.mkdir()
    (packages / "a_package.py").write_text("class Thing: pass\n")
    (tmp_path / "app.py").write_text("import a_package\n")
    program = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "from stackful import NameRefusedError, snapshot\n"
        "from stackful.snapshot.format import seal\n"
        "data = seal(b'\\x80\\x05ca_package\\nThing\\n.')\n"
        "try: snapshot.loads(data)\n"
        "except NameRefusedError as error: print(error.name, 'a_package' in sys.modules)\n"
        "import app\n"
        "print(snapshot.loads(data).__name__)\n"
    )
    command = [sys.executable, "-c", program, str(packages), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert done.stdout.split() == ["a_package", "False", "Thing"]


def test_a_module_that_stands_under_another_name_has_no_say(monkeypatch):
    """As pytest has `py.path`: its loader refuses to give code for that name, and what is asked for is refused by its own name."""
    alias = ModuleType("an_alias")
    alias.importlib, alias.__loader__ = importlib, importlib.machinery.SourceFileLoader("its_own_name", __file__)
    monkeypatch.setitem(sys.modules, alias.__name__, alias)
    with pytest.raises(NameRefusedError, match="importlib:reload"):
        snapshot.loads(named("importlib", "reload"))


def test_values_of_the_usual_types_need_no_configuration():
    """What programs hold."""
    value = [
        dt.date(2026, 1, 2), decimal.Decimal("1.5"), collections.Counter("abca"), functools.partial(int, base=2),
        json.JSONDecodeError("m", "doc", 0), collections.deque([1]), os.stat("/"), ValueError("v"),
    ]  # fmt: skip
    assert [type(loaded) for loaded in snapshot.loads(snapshot.dumps(value))] == list(map(type, value))
