"""The laws of fibers on the stacks of others, by `resume` and `suspend_to`: a fiber's base is a prompt, and what lies between travels."""

import contextvars
import copy
import pickle
import sys

import pytest

from laws.operators import Log, call_cc, control, control0, effect, shift, travelled
from stackful import (
    BarrierError,
    Fiber,
    FiberError,
    FiberExit,
    PromptNotFoundError,
    PromptTag,
    abort,
    current,
    dynamic_wind,
    handle,
    is_suspendable,
    perform,
    prompt,
    resume,
    suspend,
    suspend_to,
    transfer,
)

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]

TAG = PromptTag("outer")
hosts = Log()  # what a guest finds here does not travel with it


def count_to(n):
    for i in range(n):
        suspend(i)
    return "end"


def test_it_is_resume_as_the_method_is():
    """Values, results and statuses are those of the method, in a fiber as well as outside."""

    def talk(first, *, last):
        got = suspend(first)
        return [got, suspend(last)]

    def drive():
        fiber = Fiber(talk, 1, last=2)
        seen = [fiber.status, resume(fiber), fiber.status, resume(fiber, "a"), resume(fiber, "b"), fiber.status]
        return [*seen, fiber.result]

    expected = ["suspended", 1, "suspended", 2, ["a", "b"], "dead", ["a", "b"]]
    assert drive() == expected
    assert Fiber(drive).resume() == expected


def test_who_is_current():
    """The guest is the current fiber, and running; its host is normal, as one that has resumed another."""

    def inner():
        return [current() is fiber, fiber.status, outer.status, is_suspendable()]

    fiber = Fiber(inner)

    def host():
        before = current()
        return [*resume(fiber), before is current() is outer]

    outer = Fiber(host)
    assert outer.resume() == [True, "running", "normal", True, True]


def test_suspend_goes_to_the_nearest_fiber():
    """Each `suspend` belongs to the innermost fiber, however many there are."""

    def nest(depth):
        if depth == 0:
            return suspend("innermost")
        fiber = Fiber(nest, depth - 1)
        got = resume(fiber)
        while fiber.status != "dead":
            got = resume(fiber, suspend((depth, got)))
        return got

    fiber = Fiber(nest, 3)
    assert fiber.resume() == (3, (2, (1, "innermost")))
    assert fiber.resume("answer") == "answer"


@pytest.mark.parametrize("depth", [1, 2, 5, 50])
def test_suspend_to_names_an_outer_one(depth):
    """A suspension may name a fiber any number of nested fibers further out; all of them go on where they were."""

    def nest(n):
        if n == 0:
            return suspend_to(outer, "out") + 1
        return resume(Fiber(nest, n - 1)) + 1

    outer = Fiber(nest, depth)
    assert outer.resume() == "out"
    assert outer.status == "suspended"
    outer = travelled(outer)
    assert outer.resume(10) == 10 + 1 + depth


def test_suspend_to_one_in_the_middle():
    """What is further out than the named fiber goes on: it gets the value."""

    def innermost():
        return [suspend_to(middle, "for outermost")]

    def between():
        return [resume(Fiber(innermost))]

    middle = Fiber(between)

    def outermost():
        return [resume(middle), middle.status, resume(middle, "x")]

    assert Fiber(outermost).resume() == ["for outermost", "suspended", [["x"]]]


def test_the_fibers_between_are_part_of_the_stack():
    """A guest whose frames were suspended with its host cannot be resumed, copied or closed: its host can."""

    def inner():
        return suspend_to(outer)

    guest = Fiber(inner)
    outer = Fiber(lambda: resume(guest))
    outer.resume()
    assert guest.status == "normal"
    for act in (guest.resume, guest.close, lambda: copy.copy(guest), lambda: guest.throw(KeyError)):
        with pytest.raises(FiberError, match="stack"):
            act()
    assert outer.resume(7) == 7
    assert guest.result == 7


def test_a_capture_reaches_through_nested_fibers():
    """A capture may name a prompt outside of the fiber; called twice, the frames in between run twice, with their own locals."""

    def inner():
        total = 1
        total += control(lambda k: [k(10), k(20)], TAG)
        return total

    def middle():
        before = "m"
        return before, resume(Fiber(inner))

    assert Fiber(lambda: prompt(lambda: resume(Fiber(middle)), TAG)).resume() == [("m", 11), ("m", 21)]


def test_a_fiber_that_is_captured_is_suspended_by_each_shot():
    """A guest holds what was suspended last: each shot goes on with its own frames where one follows the other."""

    def inner(log):
        shot = control(lambda k: [k(1), k(2)], TAG)
        for i in range(3):
            log.append((shot, suspend(i)))
        return shot

    def drive(log):
        fiber = Fiber(inner, log)
        seen = ()
        while fiber.status != "dead":
            seen = (*seen, resume(fiber))
        return seen

    log = Log()
    result = Fiber(lambda: prompt(lambda: drive(log), TAG)).resume()
    assert result == [(0, 1, 2, 1), (0, 1, 2, 2)]
    assert log == [(1, None)] * 3 + [(2, None)] * 3


