"""The laws of call_cc: R7RS 6.10, and the puzzles."""

import pytest

from laws.operators import Log, call_cc, shift
from leakcheck import blocks_kept
from stackful import BarrierError, Fiber, PromptNotFoundError, PromptTag, prompt, run, suspend

pytestmark = [pytest.mark.five_ways, pytest.mark.leakcheck]


def test_a_continuation_that_is_not_called_changes_nothing():
    """call_cc(f) is f(k)."""
    assert run(lambda: 1 + call_cc(lambda k: 2)) == 3


def test_calling_it_leaves_f():
    """What would come after in f does not run."""
    assert run(lambda: 1 + call_cc(lambda k: 10 * k(2))) == 3


def test_r7rs_early_exit():
    """The first negative number of a list; R7RS's own example."""

    def first_negative(numbers):
        return call_cc(lambda leave: [leave(x) for x in numbers if x < 0] and None)

    assert run(lambda: first_negative([54, 0, 37, -3, 245, 19])) == -3


def test_r7rs_list_length():
    """R7RS: the length of a list, or a flag when it is no proper list."""

    def length(obj):
        def count(r, leave):
            if r == ():
                return 0
            return 1 + count(r[1], leave) if isinstance(r, tuple) else leave("improper")

        return call_cc(lambda leave: count(obj, leave))

    assert run(lambda: [length((1, (2, (3, ())))), length((1, (2, 3)))]) == [3, "improper"]


def test_re_entry_after_return():
    """A continuation goes on being valid when its call has returned, and never returns itself."""

    def main():
        log = Log()
        holder = []
        value = call_cc(lambda k: [holder.append(k), 0][1])
        log.append(value)
        if value < 3:
            holder[0](value + 1)
            log.append("never")
        return log

    assert run(main) == [0, 1, 2, 3]


def test_locals_bound_after_the_capture_are_as_at_the_capture():
    """Frames are copied: what a frame assigned since is not seen by the next entry. The heap is shared."""

    def main():
        heap = []
        count = 0
        k = call_cc(lambda k: k)
        count += 1
        heap.append(count)
        return heap if len(heap) == 3 else k(k)

    assert run(main) == [1, 1, 1]


def test_loops_are_re_entered_where_they_were():
    """A for loop goes on from the element that it was at."""

    def main():
        ks, seen = Log(), Log()  # the heap: shared
        for x in [1, 2, 3]:
            tag = call_cc(lambda k: [ks.append(k), "first"][1])
            seen.append((x, tag))
        if len(seen) < 6:
            ks[1]("again")
        return seen

    assert run(main)[:5] == [(1, "first"), (2, "first"), (3, "first"), (2, "again"), (3, "first")]


def test_a_comprehension_is_re_entered_without_damage():
    """R7RS on map: earlier returns are not affected by later ones."""

    def main():
        k, count = None, 0
        results = []

        def visit(x):
            nonlocal k
            if x == 2:
                return call_cc(lambda c: [globals().__setitem__("_k", c), x][1])
            return x

        result = [visit(x) for x in (1, 2, 3)]
        results = [*results, result]
        if result[1] == 2:
            globals()["_first"] = result
            globals()["_k"](20)
        return globals().pop("_first"), result

    assert run(main) == ([1, 2, 3], [1, 20, 3])
    del globals()["_k"]


def test_the_yin_yang_puzzle():
    """@*@**@***@****..., stopped after 40 characters."""
    out = []

    def main():
        def say(text, k):
            out.append(text)
            if len(out) >= 40:
                stop("done")
            return k

        stop = call_cc(lambda k: k)
        if stop == "done":
            return "".join(out)
        yin = say("@", call_cc(lambda k: k))
        yang = say("*", call_cc(lambda k: k))
        return yin(yang)

    assert run(main) == "".join("@" + "*" * n for n in range(1, 10))[:40]


def test_amb_by_call_cc():
    """McCarthy's amb with backtracking over a stack of continuations: a SICP puzzle."""

    def main():
        choices = []

        def amb(*options):
            def choose(k):
                for option in reversed(options):
                    choices.append((k, option))
                return fail()

            return call_cc(choose)

        def fail():
            if not choices:
                return give_up("no solution")
            k, option = choices.pop()
            return k(option)

        def require(truth):
            if not truth:
                fail()

        give_up = call_cc(lambda k: k)
        if not callable(give_up):
            return give_up
        baker = amb(1, 2, 3, 4)
        cooper = amb(2, 3, 4, 5)
        require(cooper != baker)
        fletcher = amb(2, 3, 4)
        require(fletcher not in (baker, cooper) and abs(fletcher - cooper) != 1)
        miller = amb(3, 4, 5)
        require(miller > cooper and miller not in (baker, fletcher))
        smith = amb(1, 2, 3, 4, 5)
        require(smith not in (baker, cooper, fletcher, miller) and abs(smith - fletcher) != 1)
        return baker, cooper, fletcher, miller, smith

    assert run(main) == (3, 2, 4, 5, 1)


