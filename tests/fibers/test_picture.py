"""`picture`: stacks as text for people."""

import copy
import pickle

import pytest

from stackful import (
    Coroutine,
    Fiber,
    call_cc,
    effect,
    generator,
    handle,
    perform,
    picture,
    prompt,
    reset,
    run,
    shift,
    suspend,
    yield_,
)

pytestmark = pytest.mark.three_ways


def lines_of(*stacks):
    """The picture, whatever its width, and without the numbers of lines."""
    text = picture(*stacks)
    for filling in " ─═":
        while filling * 2 in text:
            text = text.replace(filling * 2, filling)
    return [without_number(line) for line in text.splitlines()]


def without_number(line):
    """Its second words are functions, with a comma."""
    words = line.split(" ")
    for place in range(len(words) - 1, 0, -1):
        if words[place - 1].endswith(",") and words[place].rstrip(":").isdigit() and words[max(place - 2, 0)] == "│":
            words[place - 1] = words[place - 1].rstrip(",") + words.pop(place).lstrip("0123456789")
    return " ".join(words)


def inner(x):
    suspend()


def outer(name, items):
    for _ in items:
        inner(5)


@effect
def ask() -> int: ...


def test_frames_stand_on_each_other_innermost_on_top():
    """Function, line and variables of each."""
    fiber = Fiber(outer, "a", [1])
    fiber.resume()
    assert lines_of(fiber) == [
        "Fiber outer: suspended",
        "┌─┐",
        "│ inner: x = 5 │",
        "├─┤",
        "│ outer: name = 'a', items = [1], _ = 1 │",
        "└─┘",
    ]


def test_a_fiber_without_frames_says_why():
    """Not begun, or dead."""
    fiber = Fiber(int)
    assert lines_of(fiber) == ["Fiber int: not begun", "(no frames)"]
    fiber.resume()
    assert lines_of(fiber) == ["Fiber int: dead", "(no frames)"]


def test_stacks_stand_side_by_side_on_one_floor():
    """The lower one begins further down."""
    one, other = generator(lambda: yield_())(), Coroutine(outer, "a", [1])
    next(one)
    other.resume()
    assert lines_of(one, other) == [
        " Coroutine outer: suspended",
        " ┌─┐",
        "Generator <lambda>: suspended │ inner: x = 5 │",
        "┌─┐ ├─┤",
        "│ <lambda> │ │ outer: name = 'a', items = [1], _ = 1 │",
        "└─┘ └─┘",
    ]


def test_prompts_are_marks():
    """A frame of Stackful's own is shown as one, or left out."""
    fiber = Fiber(lambda: prompt(lambda: inner(1)))
    fiber.resume()
    assert [line.strip("╞╡═ ") for line in lines_of(fiber) if "═" in line] == ["prompt"]
    assert "operate" not in picture(fiber)


def test_a_running_stack_is_that_of_the_caller():
    """Without arguments; a fiber's frames stand on those of who resumed it."""
    title, _, first, _, second, *_ = Fiber(named).resume().splitlines()
    assert title == "running"
    assert first.startswith("│ named, ")
    assert second.startswith("│ test_a_running_stack_is_that_of_the_caller, ")


def named():
    return picture()


@pytest.mark.no_leakcheck("the pickler fills caches of CPython with names")
def test_continuations_show_what_they_have_captured():
    """A continuation given to a function, its owner, copies and what came out of a pickle show the same."""
    k = reset(lambda: str(shift(lambda k: k)))
    assert [frame.code.co_name for frame in k.__self__.frames] == ["<lambda>", "shift"]
    assert lines_of(k) == lines_of(k.__self__) == lines_of(copy.copy(k)) == lines_of(pickle.loads(pickle.dumps(k)))
    assert lines_of(k)[:2] == ["ComposableContinuation", "╞═ shift ═╡"]
    k = run(lambda: call_cc(lambda k: k))
    assert lines_of(k)[:2] == ["Continuation", "╞═ call_cc ═╡"]


def outer_of(value):
    return suspend(value)


NESTED = [1, (2, [3, (4,)])]
VALUES = [
    ([*range(100)], "[0, 1, 2, 3, …]"),
    (NESTED, "[1, (2, [3, (…)])]"),
    ({"key": {1}}, "{'key': {1}}"),
    ((1,), "(1,)"),
    ("x" * 30, f"'{'x' * 16}'…"),
    (1 << 100000, "<int>"),
    (None, "None"),
    (int, "int"),
    ([].append, "append"),
]


def test_resumptions_show_the_program():
    """Up to the handler."""

    def program():
        answer = "none yet"
        answer = perform(ask)
        return answer

    k = handle(program, ask.ctl(lambda k: k))
    assert any("program: answer = 'none yet'" in line for line in lines_of(k))


def test_values_are_short_and_have_no_addresses():
    """What does not fit is left out."""

    def body(function, thing, long, text):
        suspend()

    fiber = Fiber(body, print, Fiber(int), [*range(100)], "x" * 100)
    fiber.resume()
    assert lines_of(fiber)[2] == "│ body: function = print, thing = <Fiber> │"
    for value, shown in VALUES:
        fiber = Fiber(outer_of, value)
        fiber.resume()
        assert lines_of(fiber)[2] == f"│ outer_of: value = {shown} │"


def test_what_has_no_frames_is_no_stack():
    """An ordinary function is not."""
    with pytest.raises(TypeError, match="picture takes fibers"):
        picture(inner)