def test_the_base_is_a_prompt():
    """A capture may name a fiber that runs on another's stack: its frames up to the base are taken, and it is over without them."""

    def inner():
        return 1 + control(lambda k: [k(1), k(2)], current())

    def drive():
        fiber = Fiber(inner)
        return resume(fiber), fiber.status

    assert Fiber(drive).resume() == ([2, 3], "dead")


def test_captures_end_at_a_prompt_inside():
    """A prompt inside of the guest is nearer: its captures leave the guest where it is."""

    def inner():
        got = prompt(lambda: 1 + shift(lambda k: k(k(1))))
        return suspend(got)

    def drive():
        fiber = Fiber(inner)
        return [resume(fiber), resume(fiber, "end"), fiber.status]

    assert Fiber(drive).resume() == [3, "end", "dead"]


def test_levels_travel_with_a_guest():
    """A guest that suspends within prompts keeps them, and its captures reach them when it goes on."""

    def inner():
        return prompt(lambda: [suspend("in"), control(lambda k: [k(1), k(2)])])

    def drive():
        fiber = Fiber(inner)
        return resume(fiber), resume(fiber, "x")

    assert Fiber(drive).resume() == ("in", [["x", 1], ["x", 2]])
    fiber = Fiber(inner)
    assert Fiber(lambda: resume(fiber)).resume() == "in"
    fiber = travelled(fiber)
    assert fiber.resume("y") == [["y", 1], ["y", 2]]


def test_hard_and_soft_alternate():
    """A fiber may be resumed by the method and by the function in turn, on any stack."""
    fiber = Fiber(count_to, 4)
    seen = [fiber.resume(), resume(fiber), Fiber(lambda: resume(fiber)).resume()]
    assert [*seen, fiber.resume(), fiber.resume()] == [0, 1, 2, 3, "end"]


def test_errors_leave_through_resume():
    """An exception ends the guest and leaves through `resume`, with one traceback of both."""

    def inner():
        suspend()
        raise KeyError("inside")

    def drive():
        fiber = Fiber(inner)
        resume(fiber)
        try:
            resume(fiber)
        except KeyError as error:
            names = []
            traceback = error.__traceback__
            while traceback is not None:
                names.append(traceback.tb_frame.f_code.co_name)
                traceback = traceback.tb_next
            return fiber.status, names[0], names[-1]

    assert Fiber(drive).resume() == ("dead", "drive", "inner")


def test_an_error_is_raised_at_the_suspension():
    """``resume(fiber, error=...)`` is the method `throw`; before the first line too."""

    def inner():
        try:
            suspend("ready")
        except KeyError as error:
            return error.args

    def drive():
        fiber, fresh = Fiber(inner), Fiber(inner)
        seen = [resume(fiber), resume(fiber, error=KeyError("thrown"))]
        try:
            resume(fresh, error=ValueError("early"))
        except ValueError:
            seen.append(fresh.status)
        return seen

    assert Fiber(drive).resume() == ["ready", ("thrown",), "dead"]


def test_what_is_handled_stays_with_the_frames():
    """Frames that suspend within an ``except`` still handle that exception when they go on, and their resumer does not."""

    def inner():
        try:
            raise KeyError("mine")
        except KeyError:
            suspend()
            return sys.exc_info()[0]

    def drive():
        fiber = Fiber(inner)
        resume(fiber)
        here = sys.exc_info()[0]
        try:
            raise ValueError
        except ValueError:
            return here, resume(fiber), sys.exc_info()[0]

    assert Fiber(drive).resume() == (None, KeyError, ValueError)


def test_f_back_is_the_resumer():
    """The frames of a guest have been called by those that resumed it."""

    def inner():
        suspend()
        frame, names = sys._getframe(), []
        while frame is not None and len(names) < 3:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        return names

    def first(fiber):
        return resume(fiber)

    def second(fiber):
        return resume(fiber)

    def drive():
        fiber = Fiber(inner)
        first(fiber)
        return second(fiber)

    assert [name for name in Fiber(drive).resume() if name != "resume"] == ["inner", "second", "drive"][:3]


def test_handlers_outside_answer_inside():
    """An operation performed in a guest is answered by the handlers around `resume`, the captured guest goes on with it."""

    @effect
    def ask(question: str) -> int: ...

    def inner():
        return 10 * perform(ask, "?") + perform(ask, "!")

    def middle():
        return resume(Fiber(inner))

    def program():
        return handle(
            lambda: resume(Fiber(middle)), ask.ctl(lambda k, q: [*k.resume(1), *k.resume(2)]), returns=lambda v: [v]
        )

    assert Fiber(program).resume() == [11, 12, 21, 22]


