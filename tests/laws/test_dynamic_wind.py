"""The laws of dynamic_wind: R7RS 6.10, and Racket's headings."""

import copy
import sys
import threading

import pytest

from laws.operators import Log, call_cc, control, control0, effect, shift
from stackful import (
    Coroutine,
    Fiber,
    PromptNotFoundError,
    PromptTag,
    abort,
    call_ec,
    dynamic_wind,
    generator,
    handle,
    perform,
    prompt,
    run,
    suspend,
    transfer,
    yield_,
)

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


def test_a_post_thunk_that_raises_on_the_way_of_a_jump_runs_once():
    """Its extent has been left, though its frames are still there for the error to leave through."""
    log = Log()

    def post():
        log.append("post")
        raise KeyError("post")

    with pytest.raises(KeyError):
        run(lambda: call_cc(lambda out: log.wind("a", lambda: dynamic_wind(lambda: None, lambda: out("left"), post))))
    assert log == ["in a", "post", "out a"]


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


# Racket's heading "dynamic wind": jumps from one extent to another, into and out of pre and post thunks (prompt-tests.rktl)


def composed(thunk_of_k):
    """Racket's call-with-composable-continuation, by control: `thunk_of_k` is called where it is captured."""
    return control(lambda k: k(lambda: thunk_of_k(k)))()


def test_a_jump_from_one_extent_into_another():
    """Posts of what is left, innermost first; then pres of what is entered; extents beneath the prompt are untouched."""
    log = Log()

    def body():
        k = prompt(lambda: log.wind("a", lambda: call_cc(lambda k: k)))
        return prompt(lambda: log.wind("b", lambda: log.wind("c", lambda: call_cc(lambda j: k(j)))))

    j = log.wind("0", body)
    assert log == ["in 0", "in a", "out a", "in b", "in c", "out c", "out b", "in a", "out a", "out 0"]
    log.clear()
    assert prompt(lambda: j(8)) == 8
    assert log == ["in b", "in c", "out c", "out b"]
    log.clear()
    log.wind("4", lambda: log.wind("5", lambda: prompt(lambda: j(8))))
    assert log == ["in 4", "in 5", "in b", "in c", "out c", "out b", "out 5", "out 4"]


def test_extents_come_back_with_frames_that_another_prompt_delimits():
    """A continuation up to an outer prompt, captured within frames that were brought back: both extents are entered again."""
    p, log = PromptTag("p"), Log()

    def main():
        k = prompt(lambda: log.wind("a", lambda: call_cc(lambda k: lambda: k, p)()), p)
        log.clear()
        found = [prompt(lambda: k(lambda: [log.append("in k"), call_cc(lambda j: lambda: j)()][1]), p)]
        return found[0](lambda: [log.append("in j"), 10][1]) if callable(found[0]) else found

    assert run(main) == [10]
    assert log == ["in a", "in k", "out a", "in a", "in j", "out a"]


def test_extents_within_and_around_a_composed_continuation():
    """A capture leaves and a call enters what is within; what is around stays."""
    log = Log()
    k = prompt(lambda: log.wind("a", lambda: control(lambda k: k)()))
    log.clear()
    within = prompt(lambda: k(lambda: log.wind("b", lambda: control(lambda k: k)())))
    assert log == ["in a", "in b", "out b", "out a"]
    log.clear()
    assert within(lambda: 99) == 99
    assert log == ["in a", "in b", "out b", "out a"]
    log.clear()
    around = prompt(lambda: log.wind("c", lambda: k(lambda: control(lambda k: k)())))
    assert log == ["in c", "in a", "out a", "out c"]
    log.clear()
    assert around(lambda: 99) == 99
    assert log == ["in c", "in a", "out a", "out c"]


def test_a_jump_back_into_a_post_thunk():
    """Its extent is left already, and is neither entered nor left again; the rest of the thunk runs."""
    p, kept, log = PromptTag("p"), Log(), Log()

    def post():
        call_cc(kept.append, p)
        log.append("post")

    log.wind("a", lambda: prompt(lambda: dynamic_wind(lambda: log.append("pre"), lambda: None, post), p))
    assert log == ["in a", "pre", "post", "out a"]
    prompt(lambda: kept[0](10), p)
    assert log == ["in a", "pre", "post", "out a", "post"]


