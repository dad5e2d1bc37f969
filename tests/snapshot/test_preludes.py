"""What a pickle begins with: the names that the frames of its fiber refer to, written once for many states."""

import copy
import importlib
import pickle
import sys
import types

import pytest

from stackful import CodeChangedError, Fiber, _core, snapshot, suspend
from stackful.snapshot import preludes, scanning
from stackful.snapshot.format import unseal
from stackful.snapshot.pickler import SnapshotPickler
from stackful.snapshot.preludes import LOOPS

OFTEN = 4  # snapshots of one fiber: the prelude is written with the first


def ask(question):
    return question + suspend(question)


def ask_all(questions):
    answers = []
    for question in questions:
        answers.append(ask(question))
    return answers


def count(limit):
    total = 0
    for number in range(limit):
        total += suspend(number)
    return total


def down(depth):
    return suspend(depth) if not depth else 1 + down(depth - 1)


def keep(value):
    return value, suspend(0)


class Asker:
    def ask(self):
        return suspend("a method")


def under_names(*values):
    """What `_core.named` gives for them."""
    return tuple(term for value in values for term in (value, value.__module__, value.__qualname__))


@pytest.fixture(autouse=True)
def no_preludes(monkeypatch):
    """Each test begins as a process does."""
    monkeypatch.setattr(preludes, "_preludes", {})


def suspended(function, *args):
    fiber = Fiber(function, *args)
    fiber.resume()
    return fiber


def snapshots(value, **how):
    return [snapshot.dumps(value, **how) for _ in range(OFTEN)]


def has_prelude(data):
    """The words take 46 bytes, with `MARK` and `POP_MARK`; what comes next is taken from the stack again where it is a prelude."""
    body = unseal(data, None)
    return body.count(pickle.POP + pickle.PROTO) > 0


@pytest.mark.parametrize(
    ("function", "args", "answer", "result"),
    [
        (ask, ["why? "], "because", "why? because"),
        (ask_all, [["a", "b"]], "!", ["a!", "b!"]),
        (count, [3], 1, 3),
        (down, [30], 0, 30),
    ],
    ids=["one frame", "a loop over a list", "a loop over a range", "31 frames"],
)
def test_every_snapshot_of_a_fiber_goes_on_where_it_stands(function, args, answer, result):
    """The one that the prelude is written for, and those that find it."""
    fiber = suspended(function, *args)
    found = snapshots(fiber)
    assert all(map(has_prelude, found))
    for data in found:
        again = snapshot.loads(data)
        value = again.resume(answer)
        while again.status != "dead":
            value = again.resume(answer)
        assert value == result


def test_a_prelude_serves_all_fibers_that_stand_in_the_same_functions():
    """What differs between them stands behind it."""
    data = [snapshot.dumps((n, suspended(ask, f"{n}? "))) for n in range(OFTEN)]
    assert [has_prelude(one) for one in data][-1]
    assert [snapshot.loads(one)[1].resume("!") for one in data] == [f"{n}? !" for n in range(OFTEN)]


def test_every_snapshot_of_a_fiber_is_the_same_bytes(monkeypatch):
    """Each name is in it once, as without a prelude, which makes it hardly longer."""
    fiber = suspended(ask_all, ["x"])
    (data,) = set(snapshots(fiber))
    monkeypatch.setattr(SnapshotPickler, "_is_by_name", False)
    assert len(data) < len(snapshot.dumps(fiber)) + 48


def test_the_code_of_frames_is_checked_as_ever(monkeypatch):
    """A function that is another by the time of the load is refused by name."""
    for data in snapshots(suspended(ask, "why? ")):
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules[__name__], "ask", lambda question: suspend(question) * 2)
            with pytest.raises(CodeChangedError, match="ask"):
                snapshot.loads(data)


def test_references_to_code_are_the_same_with_a_prelude():
    """Whoever looks into a snapshot without loading it finds what it found before."""
    scans = [scanning.scan(unseal(data, None)) for data in snapshots(suspended(ask_all, ["x"]))]
    assert [{reference.qualname for reference in scan.references} for scan in scans] == [{"ask", "ask_all"}] * OFTEN
    assert [[standing.code.qualname for standing in scan.frames] for scan in scans] == [["ask", "ask_all"]] * OFTEN


def test_a_function_that_its_module_has_no_more_is_not_named(monkeypatch):
    """Whether its module gives it back is found out for each snapshot: another function must not take its place."""
    fiber = suspended(ask, "why? ")
    assert has_prelude(snapshots(fiber)[-1])
    monkeypatch.setattr(sys.modules[__name__], "ask", lambda question: "another")
    data = snapshot.dumps(fiber, code="reference")
    assert not has_prelude(data)
    assert (__name__, "ask") not in scanning.scan(unseal(data, None)).names
    monkeypatch.undo()
    assert snapshot.loads(data).resume("because") == "why? because"


