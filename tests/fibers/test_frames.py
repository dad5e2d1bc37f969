"""fiber.frames shows where a fiber stands; frame objects of suspended frames stay true."""

import gc
import sys

import pytest

from stackful import NULL, Fiber, Frame, _core, prompt, suspend


def inner(x):
    y = x + 1
    return [x, y, suspend()]


def outer(x):
    return inner(x) + [x]


def suspended(body, *arguments):
    fiber = Fiber(body, *arguments)
    fiber.resume()
    return fiber


def test_frames_stand_outermost_first():
    """The first frame is the fiber's function, the last has called suspend."""
    assert [frame.code.co_name for frame in suspended(outer, 1).frames] == ["outer", "inner"]


def test_no_frames_before_and_after():
    """A fiber that has not begun or has ended has no frames."""
    fiber = Fiber(outer, 1)
    assert fiber.frames == ()
    fiber.resume(), fiber.resume()
    assert fiber.frames == ()


def test_a_frame_shows_function_file_line_and_locals():
    """Each Frame is a plain record of where its function stands."""
    frame = suspended(outer, 1).frames[-1]
    assert isinstance(frame, Frame)
    assert (frame.function, frame.file, frame.line) == (inner, __file__, inner.__code__.co_firstlineno + 2)
    assert frame.locals == {"x": 1, "y": 2}


def test_the_evaluation_stack_is_shown():
    """What is waiting on the stack of a suspended frame is visible."""
    assert suspended(outer, 1).frames[-1].stack == (1, 2)


def test_unbound_locals_are_left_out():
    """Names without a value are not in locals."""

    def body():
        if suspend():
            later = 1
        return later

    assert suspended(body).frames[0].locals == {}


def test_cells_are_shown_by_their_contents():
    """Variables of closures appear with their values."""

    def body(a):
        b = 2
        suspend(lambda: (a, b))
        return a, b

    assert suspended(body, 1).frames[0].locals == {"a": 1, "b": 2}


def test_a_running_fiber_sees_its_own_frames():
    """Frames of a running fiber end at the frame that asks."""

    def middle():
        return [frame.code.co_name for frame in fiber.frames]

    fiber = Fiber(lambda: middle())
    assert fiber.resume()[:2] == ["<lambda>", "middle"]


def test_frames_of_a_normal_fiber_end_where_it_resumed_the_other():
    """A fiber that has resumed another shows only its own frames."""
    names = []

    def asks():
        names.extend(frame.code.co_name for frame in fiber.frames)

    def resumes():
        Fiber(asks).resume()

    fiber = Fiber(resumes)
    fiber.resume()
    assert names == ["resumes"]


def test_null_is_one_object():
    """The marker for NULL has a short repr and survives copying."""
    import copy

    assert repr(NULL) == "NULL"
    assert copy.copy(NULL) is copy.deepcopy(NULL) is NULL


def takes_its_frame(log):
    x = 1
    log.append(sys._getframe())
    x = suspend(x)
    return x


def test_a_frame_object_shows_the_suspended_frame():
    """sys._getframe() from before the suspension shows locals and line while it waits and after it went on."""
    log = []
    fiber = suspended(takes_its_frame, log)
    frame = log[0]
    first = takes_its_frame.__code__.co_firstlineno
    assert (frame.f_locals["x"], frame.f_lineno, frame.f_back) == (1, first + 3, None)
    fiber.resume(5)
    assert (frame.f_locals["x"], frame.f_lineno) == (5, first + 4)


@pytest.mark.parametrize("end", ["close", "drop", "end"])
def test_a_frame_object_outlives_its_fiber(end):
    """However the fiber ends, the frame object keeps its locals."""
    log = []
    fiber = suspended(takes_its_frame, log)
    fiber.close() if end == "close" else fiber.resume(1) if end == "end" else None
    del fiber
    gc.collect()
    assert log[0].f_locals["log"] is log
    log.clear()


def test_a_frame_object_of_a_copy_outlives_it():
    """A dropped copy leaves its frames to those who hold them."""
    import copy

    def body(log):
        suspend()
        log.append(sys._getframe())
        suspend()

    log = []
    twin = copy.copy(suspended(body, log))
    twin.resume()
    del twin
    assert log[0].f_locals["log"] is log
    log.clear()


def test_a_suspended_frame_object_cannot_be_cleared():
    """frame.clear() of a suspended frame is refused, as of a running one."""
    log = []
    fiber = suspended(takes_its_frame, log)
    with pytest.raises(RuntimeError, match="executing frame"):
        log[0].clear()
    assert fiber.resume(7) == 7
    log.clear()


def test_the_exception_that_a_fiber_handles_is_known():
    """The innermost one, also within a prompt; it is none as soon as its handler has ended."""

    def work():
        suspend()
        try:
            raise ValueError("outer")
        except ValueError:
            suspend()
            try:
                prompt(raising)
            finally:
                suspend()
        suspend()

    def raising():
        try:
            raise KeyError("inner")
        except KeyError:
            suspend()

    fiber = Fiber(work)
    found = [_core.handled(fiber)]
    while fiber.status != "dead":
        fiber.resume()
        found.append(_core.handled(fiber))
    assert list(map(repr, found)) == [
        "None",
        "None",
        *map(repr, [ValueError("outer"), KeyError("inner"), ValueError("outer")]),
        "None",
        "None",
    ]
    with pytest.raises(TypeError, match="expected a Fiber"):
        _core.handled(None)