@pytest.mark.parametrize("way_out", ["by a result", "by an escape"])
def test_a_jump_into_a_post_thunk_and_out_again(way_out):
    """Twice: the way out is that of the first time, and what it leaves is left then."""
    p, kept, doors, log, count = PromptTag("p"), Log(), Log(), Log(), Log([0])

    def post():
        call_cc(lambda k: kept.append(k) if not kept else None, p)
        log.append("post")
        if way_out == "by a result":
            doors[0]("out")

    def thunk():
        return doors[0]("out") if way_out == "by an escape" else None

    def main():
        if call_cc(lambda k: [doors.append(k), "first"][1]) == "first":
            log.wind("a", lambda: prompt(lambda: dynamic_wind(lambda: log.append("pre"), thunk, post), p))
        count[0] += 1
        if count[0] < 3:
            prompt(lambda: kept[0](10), p)
        return count[0]

    assert run(main) == 3
    assert log == ["in a", "pre", "post", "out a", "post", "post"]


def test_an_escape_that_is_redirected_by_a_continuation():
    """A jump on its way, captured in a post thunk: its frames go on to the abort, and the prompt that is there now gets the value."""
    p, q, kept, log = PromptTag("p"), PromptTag("q"), Log(), Log()

    def post():
        call_cc(lambda k: kept.append(k) if not kept else None, p)
        log.append("inner")

    def inner():
        return prompt(lambda: dynamic_wind(lambda: None, lambda: abort(q, "done"), post), p)

    def outer():
        return dynamic_wind(lambda: None, inner, lambda: log.append("outer"))

    log.append(("first", prompt(outer, q)))
    log.append(("second", prompt(lambda: prompt(lambda: kept[0](10), p), q)))
    assert log == ["inner", "outer", ("first", "done"), "inner", ("second", "done")]


def test_a_continuation_captured_and_called_in_a_post_thunk():
    """It is the rest of the leaving: that is done once for each call."""
    log = Log()

    def post():
        log.append("post a")
        control(lambda k: [k(1), log.append("between"), k(2)])
        log.append("post b")

    prompt(lambda: log.wind("o", lambda: dynamic_wind(lambda: log.append("pre"), lambda: log.append("thunk"), post)))
    assert log == [
        "in o", "pre", "thunk", "post a", "out o", "in o", "post b", "out o", "between", "in o", "post b", "out o"
    ]  # fmt: skip


def test_a_continuation_captured_in_a_pre_thunk():
    """Called later, it goes on into the thunk and leaves by the post, within the extents of its caller."""
    log, kept = Log(), Log()

    def pre():
        log.append("pre")
        composed(lambda k: kept.append(k))

    prompt(lambda: dynamic_wind(pre, lambda: log.append("thunk"), lambda: log.append("post")))
    log.wind("a", lambda: kept[0](lambda: None))
    assert log == ["pre", "thunk", "post", "in a", "thunk", "post", "out a"]


def test_a_continuation_captured_in_a_pre_thunk_within_an_extent():
    """The extent around is entered with it and left after it; again when it is captured within a call of itself."""
    log, kept = Log(), Log()

    def pre():
        log.append("pre 1")
        composed(lambda k: kept.append(k))

    def body():
        return dynamic_wind(pre, lambda: log.append("thunk"), lambda: log.append("post 1"))

    prompt(lambda: log.wind("0", body))
    first, again = "in 0, pre 1, out 0, in 0, thunk, post 1, out 0", "in 0, thunk, post 1, out 0"
    assert ", ".join(log) == first
    log.clear()
    prompt(lambda: log.wind("2", lambda: kept[0](lambda: composed(lambda k: kept.append(k)))))
    assert ", ".join(log) == f"in 2, in 0, out 0, out 2, in 2, {again}, out 2"
    log.clear()
    prompt(lambda: log.wind("3", lambda: kept[1](lambda: None)))
    assert ", ".join(log) == f"in 3, in 2, {again}, out 2, out 3"