def test_winders_are_crossed_when_a_guest_is_captured():
    """A capture that leaves a guest leaves the extents in it, and each reinstatement enters them."""
    log = Log()

    def inner():
        return log.wind("w", lambda: control(lambda k: [k(1), k(2)], TAG))

    assert Fiber(lambda: prompt(lambda: resume(Fiber(inner)), TAG)).resume() == [1, 2]
    assert log == ["in w", "out w"] * 3


def test_abort_passes_nested_fibers():
    """An abort to a prompt outside ends the guests in between, whose finally blocks run."""
    log = Log()

    def inner():
        try:
            abort(TAG, "out")
        finally:
            log.append("finally")

    guest = Fiber(inner)
    assert Fiber(lambda: prompt(lambda: resume(guest), TAG)).resume() == "out"
    assert log == ["finally"]
    assert guest.status == "dead"


def test_call_cc_jumps_out_of_and_back_into_a_guest():
    """A full continuation captured in a guest can be invoked after the guest is dead, and goes on in it."""

    def inner(seen):
        k = call_cc(lambda k: k, TAG)
        seen.append(current() is not None)
        return k

    def main(seen):
        fiber = Fiber(inner, seen)
        k = resume(fiber)
        return len(seen) if len(seen) == 3 else k(k)

    seen = Log()
    assert Fiber(lambda: prompt(lambda: main(seen), TAG)).resume() == 3
    assert seen == [True] * 3


def test_closing_the_outer_one_closes_all():
    """FiberExit is raised where the innermost guest waits, and passes through all of them, once."""
    log = Log()

    def nest(n):
        try:
            return suspend_to(outer) if n == 0 else resume(Fiber(nest, n - 1))
        except FiberExit:
            log.append(f"exit {n}")
            raise
        finally:
            log.append(n)

    outer = Fiber(nest, 2)
    outer.resume()
    outer.close()
    assert log == ["exit 0", 0, "exit 1", 1, "exit 2", 2]


def test_the_method_stands_in_between():
    """Across `fiber.resume`, which is C code, nothing is captured: the error says so, and what to do."""

    def inner():
        with pytest.raises(PromptNotFoundError, match=r"stackful\.resume"):
            suspend_to(outer)
        with pytest.raises(PromptNotFoundError, match=r"stackful\.resume"):
            control(lambda k: k, TAG)
        with pytest.raises(PromptNotFoundError, match="does not run this code"):
            suspend_to(Fiber(inner))
        return "done"

    outer = Fiber(lambda: prompt(lambda: Fiber(inner).resume(), TAG))
    assert outer.resume() == "done"


def test_c_code_in_between_is_a_barrier():
    """Where C code of the guest stands in between, `suspend` and `suspend_to` raise, and nothing has changed."""

    def inner():
        for leave in (lambda: suspend(), lambda: suspend_to(outer)):
            with pytest.raises(BarrierError, match="max"):
                max([1], key=lambda _: leave())
        return suspend("plain")

    def drive():
        fiber = Fiber(inner)
        return [resume(fiber), resume(fiber, "end")]

    outer = Fiber(drive)
    assert outer.resume() == ["plain", "end"]


def test_behind_c_code_it_is_the_method():
    """In a callback of C code `resume` still runs the fiber, as the method would."""

    def drive():
        fiber = Fiber(count_to, 2)
        return [*map(lambda _: resume(fiber), range(3))]

    assert Fiber(drive).resume() == [0, 1, "end"]


def test_misuse_is_refused():
    """A running fiber, a dead one, a first value, and what is no fiber at all: errors that leave all as it was."""

    def drive():
        fiber = Fiber(count_to, 1)
        with pytest.raises(FiberError, match="first"):
            resume(fiber, "too early")
        with pytest.raises(FiberError, match="it is running"):
            resume(current())
        with pytest.raises(TypeError, match="expected a fiber"):
            resume(7)
        with pytest.raises(TypeError, match="expected an exception"):
            resume(fiber, None, 7)
        with pytest.raises(TypeError, match="expected a fiber"):
            suspend_to(7)
        seen = [resume(fiber), resume(fiber)]
        with pytest.raises(FiberError, match="dead"):
            resume(fiber)
        return seen

    assert Fiber(drive).resume() == [0, "end"]


def test_a_guest_resumes_its_host():
    """A guest cannot resume the fiber that it is on top of, nor itself."""

    def inner():
        for fiber in (outer, guest):
            with pytest.raises(FiberError, match="cannot resume"):
                resume(fiber)
        return "refused"

    guest = Fiber(inner)
    outer = Fiber(lambda: resume(guest))
    assert outer.resume() == "refused"


