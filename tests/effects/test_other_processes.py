"""What waits in the middle of an operation goes on in another process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import stackful

PROGRAM = """
import sys
from stackful import Fiber, effect, handle, perform, snapshot, suspend

@effect
def ask(): ...

@effect
def other(): ...

def clause():
    suspend()
    return perform(other)

def body():
    return perform(ask)

def store():
    fiber = Fiber(body)
    handle(fiber.resume, ask.fun(clause), other.fun(lambda: "gone"))
    k = handle(lambda: [body()], ask.ctl(lambda k: k))
    return snapshot.dumps((fiber, k))

def load(data):
    fiber, k = snapshot.loads(data)
    nested = lambda: handle(fiber.resume, other.fun(lambda: "inner"))
    print(handle(nested, other.fun(lambda: "outer")), k.resume(1))

if sys.argv[1] == "store":
    sys.stdout.buffer.write(store())
else:
    load(sys.stdin.buffer.read())
"""


def run(*command, data=b""):
    """What a program writes that reads these bytes."""
    environment = {**os.environ, "PYTHONPATH": str(Path(stackful.__file__).parents[1])}
    done = subprocess.run([sys.executable, *command], input=data, capture_output=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.mark.no_leakcheck("the programs run in other processes")
def test_clauses_and_resumptions_go_on_in_another_process(tmp_path):
    """Where the code is the same; and no handler that is there is taken for one that was left behind."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    assert run(program, "load", data=run(program, "store")).decode().split("\n")[0] == "inner [1]"


SCRIPT = """
import copy, pickle, sys
from stackful import Fiber, effect, handle, perform, snapshot, suspend

@effect
def ask(question: str) -> int: ...

def body():
    suspend()
    return perform(ask, "how many")

def local():
    @effect
    def hidden() -> int: ...
    return Fiber(lambda: handle(lambda: (suspend(), perform(hidden))[1], hidden.fun(lambda: 7)))

fiber = Fiber(lambda: handle(body, ask.fun(len)))
fiber.resume()
other = local()
other.resume()
assert pickle.loads(pickle.dumps(ask)) is ask
assert handle(pickle.loads(pickle.dumps(Fiber(perform, ask, "abc"))).resume, ask.fun(len)) == 3
assert copy.deepcopy(fiber).resume() == 8
assert copy.deepcopy(other).resume() == 7
sys.stdout.buffer.write(pickle.dumps((fiber, other, ask, [ask])))
"""

READER = """
import pickle, sys
fiber, other, ask, (again,) = pickle.loads(sys.stdin.buffer.read())
print(fiber.resume(), other.resume(), ask is again, ask)
"""


@pytest.mark.no_leakcheck("the programs run in other processes")
def test_operations_of_a_script_travel_with_what_performs_them(tmp_path):
    """To a process that has no such operation, and those made inside of functions as well; at home an operation is itself."""
    data = b""
    for name, text in (("script.py", SCRIPT), ("reader.py", READER)):
        (tmp_path / name).write_text(text)
        data = run(tmp_path / name, data=data)
    assert data.decode().strip() == "8 7 True <operation ask(question: str) -> int>"
