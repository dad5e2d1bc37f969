"""What becomes of `finally` in a program that was handled (Koka's finalisation; decision D4)."""

import gc
import weakref

import pytest

from stackful import AlreadyResumedError, FiberExit, effect, handle, perform

pytestmark = pytest.mark.three_ways


@effect
def ask() -> int: ...


@effect
def other() -> int: ...


def guarded(log, name="body"):
    """A program with something to clean up."""
    try:
        return perform(ask)
    except FiberExit:
        log.append(f"{name} exits")
        raise
    finally:
        log.append(f"{name} cleaned")


@pytest.mark.parametrize("kind", ["once", "ctl"])
def test_a_resumption_that_is_dropped_is_finalised(kind):
    """A clause that returns without having resumed: the program is unwound before handle has returned."""
    log = []
    assert handle(lambda: guarded(log), getattr(ask, kind)(lambda k: "given up")) == "given up"
    assert log == ["body exits", "body cleaned"]


@pytest.mark.parametrize("kind", ["once", "ctl"])
def test_a_resumption_that_was_resumed_is_not_finalised(kind):
    """It ended by itself."""
    log = []
    assert handle(lambda: guarded(log), getattr(ask, kind)(lambda k: k.resume(3) + 1)) == 4
    assert log == ["body cleaned"]


def test_finally_runs_once_for_each_time_that_the_program_goes_on():
    """Resumed three times, it ends three times; what was kept to resume it again has nothing to clean up."""
    log = []
    assert handle(lambda: guarded(log), ask.ctl(lambda k: k.resume(1) + k.resume(2) + k.resume(3))) == 6
    assert log == ["body cleaned"] * 3


def test_a_kept_resumption_is_finalised_when_it_is_dropped():
    """Not before."""
    log, kept = [], []
    assert handle(lambda: guarded(log), ask.once(kept.append)) is None
    assert log == []
    kept.clear()
    assert log == ["body exits", "body cleaned"]


def test_finalisation_goes_from_the_inside_out():
    """Inner handlers' programs first, and they may still perform what these handle."""
    log = []

    def inner():
        try:
            guarded(log, "inner")
        finally:
            log.append(perform(other))

    def body():
        try:
            handle(inner, other.once(lambda k: k.resume("handled")))
        finally:
            log.append("outer cleaned")

    handle(body, ask.ctl(lambda k: None))
    assert log == ["inner exits", "inner cleaned", "handled", "outer cleaned"]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_programs_inside_of_a_resumed_one_are_cleaned_up_as_often(times):
    """Each shot has an inner program of its own, and none of them is closed behind its back."""
    log = []

    def body():
        return handle(lambda: guarded(log), other.fun(lambda: 1))

    def clause(k):
        results = []
        for i in range(times):
            results.append(k.resume(i))
        return results

    assert handle(body, ask.ctl(clause)) == list(range(times))
    assert log == ["body cleaned"] * times


def test_an_exception_in_a_clause_finalises_what_it_did_not_resume():
    """As soon as its traceback is gone."""
    log = []

    def clause(k):
        raise KeyError("clause")

    with pytest.raises(KeyError):
        handle(lambda: guarded(log), ask.once(clause))
    gc.collect()
    assert log == ["body exits", "body cleaned"]


def test_an_exception_of_the_program_leaves_through_the_clause():
    """The clause that resumed it can catch it."""

    def body():
        perform(ask)
        raise KeyError("body")

    def clause(k):
        try:
            return k.resume(1)
        except KeyError as error:
            return f"caught {error}"

    assert handle(body, ask.once(clause)) == "caught 'body'"
    with pytest.raises(KeyError):
        handle(body, ask.fun(lambda: 1))


def test_discontinue_raises_at_the_perform():
    """The program may catch it, or be ended by it."""

    def body():
        try:
            return perform(ask)
        except ValueError as error:
            return f"caught {error}"

    assert handle(body, ask.once(lambda k: k.discontinue(ValueError("v")))) == "caught v"
    assert handle(body, ask.ctl(lambda k: [k.discontinue(ValueError("v")), k.resume(1)])) == ["caught v", 1]
    with pytest.raises(KeyError):
        handle(body, ask.once(lambda k: k.discontinue(KeyError())))


def test_discontinue_reaches_through_inner_handlers():
    """It is raised where the operation was performed, not at the handlers in between."""

    def inner():
        try:
            return perform(ask)
        except ValueError:
            return "innermost"

    assert (
        handle(lambda: handle(inner, other.fun(lambda: 1)), ask.once(lambda k: k.discontinue(ValueError())))
        == "innermost"
    )


def test_once_is_once():
    """The second time is an error, however the first went; the handler's program is unharmed."""

    def clause(k):
        first = k.resume(1)
        for again in (k.resume, k.tail_resume, lambda: k.discontinue(KeyError()), lambda: k.state):
            with pytest.raises(AlreadyResumedError, match="was resumed before: the clause was made by `once`"):
                again()
        return first

    assert handle(lambda: perform(ask) + 1, ask.once(clause)) == 2


def test_nothing_keeps_a_finished_program_alive():
    """No reference cycle is left: what the program held dies with it."""

    class Held:
        pass

    for kind in ("fun", "once", "ctl"):
        gc.collect()
        gc.disable()
        try:
            held = Held()
            watch = weakref.ref(held)

            def body(held):
                perform(ask)
                perform(ask)

            clause = ask.fun(lambda: 1) if kind == "fun" else getattr(ask, kind)(lambda k: k.resume(1))
            handle(lambda held=held: handle(lambda: body(held), other.fun(lambda: 1)), clause)
            del held
            assert watch() is None, kind
        finally:
            gc.enable()


def test_a_resumption_in_a_cycle_is_collected():
    """A program that holds its own resumption is closed by the collector."""
    log = []

    def body(box):
        try:
            perform(ask)
        finally:
            log.append("cleaned")

    box = []
    handle(lambda: body(box), ask.once(box.append))  # noqa: F821 - deleted below
    del box
    gc.collect()
    assert log == ["cleaned"]


def test_a_context_manager_around_a_choice_is_left_for_each_branch():
    """__exit__ runs once a branch, in order."""
    log = []

    class Watched:
        def __enter__(self):
            log.append("enter")

        def __exit__(self, *error):
            log.append("exit")

    def body():
        with Watched():
            return perform(ask)

    assert handle(body, ask.ctl(lambda k: (k.resume(1), k.resume(2)))) == (1, 2)
    assert log == ["enter", "exit", "exit"]