def test_a_module_that_is_gone_names_nothing(monkeypatch):
    """As one that gives another function back."""
    fiber = suspended(ask, "why? ")
    snapshots(fiber)
    frames = _core.capture(fiber)[-1]
    assert _core.named(frames, LOOPS, set()) == under_names(ask)
    monkeypatch.delitem(sys.modules, __name__)
    assert _core.named(frames, LOOPS, set()) == ()


RENAMED = """
from stackful import suspend

def first(value):
    return value, suspend(0)

def second(value):
    return value
"""


def test_a_function_that_is_renamed_is_saved_by_its_new_name(monkeypatch, tmp_path):
    """What was written when it had another one, which means another function by now, is not its prelude any more."""
    tmp_path.joinpath("renamed_between.py").write_text(RENAMED)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("renamed_between")
    first, second = module.first, module.second
    fiber = suspended(first, first)
    snapshots(fiber)
    for function, name in ((first, "second"), (second, "first")):
        setattr(module, name, function)
        function.__qualname__ = name
    for data in snapshots(fiber):
        assert has_prelude(data)
        assert snapshot.loads(data).resume() == (first, None)
    monkeypatch.delitem(sys.modules, "renamed_between")


def test_code_that_a_function_was_given_is_not_that_of_its_frames(monkeypatch):
    """A frame that still runs what the function had before is saved with that."""
    fiber = suspended(ask, "why? ")
    snapshots(fiber)
    before = ask.__code__
    monkeypatch.setattr(ask, "__code__", keep.__code__)
    newer = suspended(ask, 1)
    data = snapshots(newer)
    monkeypatch.setattr(ask, "__code__", before)
    assert snapshot.loads(snapshot.dumps(fiber)).resume("because") == "why? because"
    assert all(scanning.scan(unseal(one, None)).all_frames for one in data)


def test_closures_are_saved_along_with_named_functions():
    """What no module gives back travels by value, and shares what it shared."""
    held = []

    def inner(question):
        held.append(question)
        return ask(question), held

    fiber = suspended(inner, "why? ")
    for data in snapshots((held, fiber)):
        log, again = snapshot.loads(data)
        assert again.resume("because") == ("why? because", ["why? "])
        assert again.result[1] is log


def test_methods_are_named_by_their_class():
    """A qualified name has several parts."""
    fiber = suspended(Asker().ask)
    found = snapshots(fiber)
    assert has_prelude(found[-1])
    assert [snapshot.loads(data).resume("!") for data in found] == ["!"] * OFTEN


def test_a_function_among_the_values_is_that_of_the_frame():
    """Sharing reaches into the prelude; and a copy of that function, which nobody can name, shares its code."""
    twin = types.FunctionType(keep.__code__, globals(), "twin")
    fiber = suspended(keep, [keep, twin])
    for data in snapshots(fiber):
        (itself, other), _ = snapshot.loads(data).resume()
        assert itself is keep
        assert other is not keep
        assert other.__code__ is keep.__code__


def test_a_script_that_is_there_names_its_functions(monkeypatch):
    """Those of a `__main__` are named where every process runs it anew; where it does not, they travel by value as ever."""
    script = types.ModuleType("__main__")
    text = "from stackful import suspend\ndef ask(question):\n    return question + suspend(question)\n"
    code = compile(text, "script.py", "exec")
    exec(code, vars(script))
    monkeypatch.setitem(sys.modules, "__main__", script)
    fiber = suspended(script.ask, "why? ")
    there, away = snapshot.Program(script, code, True), snapshot.Program(script, code)
    for how, names in (({"program": there}, True), ({}, False), ({"program": away}, False), ({"program": there}, True)):
        found = snapshots(fiber, **how)
        assert has_prelude(found[-1]) is names
        assert [snapshot.loads(data, **how).resume("!") for data in found] == ["why? !"] * OFTEN


def test_a_prelude_is_not_made_of_one_scripts_code_for_another(monkeypatch):
    """A module with the text of the script: its code is that of the script, as a script's snapshot refers to it, and no other's may."""
    text = "from stackful import suspend\ndef ask(question):\n    return question + suspend(question)\n"
    code = compile(text, "script.py", "exec")
    script, module = types.ModuleType("__main__"), types.ModuleType("the_same_text")
    for one in (script, module):
        exec(code, vars(one))
        monkeypatch.setitem(sys.modules, one.__name__, one)
    fiber = suspended(module.ask, "why? ")
    program = snapshot.Program(script, code, True)
    assert not has_prelude(snapshots(fiber, program=program)[-1])
    assert snapshot.loads(snapshot.dumps(fiber)).resume("!") == "why? !"


