"""Transfers at a call that has been suspended at before, to one that waits: they do not leave the interpreter loop, and nobody can tell."""

import copy
import gc
import inspect
import sys
import threading
import weakref

import pytest

from stackful import Coroutine, Fiber, FiberError, current, prompt, reset, shift, suspend, transfer

pytestmark = [pytest.mark.three_ways, pytest.mark.leakcheck]


def hand_over(other, values, log):
    """Transfer each value, always at the same call."""
    for value in values:
        log.append(transfer(other[0], value))
    return log


def echo(other):
    value = None
    while True:
        value = transfer(other[0], value)


def pair(values, other=echo):
    """A coroutine that transfers `values` to another one, and that one; each knows the other by a list."""
    log, there, back = [], [], []
    one = Coroutine(hand_over, there, values, log)
    two = Coroutine(other, back)
    there.append(two)
    back.append(one)
    return one, two, log


def test_values_go_to_and_fro():
    """What is transferred is what the other's transfer returns, as often as one likes."""
    one, two, log = pair([None, *range(1, 50)])
    assert transfer(one) == [None, *range(1, 50)]
    assert log == [None, *range(1, 50)]
    assert (one.status, two.status) == ("dead", "suspended")
    two.close()


def test_the_result_goes_to_whoever_began():
    """The one that ends is not the one that was resumed: its result comes out all the same."""

    def end_after(back):
        for _ in range(5):
            transfer(back[0], "again")
        return "over"

    one, two, log = pair([None] * 100, end_after)
    assert transfer(one) == "over"
    assert log == ["again"] * 5
    assert (one.status, two.status) == ("suspended", "dead")
    one.close()


def test_an_exception_comes_out():
    """And its traceback shows the frames of the one that raised, not of the one that had been resumed."""

    def fail(back):
        for _ in range(5):
            transfer(back[0])
        raise KeyError("enough")

    one, two, _ = pair([None] * 100, fail)
    with pytest.raises(KeyError, match="enough") as caught:
        transfer(one)
    names = [entry.name for entry in caught.traceback]
    assert names[-1] == "fail"
    assert "hand_over" not in names
    assert two.status == "dead"
    one.close()


def test_a_suspension_comes_out_and_the_exchange_goes_on():
    """Either can be resumed afterwards."""

    def stop(back):
        value = None
        while True:
            for _ in range(5):
                value = transfer(back[0], value)
            value = suspend(("stopped", value))

    one, two, log = pair([None, *range(20)], stop)
    assert transfer(one) == ("stopped", 4)
    assert (one.status, two.status) == ("suspended", "suspended")
    assert two.resume("on") == ("stopped", 9)
    assert log[-5:] == ["on", 5, 6, 7, 8]
    one.close()
    two.close()


def test_the_stack_is_that_of_the_one_that_runs():
    """f_back leads from its innermost frame through its own frames to whoever began."""
    seen = []

    def look(back):
        def deeper():
            for _ in range(5):
                seen.append([info.function for info in inspect.stack()])
                transfer(back[0])

        deeper()

    one, two, _ = pair([None] * 100, look)
    here = inspect.stack()[0].function
    transfer(one)
    for stack in seen:
        names = [name for name in stack if not name.startswith("<")]
        assert names[:2] == ["deeper", "look"]
        assert names[2] in {here, "transfer"}
        assert "hand_over" not in names
    one.close()


def test_frames_that_return_after_a_switch_return_within_their_own_stack():
    """The outer frames of the one that was switched to get its results, however deep."""

    def dig(depth, back):
        if depth:
            return 1 + dig(depth - 1, back)
        for _ in range(5):
            transfer(back[0])
        return 0

    one, two, _ = pair([None] * 100, lambda back: dig(200, back))
    two_is_done = transfer(one)
    assert two_is_done == 200
    one.close()


def test_an_exception_handled_in_one_is_not_seen_in_the_other():
    """sys.exception belongs to the stack that handles it."""
    seen = []

    def handle(back):
        try:
            raise ValueError("mine")
        except ValueError as error:
            for _ in range(5):
                transfer(back[0])
                assert sys.exc_info()[1] is error

    def watch(there):
        for _ in range(6):
            transfer(there[0])
            seen.append(sys.exc_info()[1])

    there, back = [], []
    one, two = Coroutine(watch, there), Coroutine(handle, back)
    there.append(two)
    back.append(one)
    transfer(one)
    assert seen == [None] * 5
    one.close()


def test_current_and_status():
    """The one that was switched to runs; the other is suspended, and can be copied meanwhile."""
    copies = []

    def check(back):
        for _ in range(5):
            assert current() is two
            assert back[0].status == "suspended"
            copies.append(copy.copy(back[0]))
            transfer(back[0])

    one, two, _ = pair([None] * 100, check)
    assert transfer(one) is None
    assert [made.status for made in copies] == ["suspended"] * 5
    one.close()