def test_a_jump_out_of_a_pre_thunk_on_the_way_in():
    """What was entered so far is left again; the thunk is not reached, and another call of the continuation begins anew."""
    log, kept, doors = Log(), Log(), Log()

    def pre():
        log.append("in b")
        for door in doors:
            door("turned away")

    def thunk():
        return call_cc(lambda k: [kept.append(k), "first"][1])

    def main():
        return log.wind("a", lambda: dynamic_wind(pre, thunk, lambda: log.append("out b")))

    assert run(main) == "first"
    log.clear()

    def again():
        return call_cc(lambda door: [doors.append(door), kept[0]("second")])

    assert run(again) == "turned away"
    assert log == ["in a", "in b", "out a"]
    doors.clear()
    assert run(lambda: kept[0]("second")) == "second"
    assert log == ["in a", "in b", "out a", "in a", "in b", "out b", "out a"]


def test_an_error_in_a_pre_thunk_on_the_way_in():
    """It leaves what was entered so far, and comes out of the prompt: the caller's frames are gone."""
    log, kept = Log(), Log()

    def pre():
        log.append("in b")
        if kept:
            raise KeyError("closed")

    def thunk():
        return call_cc(lambda k: [kept.append(k), "first"][1])

    run(lambda: log.wind("a", lambda: dynamic_wind(pre, thunk, lambda: log.append("out b"))))
    log.clear()
    with pytest.raises(KeyError, match="closed"):
        run(lambda: kept[0]("second"))
    assert log == ["in a", "in b", "out a"]


def test_a_post_thunk_that_captures_what_is_left_of_a_jump_may_call_it_twice():
    """The jump arrives twice, each time at the prompt that the call has made."""
    tag, log = PromptTag("out"), Log()

    def body(k):
        return dynamic_wind(lambda: None, lambda: k("there"), lambda: shift(lambda j: [j(None), j(None)], tag))

    def main():
        return prompt(lambda: log.append(call_cc(lambda k: body(k), tag)), tag)

    assert main() == [None, None]
    assert log == ["there", "there"]


def test_the_way_in_can_be_captured_by_a_pre_thunk():
    """What it takes is the rest of the arrival: called twice, it arrives twice, and enters anew what was entered."""
    log, kept = Log(), Log()

    def pre():
        log.append("in b")
        if kept:
            control(lambda j: [j(None), j(None)])

    def thunk():
        return call_cc(lambda k: [kept.append(k), "first"][1])

    run(lambda: log.wind("a", lambda: dynamic_wind(pre, thunk, lambda: log.append("out b"))))
    log.clear()
    assert run(lambda: kept[0]("second")) == ["second", "second"]
    assert log == ["in a", "in b", "out a", "in a", "out b", "out a", "in a", "out b", "out a"]


def test_an_abort_out_of_a_pre_thunk_on_the_way_in():
    """It leaves what was entered so far, innermost first, and the prompt has its value."""
    log, kept = Log(), Log()

    def pre():
        log.append("in b")
        if kept:
            abort(None, "aborted")

    def thunk():
        return call_cc(lambda k: [kept.append(k), "first"][1])

    run(lambda: log.wind("a", lambda: dynamic_wind(pre, thunk, lambda: log.append("out b"))))
    log.clear()
    assert run(lambda: kept[0]("second")) == "aborted"
    assert log == ["in a", "in b", "out a"]


def test_a_pre_thunk_may_remove_the_target_on_the_way_in():
    """The prompt that the jump came to goes, its frames stay: the value arrives all the same, and returns to whoever was outside."""
    tag, kept = PromptTag("goes away"), Log()

    def pre():
        if kept:
            control0(lambda rest: ["no prompt", rest(None)], tag)

    def body():
        return dynamic_wind(pre, lambda: call_cc(lambda k: [kept.append(k), "first"][1], tag), lambda: None)

    prompt(lambda: ["body", body()], tag)
    assert prompt(lambda: ["outer", prompt(lambda: kept[0]("second"), tag)], tag) == [
        "outer", ["no prompt", ["body", "second"]]
    ]  # fmt: skip