@pytest.mark.parametrize("how", [{"code": "value"}, {"blobs": snapshot.MemoryBlobs()}], ids=["by value", "with blobs"])
def test_what_is_saved_in_another_way_has_no_prelude(how):
    """Code by value names none; with blobs, sources are stored once for all states, which a prelude would have in each."""
    fiber = suspended(ask, "why? ")
    snapshots(fiber)
    found = [snapshot.dumps(fiber, **how) for _ in range(OFTEN)]
    load = {name: value for name, value in how.items() if name == "blobs"}
    assert [snapshot.loads(data, **load).resume("!") for data in found] == ["why? !"] * OFTEN


def test_copies_have_no_prelude():
    """They refer to what both have by its index."""
    fiber = suspended(ask_all, ["ab"])
    snapshots(fiber)
    assert copy.deepcopy(fiber).resume("!") == ["ab!"]
    assert fiber.resume("?") == ["ab?"]


def test_a_reconnector_is_asked_even_for_what_loops_have():
    """What the standard pickler knows best is its own only as long as nobody else wants it."""
    fiber = suspended(count, 2)
    snapshots(fiber)
    asked = []
    numbers = snapshot.reconnector(
        type(iter(range(0))), save=lambda it: asked.append(1) or 1, reopen=lambda left: iter(range(left))
    )
    try:
        data = snapshot.dumps(fiber)
        assert len(asked) == 1
        again = snapshot.loads(data)
        assert again.resume(5) == 0
        assert again.resume(6) == 11
    finally:
        numbers.remove()


def test_preludes_are_not_kept_without_end(monkeypatch):
    """As many as were said; then it is begun anew."""
    monkeypatch.setattr(preludes, "_MOST", 2)
    fibers = [suspended(function, *args) for function, args in ((ask, ["a"]), (count, [2]), (keep, [1]), (down, [2]))]
    for _ in range(3):
        for fiber in fibers:
            snapshots(fiber)
            assert len(preludes._preludes) <= 2


def test_named_trusts_nobody():
    """`_core.named` takes states of frames, and passes over what is none."""
    state = _core.capture(suspended(count, 2))[-1][0]
    assert _core.named([state], LOOPS, set()) == under_names(count, iter, range)
    assert _core.named([state], {}, frozenset()) == under_names(count)
    assert _core.named([state], LOOPS, {__name__}) == under_names(iter, range)
    assert _core.named([(), None, state[:-1], (None, *state[1:]), (*state[:-1], None)], LOOPS, set()) == ()
    assert _core.named([state], {type(state[5][0]): 7}, set()) == under_names(count)
    for wrong in (((state,), LOOPS, set()), ([state], [], set()), ([state], LOOPS, [])):
        with pytest.raises(TypeError):
            _core.named(*wrong)


def test_what_a_module_raises_is_raised(monkeypatch):
    """But that it has no such name, which is an answer."""

    class Odd(types.ModuleType):
        def __getattr__(self, name):
            raise self.error

    odd = Odd("odd")
    function = types.FunctionType(ask.__code__, {"__name__": "odd", "suspend": suspend}, "nobody")
    function.__module__ = "odd"
    function.__qualname__ = "nobody"
    monkeypatch.setitem(sys.modules, "odd", odd)
    fiber = suspended(function, "why? ")
    odd.error = AttributeError("no such name")
    assert _core.named(_core.capture(fiber)[-1], LOOPS, set()) == ()
    odd.error = ZeroDivisionError("asked")
    with pytest.raises(ZeroDivisionError, match="asked"):
        _core.named(_core.capture(fiber)[-1], LOOPS, set())


def test_reducing_trusts_nobody():
    """`_core.reducing` makes a method of what it is given, and that is called with a pickler and a value."""
    for wrong in (({}, set(), {}), ([], set(), {}, len), ({}, frozenset(), {}, len), ({}, set(), [], len)):
        with pytest.raises(TypeError):
            _core.reducing(*wrong)
    with pytest.raises(TypeError, match="a pickler and a value"):
        SnapshotPickler.reducer_override()

    class Odd(metaclass=type("Unhashable", (type,), {"__hash__": None})):
        pass

    with pytest.raises(TypeError, match="unhashable"):
        SnapshotPickler.reducer_override(None, Odd())
