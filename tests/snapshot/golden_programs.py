"""What the golden snapshots hold. Never changed: snapshots that exist refer to this code, and to these names. What is new is another program.

python tests/snapshot/golden_programs.py    writes golden/schema-N-python-3.M.snapshot, by the Stackful and the Python that run it
"""

import io
import sys
from pathlib import Path

from stackful import Fiber, effect, handle, perform, reset, shift, snapshot, suspend

KEY = b"the key of the golden snapshots."
FOLDER = Path(__file__).parent / "golden"

BY_VALUE = """
def scale(factor):
    def scaled(number):
        return number * factor
    return scaled
"""


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y


class ReadingError(Exception):
    pass


@effect
def ask(question: str) -> int: ...


def visit(tree, seen):
    """A recursion that stops in its depth, within a loop, a try and a with."""
    with io.StringIO() as text:
        for child in tree:
            try:
                if isinstance(child, tuple):
                    visit(child, seen)
                else:
                    seen.append(suspend(child))
            finally:
                text.write("x")
        seen.append(len(text.getvalue()))
    return seen


def adder():
    """Two functions that share a cell."""
    total = 0

    def add(number):
        nonlocal total
        total += number
        return total

    def told():
        return total

    return add, told


def counted(items):
    """A generator."""
    for number, item in enumerate(items):
        yield number, item


def failed():
    """An exception with a context and a note."""
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            raise ReadingError("line", 7)
    except ReadingError as error:
        error.add_note("noted")
        return error


def values():
    """All that is saved."""
    fiber = Fiber(visit, ((1, 2), (3,), 4), [])
    fiber.resume()
    add, told = adder()
    add(5)
    namespace = {"__name__": "a script"}
    exec(BY_VALUE, namespace)
    generator = counted(["a", "b", "c"])
    next(generator)
    mapping = {"one": 1, "two": [2]}
    captured = reset(lambda: shift(lambda k: [k]) + 1)[0]
    performed = handle(lambda: perform(ask, "?") + 1, ask.ctl(lambda k, question: [k, question]))
    return {
        "fiber": fiber,
        "functions": (add, told),
        "by value": namespace["scale"](3),
        "generator": generator,
        "view": (mapping, mapping.items()),
        "error": failed(),
        "captured": captured,
        "performed": performed,
        "point": Point(1, Point(2.5, "z")),
        "plain": [None, True, 2**70, -1.5, "text", b"bytes", {3, 4}, frozenset("a"), range(3), slice(1), ...],
        "names": (len, Path, snapshot, sys),
    }


def check(loaded):
    """Each comes back as it was, and goes on."""
    fiber = loaded["fiber"]
    assert [frame.code.co_name for frame in fiber.frames] == ["visit", "visit"]
    assert [fiber.resume(n) for n in (10, 20, 30)] == [2, 3, 4]
    assert fiber.resume(40) == [10, 20, 2, 30, 1, 40, 3]
    add, told = loaded["functions"]
    assert (told(), add(2), told()) == (5, 7, 7)
    assert loaded["by value"](7) == 21
    assert list(loaded["generator"]) == [(1, "b"), (2, "c")]
    mapping, view = loaded["view"]
    mapping["three"] = 3
    assert list(view) == [("one", 1), ("two", [2]), ("three", 3)]
    error = loaded["error"]
    assert (type(error), error.args, error.__notes__) == (ReadingError, ("line", 7), ["noted"])
    assert isinstance(error.__context__, ZeroDivisionError)
    assert loaded["captured"](6) == 7
    k, question = loaded["performed"]
    assert (k.resume(8), question) == (9, "?")
    assert (loaded["point"].x, loaded["point"].y.x, loaded["point"].y.y) == (1, 2.5, "z")
    assert loaded["plain"] == [
        None,
        True,
        2**70,
        -1.5,
        "text",
        b"bytes",
        {3, 4},
        frozenset("a"),
        range(3),
        slice(1),
        ...,
    ]
    assert loaded["names"] == (len, Path, snapshot, sys)


def main():
    import golden_programs  # by the name that the tests know it by, not as __main__

    FOLDER.mkdir(exist_ok=True)
    data = snapshot.dumps(golden_programs.values(), key=KEY, run="golden", sequence=7, compression="none")
    golden_programs.check(snapshot.loads(data, key=KEY))
    schema, python = (snapshot.header(data)[name] for name in ("schema", "python"))
    path = FOLDER / f"schema-{schema}-python-{python}.snapshot"
    path.write_bytes(data)
    print(path, len(data), "bytes")


if __name__ == "__main__":
    main()