def test_a_fiber_may_suspend_on_the_way_in_and_on_the_way_out():
    """Pre and post thunks of a jump are calls like any other: the jump goes on when the fiber does."""
    log = Log()

    def body():
        k = dynamic_wind(
            lambda: log.append(suspend("in")), lambda: call_cc(lambda k: k), lambda: log.append(suspend("out"))
        )
        return k("second") if callable(k) else k

    fiber = Fiber(run, body)
    assert [fiber.resume(), *map(fiber.resume, "abcd")] == ["in", "out", "in", "out", "second"]
    assert log == [*"abcd"]


def test_a_post_thunk_that_raises_while_an_error_leaves():
    """As in a finally block: its error goes on, with the other one as context, and outer extents are left by it."""
    log = Log()

    def post():
        raise KeyError("post")

    with pytest.raises(KeyError) as caught:
        prompt(lambda: log.wind("a", lambda: dynamic_wind(lambda: None, lambda: [][1], post)))
    assert isinstance(caught.value.__context__, IndexError)
    assert log == ["in a", "out a"]


def test_a_continuation_called_by_an_except_block_leaves_by_its_posts_only():
    """The error was caught within the extent: the extent is left once, by the jump, and nothing is handled where it arrives."""
    log = Log()

    def body(out):
        try:
            return [][1]
        except IndexError:
            return out(None)

    def main():
        call_cc(lambda out: log.wind("a", lambda: body(out)))
        return sys.exc_info()[1]

    assert run(main) is None
    assert log == ["in a", "out a"]


def test_a_transfer_is_no_exit():
    """As suspension: who waits for a transfer back is still within."""
    log = Log()
    a = Coroutine(lambda: log.wind("a", lambda: transfer(b)))
    b = Coroutine(lambda: [log.append("b"), transfer(a, "back")])
    assert transfer(a) == "back"
    assert log == ["in a", "b", "out a"]
    b.close()


def test_a_yield_is_no_exit_and_close_is_one():
    """A generator's extents are left when its frames end."""
    log = Log()
    one = generator(lambda: log.wind("a", lambda: [yield_(1), yield_(2)]))()
    assert [next(one), next(one)] == [1, 2]
    assert log == ["in a"]
    one.close()
    assert log == ["in a", "out a"]


@pytest.mark.no_leakcheck("a resumption that a copy stands for is kept to the test's end")
@pytest.mark.parametrize("kind", ["once", "ctl"])
def test_an_operation_is_no_exit(kind):
    """What a clause gets is suspended, not left: the extent is left when the program ends, once for each time that it does."""
    log = Log()

    @effect
    def ask() -> int: ...

    def clause(k):
        log.append("clause")
        return [k.resume(1)] if kind == "once" else [k.resume(1), k.resume(2)]

    handled = getattr(ask, kind)(clause)
    assert handle(lambda: log.wind("a", lambda: perform(ask)), handled) == ([1] if kind == "once" else [1, 2])
    assert log == ["in a", "clause", "out a"] + (["out a"] if kind == "ctl" else [])


def test_extents_in_another_thread():
    """A continuation that goes on there enters and leaves its extents there."""
    log, kept, where = Log(), Log(), Log()

    def note():
        where.append(threading.get_ident())

    def body():
        return dynamic_wind(note, lambda: call_cc(lambda k: [kept.append(k), 1][1]), note)

    run(lambda: log.wind("a", body))
    thread = threading.Thread(target=lambda: log.append(run(lambda: kept[0](2))))
    thread.start()
    thread.join()
    assert log == ["in a", "out a", "in a", "out a", 2]
    assert where[:2] == [threading.get_ident()] * 2 and where[2] == where[3] != where[0]