def test_the_one_that_began_can_be_resumed_by_the_other():
    """It merely waits, though it was resumed from outside and that call has not returned."""

    def resume_it(back):
        got = []
        for _ in range(5):
            got.append(transfer(back[0], None))
        got.append(back[0].resume("by resume"))
        return got

    def mixed(there):
        got = None
        for _ in range(6):
            got = transfer(there[0], got)
        return ("mixed", got)

    there, back = [], []
    one, two = Coroutine(mixed, there), Coroutine(resume_it, back)
    there.append(two)
    back.append(one)
    # The sixth transfer of `mixed` would go to `two`, which then waits for the fiber that it has resumed.
    assert transfer(one)[-1] == ("mixed", "by resume")
    assert (one.status, two.status) == ("dead", "dead")


def test_nobody_else_holds_the_one_that_is_left():
    """It is dropped, and closed, as after every transfer."""
    closed = []

    def leave(number):
        try:
            for _ in range(number):
                transfer(home)
        finally:
            closed.append(number)

    def go():
        for number in (1, 5):
            leaving = Coroutine(leave, 10)
            for _ in range(number):
                transfer(leaving)
            watch = weakref.ref(leaving)
            del leaving
            gc.collect()
            assert watch() is None

    home = Coroutine(go)
    transfer(home)
    assert closed == [10, 10]


def test_a_chain_of_ones_that_only_the_next_one_holds():
    """A coroutine that lets go of itself by transferring away, at a call that has been suspended at before."""
    closed = []

    def last_words(step, home):
        try:
            while True:
                step(home)
        finally:
            closed.append(True)

    def go():
        for _ in range(5):
            made = [Coroutine(last_words, transfer, home)]
            transfer(made[0])
            transfer(made[0])
            transfer(made.pop())
        return "done"

    home = Coroutine(go)
    assert transfer(home) == "done"
    gc.collect()
    assert len(closed) == 5


def test_the_recursion_limit_is_that_of_the_one_that_runs():
    """Of a shallow one that goes on after a deep one, all the depth is left; a deep one that has no room is refused."""

    def recurse(depth):
        return 0 if depth == 0 else 1 + recurse(depth - 1)

    def deep(depth):
        if depth:
            return deep(depth - 1)
        while True:
            transfer(one)
            with pytest.raises(RecursionError):
                recurse(850)

    def shallow():
        outcomes = []
        for step in range(8):
            if step == 4:
                outcomes.append(recurse(850))
                sys.setrecursionlimit(outside + 250)
            try:
                transfer(two)
            except RecursionError as error:
                outcomes.append("no room" in str(error))
            finally:
                sys.setrecursionlimit(outside + 1000)
        return outcomes

    limit = sys.getrecursionlimit()
    outside = len(inspect.stack())
    one, two = Coroutine(shallow), Coroutine(deep, 300)
    sys.setrecursionlimit(outside + 1000)
    try:
        assert transfer(one) == [850, True]
    finally:
        sys.setrecursionlimit(limit)
    two.close()


def end_by(back, ending):
    """Transfer a few times, then come out in one of three ways, and once more."""
    for _ in range(5):
        transfer(back[0])
    if ending == "raise":
        raise KeyError(ending)
    if ending == "suspend":
        suspend(ending)
        for _ in range(5):
            transfer(back[0])
    return ending


@pytest.mark.parametrize("ending", ["return", "raise", "suspend"])
def test_whoever_comes_out_was_not_resumed(ending):
    """`resume` of one returns, or raises, what the other comes to; then each is as if it alone had been resumed."""
    back = []

    def resumed():
        suspend()
        while True:
            transfer(two)

    one, two = Coroutine(resumed), Coroutine(end_by, back, ending)
    back.append(one)
    one.resume()
    if ending == "raise":
        with pytest.raises(KeyError, match="raise"):
            one.resume()
    else:
        assert one.resume() == ending
    assert (one.status, two.status) == ("suspended", "suspended" if ending == "suspend" else "dead")
    if ending == "suspend":
        assert two.resume() == "suspend"
    assert one.status == "suspended"
    one.close()


