"""The laws of dynamic_wind: R7RS 6.10, and Racket's headings."""

import copy

import pytest

from laws.operators import Log, call_cc, control, control0, shift
from stackful import Fiber, PromptNotFoundError, PromptTag, abort, call_ec, dynamic_wind, prompt, run, suspend

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_pre_thunk_post_in_order():
    """And the result is the thunk's, outside of any fiber too."""
    log = Log()
    assert log.wind("a", lambda: [log.append("thunk"), 5][1]) == 5
    assert log == ["in a", "thunk", "out a"]


def test_an_exception_leaves():
    """Post runs."""
    log = Log()
    with pytest.raises(KeyError):
        log.wind("a", lambda: {}["missing"])
    assert log == ["in a", "out a"]


@pytest.mark.parametrize("leave", [lambda: abort(None, 1), lambda: call_cc(lambda k: None)])
def test_leaving_by_abort(leave):
    """Posts run innermost first, once."""
    log = Log()
    prompt(lambda: log.wind("a", lambda: log.wind("b", leave)))
    assert log == ["in a", "in b", "out b", "out a"]


def test_r7rs_connect_talk_disconnect():
    """R7RS: (connect talk1 disconnect connect talk2 disconnect)."""

    def main():
        path, c = Log(), [None]

        def add(s):
            path.append(s)

        def thunk():
            add(call_cc(lambda c0: [c.__setitem__(0, c0), "talk1"][1]))

        dynamic_wind(lambda: add("connect"), thunk, lambda: add("disconnect"))
        if len(path) < 4:
            return c[0]("talk2")
        return path

    assert run(main) == ["connect", "talk1", "disconnect", "connect", "talk2", "disconnect"]


def test_escaping_by_a_continuation_runs_posts_innermost_first():
    """Jumping out of two extents."""
    log = Log()

    def main():
        return call_cc(lambda out: log.wind("a", lambda: log.wind("b", lambda: out("left"))))

    assert run(main) == "left"
    assert log == ["in a", "in b", "out b", "out a"]


def test_jumping_in_runs_pres_outermost_first():
    """Coming back into two extents."""
    log = Log()

    def main():
        holder = []
        value = log.wind("a", lambda: log.wind("b", lambda: call_cc(lambda k: [holder.append(k), "first"][1])))
        if value == "first":
            log.append("jump")
            holder[0]("second")
        return value

    assert run(main) == "second"
    assert log == ["in a", "in b", "out b", "out a", "jump", "in a", "in b", "out b", "out a"]


def test_what_both_are_in_is_neither_left_nor_entered():
    """A jump within an extent leaves only what differs."""
    log = Log()

    def body():
        holder = []
        value = log.wind("b", lambda: call_cc(lambda k: [holder.append(k), 1][1]))
        return log.wind("c", lambda: holder[0](2)) if value == 1 else value

    assert run(lambda: log.wind("a", body)) == 2
    assert log == ["in a", "in b", "out b", "in c", "out c", "in b", "out b", "out a"]


def test_a_jump_within_one_extent_runs_nothing():
    """Loops by call_cc inside of a dynamic_wind."""
    log = Log()

    def loop():
        state = [0]
        k = call_cc(lambda k: k)
        state[0] += 1
        return state[0] if state[0] == 5 else k(k)

    assert run(lambda: log.wind("a", loop)) == 5
    assert log == ["in a", "out a"]


@pytest.mark.parametrize("capture", [control, shift])
def test_composable_continuations_leave_and_enter(capture):
    """A capture leaves the extents that it takes away; each call of k enters and leaves them."""
    log = Log()
    k = prompt(lambda: log.wind("a", lambda: log.wind("b", lambda: capture(lambda k: k))))
    assert log == ["in a", "in b", "out b", "out a"]
    log.clear()
    assert [k(1), k(2)] == [1, 2]
    assert log == ["in a", "in b", "out b", "out a"] * 2


def test_composable_continuations_compose_within_extents():
    """K is called within another extent: that one is neither left nor entered."""
    log = Log()
    k = prompt(lambda: [log.wind("a", lambda: shift(lambda k: k))])
    log.clear()
    assert prompt(lambda: log.wind("b", lambda: k(k(1)))) == [[1]]
    assert log == ["in b", "in a", "out a", "in a", "out a", "out b"]


