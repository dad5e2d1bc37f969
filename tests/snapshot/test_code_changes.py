"""A program is suspended in one process; its file is edited; another process goes on: right, or refused by name, for each policy."""

import sys

import pytest
from edits import go_on, run, take

from stackful import Fiber, snapshot, suspend, tail
from stackful.snapshot.following import POLICIES

pytestmark = pytest.mark.no_leakcheck("the programs run in other processes")

SHOP = """
from stackful import suspend
log = []
def charge(amount):
    log.append(["charge", amount])
    return amount
def ship(item, to):
    answer = suspend(item)
    log.append(["ship", item, to, answer])
    return answer
class Till:
    def open(self, item):
        total = 0
        total += charge(5)
        done = ship(item, "me")
        total += done
        return total
def start():
    till, total = Till(), 0
    for item in ["pen", "ink"]:
        total += till.open(item)
    log.append(["total", total])
    return total
"""
WHOLE = [["ship", "pen", "me", 0], ["charge", 5], ["ship", "ink", "me", 1], ["total", 11]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The folder of a program that waits in ``ship``, in ``Till.open``, in ``start``."""
    folder = tmp_path_factory.mktemp("shop")
    take(folder, SHOP)
    return folder


def edited(*changes):
    """The program with some texts replaced."""
    text = SHOP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def log_of(told):
    """What was done; a failed assertion shows the error instead."""
    assert told.what == "ran", told.answer
    assert told.findings == []
    return told.log


def refusal_of(told):
    """The text that refuses; the same has been found without loading."""
    assert told.what == "CodeChangedError", told
    assert any(told.answer == finding for finding in told.findings)
    return told.answer


@pytest.mark.parametrize(
    "change",
    [
        ("        total += charge(5)\n", "        # a remark\n\n        total += charge(5)  # another\n"),
        ("def ship(", "UNUSED = 1\n\n\ndef unused():\n    pass\n\n\ndef ship("),
        ("class Till:", "class Other:\n    pass\nclass Till:"),
        ("to):", 'to="nobody"):'),
    ],
    ids=["comments and blank lines", "a function before it", "a class before it", "a default value"],
)
def test_what_is_no_change_of_the_code_is_none(shop, change):
    """Whatever the policy is, the program goes on as if nothing had happened; arguments were bound when the call was made."""
    told = go_on(shop, edited(change))
    assert [log_of(told[policy]) for policy in told] == [WHOLE] * 3


def test_an_edit_is_refused_and_shown(shop):
    """The error has the function, its place, what changed, both ways out, and the lines."""
    told = go_on(shop, edited(("charge(5)", "charge(6)")))["refuse"]
    text = refusal_of(told)
    assert 'the code of "Till.open" (' in text
    what = "constants" if sys.version_info < (3, 14) else "bytecode"  # which has small numbers in it
    assert f"shop.py:12) has changed since the snapshot: {what}; go back" in text
    assert 'on_change="keep"' in text
    assert 'or "move"' in text
    assert text.endswith(told.log)  # here: the diff
    assert [line for line in told.log.splitlines()[2:] if line[0] != " "][1:] == [
        "-        total += charge(5)",
        "+        total += charge(6)",
    ]


@pytest.mark.parametrize(
    "change, moved",
    [
        (("charge(5)", "charge(6)"), [WHOLE[0], ["charge", 6], WHOLE[2], ["total", 12]]),
        (("        total += charge", '        log.append("new")\n        total += charge'), [WHOLE[0], "new", *WHOLE[1:]]),
        (
            ("        total += done", '        log.append("new")\n        total += done'),
            [WHOLE[0], "new", *WHOLE[1:3], "new", WHOLE[3]],
        ),
        (("done", "finished"), WHOLE),
        (("        total += charge(5)\n", ""), [WHOLE[0], WHOLE[2], ["total", 6]]),
        (
            (
                '        done = ship(item, "me")\n',
                '        try:\n            done = ship(item, "me")\n        finally:\n            log.append("end")\n',
            ),
            [WHOLE[0], "end", *WHOLE[1:3], "end", WHOLE[3]],
        ),
        (("def open(self, item)", "def open(self, item, more=None)"), WHOLE),
        (("        total += till", "        item = item.upper()\n        total += till"), [*WHOLE[:2], ["ship", "INK", "me", 1], WHOLE[3]]),
        (('    log.append(["ship", item', '    log.append(["SHIP", item'), [["SHIP", "pen", "me", 0], WHOLE[1], ["SHIP", "ink", "me", 1], WHOLE[3]]),
    ],
    ids=[
        "a constant",
        "a step before",
        "a step behind",
        "a renamed local",
        "a step removed before",
        "a try around",
        "the signature",
        "the body of the loop around",
        "the function that waits",
    ],
)  # fmt: skip
def test_a_position_is_moved_to_the_new_code(shop, change, moved):
    """Without being told to, it is refused; kept code does in the suspended frames what it did, and new frames run the new code."""
    told = go_on(shop, edited(change))
    assert "has changed since the snapshot" in refusal_of(told["refuse"])
    assert log_of(told["move"]) == moved
    assert log_of(told["keep"])[0] == WHOLE[0]


@pytest.mark.parametrize(
    "changes, why",
    [
        ([('ship(item, "me")', 'ship("me", item)')], "(line 15) is not in the new code"),
        (
            [('        total += charge(5)\n        done = ship(item, "me")', '        done = ship(item, "me")\n        total += charge(5)')],
            "line 15 would be repeated",
        ),
        (
            [('        done = ship(item, "me")\n        total += done', '        total += done\n        done = ship(item, "me")')],
            "line 15 would be skipped",
        ),
        ([('        done = ship(item, "me")', '        if item:\n            done = ship(item, "me")')], "stands in other blocks now"),
        (
            [('        done = ship(item, "me")', '        with open("/dev/null"):\n            done = ship(item, "me")')],
            "stands in other blocks now",
        ),
        ([('        done = ship(item, "me")', '        done = ship(item, "me")\n        done = ship(item, "me")')], "could be more than one"),
        ([('["pen", "ink"]', '["pen", "ink", "red"]')], "the block around its position, is another now"),
        ([("total = 0\n        ", ""), ("total += done", "done += 1"), ("total += charge(5)", "charge(5)")], 'reads "total" as a global, and it was'),
        ([("    return answer", "    yield answer")], "a function of another kind now: a generator"),
        ([("total = 0\n", "total = 0\n        tax = 1\n"), ("total += done", "total += done + tax")], 'read "tax", which has no value'),
    ],
    ids=[
        "arguments swapped",
        "a step moved behind",
        "a step moved before",
        "an if around",
        "a with around",
        "the line twice",
        "the loop around",
        "a local that is a global",
        "a generator",
        "a local that earlier lines set",
    ],
)  # fmt: skip
def test_where_going_on_might_be_wrong_moving_is_refused(shop, changes, why):
    """By name, with the reason; the code as it was goes on all the same."""
    told = go_on(shop, edited(*changes))
    assert why in refusal_of(told["move"])
    assert told["keep"].findings == []


def test_what_is_called_later_is_what_has_the_name_then(shop):
    """No frame stands in it: so a changed function is no change to the frames, and the new one is called, with every policy."""
    told = go_on(shop, edited(('["charge", amount]', '["CHARGE", amount]')))
    wanted = [WHOLE[0], ["CHARGE", 5], *WHOLE[2:]]
    assert [log_of(told[policy]) for policy in told] == [wanted] * 3


def test_a_function_that_is_gone_is_named(shop):
    """Renamed: the error asks whether it is the other one. What kept code calls must be there, too."""
    told = go_on(shop, edited(("ship(", "send(")))
    for policy in ("refuse", "move"):
        assert 'a frame of "ship"' in refusal_of(told[policy])
        assert "is no longer there (is it send() now?)" in refusal_of(told[policy])
    assert 'its code as it was needs "ship", which the module has not got any more' in refusal_of(told["keep"])


def test_a_function_that_is_gone_can_be_kept_to_its_end(shop):
    """Where nobody calls it again by name."""
    gone = edited(("def open(self, item):", "def open_it(self, item):"), ("till.open", "till.open_it"))
    told = go_on(shop, gone)
    assert 'a frame of "Till.open"' in refusal_of(told["refuse"])
    broken = edited(("def start():", "def begin():"))
    assert log_of(go_on(shop, broken)["keep"]) == WHOLE


def test_a_decorator_does_not_lend_its_globals(shop):
    """Frames keep to the globals of their own module when the name means a wrapper from another one now."""
    (shop / "wrappers.py").write_text(
        "import functools\n"
        "log = ['not this one']\n"
        "def wrapped(f):\n"
        "    @functools.wraps(f)\n"
        "    def call(*arguments): return f(*arguments)\n"
        "    return call\n"
    )
    told = go_on(
        shop,
        edited(
            ("def ship(", "import wrappers\n@wrappers.wrapped\ndef ship("),
            ("def start", "@wrappers.wrapped\ndef start"),
        ),
    )
    assert [log_of(told[policy]) for policy in told] == [WHOLE] * 3


def test_a_module_that_does_not_compile_any_more_is_named(shop):
    """The snapshot is as good as before; the error is about the module."""
    told = go_on(shop, edited(("def start():", "def start(:")))
    for policy in told:
        assert "of module shop, which cannot be imported: " in told[policy].findings[0]
        assert told[policy].what == "CodeChangedError"


def test_code_by_value_asks_for_no_module(tmp_path):
    """The snapshot goes on with the code that it has brought, even where the module has nothing of it any more."""
    take(tmp_path, SHOP, "value")
    told = go_on(
        tmp_path, edited(('log.append(["ship"', 'log.append(["SHIP"'), ("charge(5)", "charge(7)"), ("start", "begin"))
    )
    wanted = [WHOLE[0], ["charge", 7], ["SHIP", "ink", "me", 1], ["total", 13]]
    assert [log_of(told[policy]) for policy in told] == [wanted] * 3


LABELLED = """
from stackful import suspend
log = []
def ship(item, to):
    answer = suspend(item)  # label: answered
    log.append([item, to, answer])
    return answer
def start():
    done = ship("pen", "me")  # label: shipping
    return done
"""


def test_a_label_says_which_statement_it_is(tmp_path):
    """What is different in the labelled statement beside the call is not done again; the call must be one of the same function."""
    take(tmp_path, LABELLED)
    swapped = LABELLED.replace('done = ship("pen", "me")', 'log.append(1); done = 10 + ship("me", "pen")')
    swapped = swapped.replace("answer = suspend(item)", "answer = suspend((item, to))")
    told = go_on(tmp_path, swapped.replace("10 + ", ""))
    assert log_of(told["move"]) == [["pen", "me", 0]]
    assert "something else lies on the evaluation stack" in refusal_of(go_on(tmp_path, swapped)["move"])
    other = LABELLED.replace('ship("pen", "me")  #', 'print("pen", "me")  #')
    assert "does not have exactly one call of the same function" in refusal_of(go_on(tmp_path, other)["move"])


NESTED = """
from stackful import suspend
log = []
def start():
    count, seen = 10, []
    def note(what):
        seen.append([what, count])
        answer = suspend(what)
        log.append([what, answer, count])
        return count
    twice = lambda x: (note(x), note(x))
    def numbers():
        for i in range(3):
            yield i * count
    waiting = numbers()
    next(waiting)
    note("one")
    twice("two")
    log.append(list(waiting))
    return [x + count for x in range(2)]
"""
NESTED_LOG = [["one", 0, 10], ["two", 1, 10], ["two", 2, 10], [10, 20]]


@pytest.mark.parametrize(
    "change, moved, why",
    [
        (("suspend(what)", "suspend(what * 2)"), None, "(line 8) is not in the new code"),
        (("        return count", "        log.append(7)\n        return count"), [NESTED_LOG[0], 7, NESTED_LOG[1], 7, NESTED_LOG[2], 7, NESTED_LOG[3]], None),
        (("(note(x), note(x))", "(note(x),)"), None, '"start.<locals>.<lambda>"'),
        (("yield i * count", "yield i * count\n            log.append(i)"), [*NESTED_LOG[:3], 0, 1, 2, NESTED_LOG[3]], None),
        (("[x + count for", "[x - count for"), NESTED_LOG, None),
        (("def note(what)", "def note(what, more=1)"), None, "its parameters are others now"),
        (("seen.append([what, count])", "seen.append([what])"), NESTED_LOG, None),
        (('    note("one")', '    count = 11\n    note("one")'), NESTED_LOG, None),
    ],
    ids=[
        "the line that waits",
        "a nested function",
        "a lambda",
        "a generator that waits",
        "a comprehension",
        "the signature of a nested function",
        "what a nested function closes over",
        "a variable that is shared",
    ],
)  # fmt: skip
def test_functions_in_functions(tmp_path, change, moved, why):
    """Function objects that exist get their new code where that is surely theirs; so do generators. Refused first, in any case."""
    take(tmp_path, NESTED)
    old, new = change
    assert old in NESTED
    told = go_on(tmp_path, NESTED.replace(old, new))
    assert "has changed since the snapshot" in refusal_of(told["refuse"])
    assert log_of(told["keep"]) == NESTED_LOG
    if moved is None:
        assert why in refusal_of(told["move"])
    else:
        assert log_of(told["move"]) == moved


FAILS = """
from stackful import suspend
def start():
    suspend()
    raise ValueError("as it was")
"""

SHOW = """
import sys, traceback
from stackful import snapshot
fiber = snapshot.loads(open(sys.argv[1], "rb").read(), on_change="keep")
try:
    fiber.resume()
except ValueError:
    traceback.print_exc(file=sys.stdout)
"""


def test_tracebacks_show_the_lines_that_run(tmp_path):
    """Kept code has the lines that it had, and a file name that says so."""
    data = take(tmp_path, FAILS)
    (tmp_path / "shop.py").write_text(
        FAILS.replace("def start", "def other():\n    pass\n\n\ndef start").replace("was", "is")
    )
    shown = run(SHOW, data, cwd=tmp_path)
    assert (
        f'File "{tmp_path}/shop.py (as in the snapshot)", line 5, in start\n    raise ValueError("as it was")' in shown
    )


def waits():
    return suspend("waiting")


def test_frames_of_stackful_itself_go_on_as_they_were(monkeypatch):
    """An upgrade of Stackful is no change of the program: what its functions were travels along, and is kept under every policy."""
    fiber = Fiber(tail.trampolined(waits))
    fiber.resume()
    data = snapshot.dumps(fiber)
    assert "_bounce" in [frame.code.co_name for frame in fiber.frames]
    monkeypatch.setattr(tail._bounce, "__code__", (lambda function, args, kwargs: "upgraded").__code__)
    assert [snapshot.loads(data, on_change=policy).resume("went on") for policy in POLICIES] == ["went on"] * 3