def test_what_is_handled_outside_is_seen_inside():
    """An exception that is handled around the exchange: the one around this exchange, not an earlier one."""
    seen = []

    def look(back):
        while True:
            for _ in range(5):
                seen.append(sys.exc_info()[1])
                transfer(back[0])
            suspend()

    def begin(error, again):
        try:
            raise error
        except ValueError:
            again()
            del again

    def hand():
        while True:
            transfer(two)

    back = []
    one, two = Coroutine(hand), Coroutine(look, back)
    back.append(one)
    errors = [ValueError(number) for number in range(4)]
    begin(errors[0], lambda: transfer(one))
    for error in errors[1:]:
        around = Fiber(begin, error, one.resume)
        around.resume()
        del around
        gc.collect()
    assert [type(error) for error in seen] == [ValueError] * len(seen)
    assert {seen.index(error) // 5 for error in errors if error in seen} == {0, 1, 2, 3}
    one.close()
    two.close()


def test_what_a_profiler_raises_at_the_return_of_transfer():
    """It belongs to the one that has called `transfer`."""
    got = []
    returns = []

    def profile(frame, event, argument):
        if frame.f_code is transfer.__code__ and event == "return":
            returns.append(True)
            if len(returns) == 3:
                raise LookupError("from the profiler")

    def body():
        for step in range(12):
            if step == 4:
                sys.setprofile(profile)
            try:
                transfer(two)
            except LookupError as error:
                got.append((step, str(error)))

    back = []
    one, two = Coroutine(body), Coroutine(echo, back)
    back.append(one)
    try:
        transfer(one)
    finally:
        sys.setprofile(None)
    two.close()
    assert got == [(5, "from the profiler")]


def test_errors_are_transferred_at_the_same_call():
    """An error instead of a value is raised in the other one, which may handle it and go on."""

    def handle(back):
        got = []
        while len(got) < 6:
            try:
                got.append(transfer(back[0]))
            except KeyError as error:
                got.append(str(error))
        return got

    def send(there):
        for error in (None, None, None, KeyError("a"), None, KeyError("b"), None, None):
            transfer(there[0], None, error)

    there, back = [], []
    one, two = Coroutine(send, there), Coroutine(handle, back)
    there.append(two)
    back.append(one)
    assert transfer(one) == [None, None, "'a'", None, "'b'", None]
    one.close()


def test_misuse_at_the_same_call():
    """Dead ones, no fibers and oneself are told apart at each transfer anew."""

    def body():
        got = []
        waiting = Coroutine(echo, [home])
        for other in (waiting, waiting, waiting, 5, dead, home, waiting, None):
            try:
                got.append(transfer(other, 1))
            except (TypeError, FiberError) as error:
                got.append(type(error).__name__)
        waiting.close()
        return got

    dead = Coroutine(int)
    dead.resume()
    home = Coroutine(body)
    assert transfer(home) == [
        "FiberError",
        "FiberError",
        "FiberError",
        "TypeError",
        "FiberError",
        1,
        "FiberError",
        "TypeError",
    ]


def test_in_a_prompt_of_the_one_that_is_switched_to():
    """Its levels are its own: they end with their results, and can be captured."""

    def with_prompts(back):
        def inner():
            for _ in range(5):
                transfer(back[0])
            return shift(lambda k: k(k(1))) + 1

        return reset(inner) + prompt(lambda: 10)

    one, two, _ = pair([None] * 100, with_prompts)
    assert transfer(one) == 13
    one.close()


def test_plain_fibers():
    """A fiber that waits at `suspend` goes on in the same way; what it suspends with goes to whoever began."""

    def plain():
        got = []
        for _ in range(10):
            got.append(transfer(home))
        return suspend(got)

    def go():
        fiber = Fiber(plain)
        transfer(fiber)
        for number in range(100):
            transfer(fiber, number)

    home = Coroutine(go)
    assert transfer(home) == list(range(10))
    home.close()


def test_each_thread_has_its_own_exchange():
    """Pairs in several threads do not meet."""
    results = []

    def exchange(number):
        one, two, _ = pair([None, *range(number)])
        results.append(transfer(one) == [None, *range(number)])
        two.close()

    threads = [threading.Thread(target=exchange, args=(500 + number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_the_one_that_was_left_is_captured_as_it_waits():
    """Its frames are those of the function that transferred, and nothing of what runs now."""
    seen = []

    def look(back):
        for _ in range(5):
            seen.append([frame.code.co_name for frame in back[0].frames])
            transfer(back[0])

    one, two, _ = pair([None] * 100, look)
    transfer(one)
    assert seen == [["hand_over"]] * 5
    one.close()


def test_a_tracer_that_comes_and_goes():
    """Tracing that begins in the middle sees the calls and returns of `transfer` in both, in pairs."""
    events = []

    def profile(frame, event, argument):
        if frame.f_code is transfer.__code__ and event in {"call", "return"}:
            events.append(event)

    def traced(there):
        for number in range(12):
            if number == 4:
                sys.setprofile(profile)
            if number == 8:
                sys.setprofile(None)
            transfer(there[0])

    there, back = [], []
    one, two = Coroutine(traced, there), Coroutine(echo, back)
    there.append(two)
    back.append(one)
    transfer(one)
    two.close()
    assert events.count("call") == events.count("return") == 8