def test_captures_within_a_called_continuation_see_its_winders():
    """What was captured within extents is captured within them again."""
    log = Log()
    k = prompt(lambda: log.wind("a", lambda: [shift(lambda k: k), shift(lambda k: k)]))
    log.clear()
    j = k(1)
    assert log == ["in a", "out a"]
    assert j(2) == [1, 2]
    assert log == ["in a", "out a"] * 2


def test_levels_with_other_tags_are_left_as_well():
    """Extents in several levels, innermost first."""
    log, outer, inner = Log(), PromptTag("outer"), PromptTag("inner")

    def body():
        return log.wind("a", lambda: prompt(lambda: log.wind("b", lambda: control(lambda k: k, outer)), inner))

    k = prompt(body, outer)
    assert log == ["in a", "in b", "out b", "out a"]
    log.clear()
    assert k("x") == "x"
    assert log == ["in a", "in b", "out b", "out a"]


def test_suspension_is_no_exit():
    """A fiber that suspends and goes on has not left."""
    log = Log()
    fiber = Fiber(lambda: log.wind("a", lambda: suspend("s")))
    fiber.resume()
    assert log == ["in a"]
    assert fiber.resume(1) == 1
    assert log == ["in a", "out a"]


def test_closing_a_fiber_leaves():
    """As finally blocks do."""
    log = Log()
    fiber = Fiber(lambda: log.wind("a", lambda: suspend("s")))
    fiber.resume()
    fiber.close()
    assert log == ["in a", "out a"]


def test_jumping_out_of_a_pre_thunk():
    """The extent was not entered: its post does not run."""
    log = Log()

    def main():
        return call_cc(
            lambda out: dynamic_wind(lambda: out("left"), lambda: log.append("thunk"), lambda: log.append("post"))
        )

    assert run(main) == "left"
    assert log == []


def test_jumping_out_of_a_post_thunk():
    """The extent has been left: its post does not run again."""
    log = Log()

    def main():
        def post():
            log.append("post")
            out("left")

        out = call_cc(lambda k: k)
        if out == "left":
            return "left"
        return dynamic_wind(lambda: None, lambda: "thunk", post)

    assert run(main) == "left"
    assert log == ["post"]


def test_a_post_thunk_that_escapes_ends_the_jump():
    """On the way of a jump, a post that jumps elsewhere wins; the outer posts run on that way."""
    log = Log()

    def main():
        def body(first):
            def post():
                log.append("post")
                call_cc(lambda _: second("second"))

            return dynamic_wind(lambda: None, lambda: first("first"), post)

        second = call_cc(lambda k: k)
        if second == "second":
            return "second"
        return call_cc(lambda first: log.wind("outer", lambda: body(first)))

    assert run(main) == "second"
    assert log == ["in outer", "post", "out outer"]


def test_an_error_in_a_post_thunk_comes_from_the_jump():
    """The jump is over, and the error is raised where it was asked for."""

    def main():
        def post():
            if not failed:
                failed.append(1)
                raise KeyError("post")

        failed = []
        try:
            return call_cc(lambda out: dynamic_wind(lambda: None, lambda: out("left"), post))
        except KeyError as error:
            return repr(error)

    assert run(main) == "KeyError('post')"


def test_post_may_remove_the_target():
    """A post thunk that takes the prompt of the jump away: the jump is looked at again, and refused."""
    tag = PromptTag("goes away")
    log = Log()

    def inner(k):
        def post():
            if not log:
                log.append("post")
                control0(lambda rest: rest(None), tag)  # the same frames, without their prompt

        return dynamic_wind(lambda: None, lambda: k("target"), post)

    def body():
        try:
            return call_cc(inner, tag)
        except PromptNotFoundError:
            return "target is gone"

    assert prompt(body, tag) == "target is gone"


def test_call_ec_runs_posts():
    """Escapes leave extents as exceptions do."""
    log = Log()
    assert call_ec(lambda out: log.wind("a", lambda: out("left"))) == "left"
    assert log == ["in a", "out a"]


def test_winders_of_a_copied_fiber_are_its_own():
    """Both leave, each once."""
    log = Log()
    fiber = Fiber(lambda: prompt(lambda: log.wind("a", lambda: [suspend(), call_cc(lambda k: k(1))])))
    fiber.resume()
    twin = copy.copy(fiber)
    assert fiber.resume("x") == ["x", 1]
    assert twin.resume("y") == ["y", 1]
    assert log == ["in a", "out a", "out a"]