def test_coroutines_by_call_cc():
    """Two loops that hand control to each other, each by the other's continuation."""

    def main():
        log, waiting = [], []

        def switch(value):
            def swap(k):
                other = waiting.pop() if waiting else None
                waiting.append(k)
                return other(value) if other else value

            return call_cc(swap)

        def loop(name, n):
            for i in range(n):
                log.append((name, i))
                switch(i)

        if call_cc(lambda k: [waiting.append(k), "start"][1]) == "start":
            loop("a", 3)
        else:
            loop("b", 3)
        return log

    assert run(main) == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_a_generator_that_is_re_entered():
    """A tree walk as a stream of (value, continuation) that can be gone back to."""

    def main():
        def walk(items, back):
            for x in items:
                back = call_cc(lambda k: back((x, k)))
            back(None)

        def stream(resume=None):
            if resume is None:
                return call_cc(lambda back: walk([1, 2, 3], back))
            return call_cc(lambda back: resume(back))

        one = stream()
        two = stream(one[1])
        three = stream(two[1])
        again = stream(one[1])
        return one[0], two[0], three[0], again[0], stream(three[1])

    assert run(main) == (1, 2, 3, 2, None)


def test_it_reaches_the_nearest_prompt_only():
    """What is outside of the prompt goes on as usual."""

    def main():
        log = Log()
        k = prompt(lambda: call_cc(lambda k: k))
        log.append("returned")
        if not isinstance(k, str):
            assert prompt(lambda: k("through")) == "through"
        return log

    assert run(main) == ["returned"]


def test_a_tag_of_its_own():
    """A prompt further out can be meant."""
    tag = PromptTag("own")
    assert prompt(lambda: [prompt(lambda: 1 + call_cc(lambda k: 10 * k(1), tag))], tag) == [2]
    assert prompt(lambda: [prompt(lambda: 1 + prompt(lambda: call_cc(lambda k: k(7), tag)))], tag) == [8]


def test_outside_of_any_prompt_the_error_says_what_to_do():
    """`run` is named."""
    with pytest.raises(PromptNotFoundError, match=r"run\(main\)"):
        call_cc(lambda k: k)
    k = run(lambda: call_cc(lambda k: k))
    with pytest.raises(PromptNotFoundError):
        k(1)


def test_behind_a_c_call_it_is_refused():
    """A map or sorted in between is a barrier."""
    with pytest.raises(BarrierError, match="map|list"):
        run(lambda: list(map(lambda x: call_cc(lambda k: k), [1])))


def test_errors_can_be_raised_by_it():
    """k(error=...) raises where call_cc was called."""

    def main():
        try:
            call_cc(lambda k: k(error=KeyError("jumped")))
        except KeyError as error:
            return repr(error)

    assert run(main) == "KeyError('jumped')"


def test_in_a_fiber_with_a_prompt():
    """The fiber suspends and goes on as usual, before and after jumps."""

    def body():
        k = call_cc(lambda k: k)
        got = suspend("ready")
        return k(lambda *_: 0) if got == "again" else [got]

    fiber = Fiber(lambda: prompt(body))
    assert [fiber.resume() for _ in range(1)] == ["ready"]
    assert fiber.resume("again") == "ready"
    assert fiber.resume("end") == ["end"]


def test_together_with_shift():
    """A call_cc within a reset takes the frames up to the reset, as a shift there would."""
    assert run(lambda: [prompt(lambda: 1 + shift(lambda k: k(call_cc(lambda c: 10 * c(5)))))]) == [6]


def test_the_memory_test_of_an_argument_against_call_cc():
    """Kiselyov: a generator by call_cc whose consumer runs long must not hold what it has passed.

    Continuations that jump by way of each other must not grow the stack either.
    """

    def main(n):
        back = None
        producer = None

        def produce(_):
            nonlocal back
            for i in range(n):
                back = call_cc(lambda k: swap(k, i))
            back("end")

        def swap(k, value):
            nonlocal producer
            producer = k
            return back((value,))

        def take():
            def enter(k):
                nonlocal back
                back = k
                return produce(None) if producer is None else producer(k)

            return call_cc(enter)

        total = 0
        while (item := take()) != "end":
            total += item[0]
        producer = back = None
        return total

    assert run(lambda: main(100)) == 4950
    assert blocks_kept(lambda: run(lambda: main(1000)), rounds=3) < 500


def test_jumps_use_no_stack():
    """Ten thousand jumps back."""

    def main():
        state = [0]
        k = call_cc(lambda k: k)
        state[0] += 1
        return state[0] if state[0] == 10_000 else k(k)

    assert run(main) == 10_000
