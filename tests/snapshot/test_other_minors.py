"""From one minor version of Python to another: the same program goes on, or is refused with what to do instead."""

import json

import pytest
from edits import TAKE as TAKE_ONE
from edits import run
from interpreters import others, this

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

SHOP = """
import contextlib
from dataclasses import dataclass
from stackful import suspend
log = []

@dataclass
class Order:
    number: int

def ship(item, to):
    answer = suspend(item)
    log.append(["ship", item, to, answer])
    return answer

class Desk:
    def __enter__(self):
        return self
    def __exit__(self, *_):
        log.append("exit")
    def note(self, a, *rest, b=0):
        return [a, *rest, b]

def numbers(n):
    for i in range(n):
        yield i * 10

def start():
    desk, waiting, total = Desk(), numbers(5), 0
    orders = {"first": Order(1), "second": Order(2)}
    next(waiting)
    for item in ["pen", "ink"]:
        for name, order in orders.items():
            with Desk() as here:
                lot = [1, ship(item, "me"), *"ab"]
            both = desk.note(total, ship(name, next(waiting)))
            total = (total + order.number) * len(lot)
    def inner(what):
        return (desk
            .note(total, ship(what,
               "z"), b=ship("last", {1, 2}.__len__()))), f"{total} {ship('text', 1)!r}"
    found = inner(3)
    try:
        while ship("more", total) and total < 1000:
            total = total * 10 if ship("grow", total) else 1000
    finally:
        log.append("done")
    return [total, lot, both, found, list(waiting)]
"""

# Not every interpreter has cloudpickle and zstd, and what was saved with them needs them.
TAKE = """
import sys
sys.modules.update(dict.fromkeys(["cloudpickle", "zstandard", "compression.zstd"]))
from stackful import Fiber, snapshot
import shop
fiber, number = Fiber(shop.start), 0
fiber.resume()
while fiber.status != "dead":
    open(f"{sys.argv[1]}/{number}.bin", "wb").write(snapshot.dumps(fiber))
    number += 1
    fiber.resume(1)
"""

GO_ON = """
import json, pathlib, sys
from stackful import snapshot
import shop
told = {}
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.bin")):
    data = path.read_bytes()
    findings = snapshot.check_code(data)
    fiber = snapshot.loads(data)
    shop.log.clear()
    while fiber.status != "dead":
        answer = fiber.resume(1)
    told[path.stem] = [answer, list(shop.log), list(map(str, findings))]
print(json.dumps(told))
"""


def at(interpreter, program, *arguments, cwd):
    """What that interpreter prints."""
    paths = f"{cwd}:{interpreter.package}"
    return run(program, *arguments, cwd=cwd, python=interpreter.python, PYTHONPATH=paths)


@pytest.fixture(params=["there", "back"])
def ways(request):
    """Pairs of interpreters; a skip says that there is no other one."""
    if not others():
        pytest.skip("no other version of Python is here with the core built for it: make dev PYTHON=...")
    return [(this(), other) if request.param == "there" else (other, this()) for other in others()]


def test_a_program_goes_on_under_another_minor(tmp_path, ways):
    """At every call where it is suspended: loops, with blocks, half-built lists and calls, methods, generators that wait."""
    (tmp_path / "shop.py").write_text(SHOP)
    for number, (one, other) in enumerate(ways):
        folder = tmp_path / str(number)
        folder.mkdir()
        at(one, TAKE, folder, cwd=tmp_path)
        here, there = (json.loads(at(python, GO_ON, folder, cwd=tmp_path)) for python in (one, other))
        assert len(here) == 14
        assert there == here, f"{one} to {other}"
        assert [told[2] for told in there.values()] == [[]] * 14


def test_code_that_was_edited_on_the_way_is_moved_or_kept_as_well(tmp_path, ways):
    """Both maps are followed, the one to the other version and the one to the new code."""
    answers = {"refuse": "CodeChangedError", "keep": [24.5, []], "move": [24.5, ["new"]]}
    source = SIMPLE.replace("    return", "    log.append('new')\n    return")
    for one, other in ways:
        (tmp_path / "shop.py").write_text(SIMPLE)
        at(one, TAKE_ONE, tmp_path / "shop.bin", "reference", cwd=tmp_path)
        (tmp_path / "shop.py").write_text(source)
        told = json.loads(at(other, EDITED, tmp_path / "shop.bin", cwd=tmp_path))
        assert told == answers, f"{one} to {other}"


SIMPLE = """
from stackful import suspend
log = []
def start():
    total = 1
    for number in [10, 20]:
        total += suspend(number)
        total *= 2
    return total
"""

EDITED = """
import json, sys
from stackful import CodeChangedError, snapshot
told = {}
for policy in ("refuse", "keep", "move"):
    try:
        fiber = snapshot.loads(open(sys.argv[1], "rb").read(), on_change=policy)
    except CodeChangedError as error:
        told[policy] = type(error).__name__
    else:
        import shop
        shop.log.clear()
        fiber.resume(5)
        told[policy] = [fiber.resume(0.25), list(shop.log)]
print(json.dumps(told))
"""

REFUSED = """
from stackful import suspend
def ship(item):
    return suspend(item)
def start():
    return [ship(i) for i in range(2)]
"""

LOAD = """
import sys
from stackful import snapshot
data = open(sys.argv[1], "rb").read()
try:
    findings = list(map(str, snapshot.check_code(data)))
    snapshot.loads(data)
except snapshot.SnapshotError as error:
    print(type(error).__name__, error)
    assert str(error) in findings, findings
"""


@pytest.mark.parametrize("code", ["reference", "value"])
def test_what_does_not_map_is_refused_with_a_way_across(tmp_path, ways, code):
    """Comprehensions are functions in 3.11 and none later; bytecode that travels along is of one version."""
    (tmp_path / "shop.py").write_text(REFUSED)
    for one, other in ways:
        at(one, TAKE_ONE, tmp_path / "shop.bin", code, cwd=tmp_path)
        program = LOAD.replace("snapshot.SnapshotError", "Exception")
        if code == "value":
            program = program.replace("    assert findings", "    #")
        told = at(other, program, tmp_path / "shop.bin", cwd=tmp_path)
        assert told.startswith(
            f"SnapshotVersionError this snapshot was made by Python {one}, this is Python {other}, and"
        )
        assert f"let it run on under Python {one} until it saves again at a place that maps" in told