def test_constant_c_stack():
    """Fibers nest far deeper than the C stack would allow: only frames are piled up."""

    def nest(n):
        return resume(Fiber(nest, n - 1)) + 1 if n else suspend_to(outer, "bottom")

    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(50_000)
    try:
        outer = Fiber(nest, 3_000)
        assert outer.resume() == "bottom"
        assert outer.resume(0) == 3_000
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.no_leakcheck("pickle fills caches of CPython with names")
def test_a_nested_program_as_bytes():
    """A stack of several fibers is pickled as a whole, and its fibers are the restored frames' own."""

    def inner():
        got = suspend_to(box[0], "out")
        return [got, suspend("again")]

    def middle():
        fiber = Fiber(inner)
        return [resume(fiber), fiber.status, resume(fiber, "b"), fiber.status]

    box = [Fiber(middle)]
    assert box[0].resume() == "out"
    outer = pickle.loads(pickle.dumps(box[0]))
    expected = ["again", "suspended", ["a", "b"], "dead"]
    assert outer.resume("a") == expected
    assert box[0].resume("a") == expected


@pytest.mark.no_leakcheck("pickle fills caches of CPython with names")
def test_a_guest_alone_is_not_saved():
    """A guest holds no frames of its own while its host is suspended: saved without the host it would be lost, and is refused."""

    def inner(find):
        return suspend_to(find())

    guest = Fiber(inner, hosts.pop)
    outer = Fiber(lambda: resume(guest))
    hosts.append(outer)
    outer.resume()
    for save in (pickle.dumps, copy.deepcopy):
        with pytest.raises(FiberError, match="cannot be saved by itself"):
            save(guest)
    assert "cannot be saved by itself" in guest.why_not_portable()
    assert outer.why_not_portable() is None
    assert outer.resume(1) == 1


def test_barriers_of_the_host_do_not_matter_inside():
    """Behind C code a fiber that is resumed there can be host to others."""

    def drive():
        fiber = Fiber(count_to, 2)
        return [resume(fiber), resume(fiber), resume(fiber)]

    assert Fiber(lambda: max([1], key=lambda _: 0) and [Fiber(drive).resume()]).resume() == [[0, 1, "end"]]


def test_control0_takes_the_base_along():
    """`control0` at the base of a guest takes the prompt along: its caller goes on outside of the guest."""

    def inner():
        return "inner", control0(lambda k: ["outside", k(1)], current())

    assert Fiber(lambda: resume(Fiber(inner))).resume() == ["outside", ("inner", 1)]


def test_winders_of_a_guest_are_its_own():
    """What is wound in a guest is not left by its `suspend`, and is left by an escape."""
    log = Log()

    def inner():
        return dynamic_wind(lambda: log.append("in"), lambda: suspend("s"), lambda: log.append("out"))

    def drive():
        fiber = Fiber(inner)
        log.append(resume(fiber))
        return resume(fiber, "end")

    assert Fiber(drive).resume() == "end"
    assert log == ["in", "s", "out"]


def test_a_transfer_takes_the_place_of_the_guest():
    """Whoever was resumed by `resume` transfers to another: that one runs on the host's stack, and its result goes to the host."""

    def drive():
        first, second = Fiber(lambda: [transfer(second), "again"]), Fiber(lambda: transfer(first, "from second"))
        seen = [resume(first), first.status, second.status]
        return [*seen, resume(second, "late")]

    expected = [["from second", "again"], "dead", "suspended", "late"]
    assert drive() == expected
    assert Fiber(drive).resume() == expected


def test_an_exception_of_the_one_transferred_to_comes_to_the_host():
    """It leaves where the host resumed the other one, which waits for its turn."""

    def fail():
        raise KeyError("out")

    def drive():
        waiting = Fiber(lambda: transfer(Fiber(fail)))
        with pytest.raises(KeyError, match="out"):
            resume(waiting)
        return waiting.status, resume(waiting, "later")

    assert drive() == ("suspended", "later")
    assert Fiber(drive).resume() == ("suspended", "later")


def test_transferring_hosts_frames_travel():
    """After a transfer nothing of C stands between: an outer capture takes host and guest along, to be resumed twice."""

    def drive():
        second = Fiber(lambda: [shift(lambda k: [k(1), k(2)])])
        first = Fiber(lambda: transfer(second))
        return ["got", *resume(first)]

    assert prompt(lambda: Fiber(lambda: prompt(drive)).resume()) == [["got", 1], ["got", 2]]


def test_what_cannot_take_the_place_says_so():
    """A fiber with a context of its own takes a resume of its own: FiberError, and nothing has happened."""

    def drive():
        other = Fiber(lambda: "never")
        other.context = contextvars.copy_context()
        first = Fiber(lambda: transfer(other))
        with pytest.raises(FiberError, match="cannot take the place"):
            resume(first)
        return other.status

    assert Fiber(drive).resume() == "suspended"
