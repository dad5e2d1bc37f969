"""What the code of a durable run can do, and what others can do with it."""

import asyncio
import json
import logging
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from durable.engines import PATIENCE, engine, folder, until  # noqa: F401 - two of them fixtures
from stackful import BarrierError, FiberError, RunNotFoundError, StoreError, UnsaveableError, durable
from stackful.durable import Handle, Status, aio, handles, inspect
from stackful.durable.active import ending_of
from stackful.durable.starting import new_run

sys.path.insert(0, str(Path(__file__).parent / "programs"))
import shop


def failure(handle):
    """With what a run ended."""
    with pytest.raises(durable.RunFailedError) as caught:
        handle.result(PATIENCE)
    return caught.value


# --- steps ------------------------------------------------------------------------------------------------------------


def test_a_run_returns_what_its_function_returns(engine):
    """Arguments go in, the result comes out, each step is done once."""
    handle = durable.start(shop.order, "tea", steps=2)
    assert handle.result(PATIENCE) == (2, True)
    assert shop.effects() == ["tea 0", "tea 1"]
    assert (handle.status, handle.run.steps, handle.run.step) == (Status.FINISHED, 2, "effect")


def test_operations_are_ordinary_functions_outside_of_runs(folder):
    """A step is a call, a sleep is a sleep; what needs a run says so."""
    assert shop.order("tea", 1) == (1, True)
    durable.sleep(0)
    durable.sleep_until(datetime.now(UTC))
    assert durable.current_step() is None
    assert durable.current_run() is None
    with pytest.raises(FiberError, match=r"wait_signal\(\) is for the code of a durable run: start a function"):
        durable.wait_signal("x")
    with pytest.raises(FiberError, match=r"transaction\(\) is for the code"):
        durable.transaction(print)
    with pytest.raises(StoreError, match="no store of runs is open in this process: call durable.connect"):
        durable.start(shop.order, "tea")


def test_a_function_must_be_marked_and_found_by_its_name(engine):
    """What could not be found by another process is refused when it is marked, or started."""
    with pytest.raises(FiberError, match="put @durable.run above it"):
        durable.start(len, [])
    with pytest.raises(FiberError, match="move it to the top level of its module"):

        @durable.run
        def nested():
            pass

    with pytest.raises(FiberError, match="marks functions"):
        durable.run(len)


def test_a_step_is_retried_after_durable_pauses(engine):
    """Each attempt has the same key; the result is that of the one that did not raise."""
    handle = durable.start(shop.retrying, 3, 5, id="r")
    assert handle.result(PATIENCE) == 3
    assert shop.effects() == [f"attempt {n} of r/1" for n in (1, 2, 3)]


def test_a_step_that_is_out_of_retries_raises(engine):
    """The last exception reaches the code, and whoever waits for the run."""
    error = failure(durable.start(shop.retrying, 9, 1))
    assert (type(error.__cause__), str(error.__cause__)) == (ConnectionError, "attempt 2")
    assert (error.status, error.run) == ("failed", error.run)
    assert "in flaky" in error.text
    assert "stackful/durable" not in error.text.split("Traceback", 1)[1].split("shop.py", 1)[0]


def test_coroutine_functions_are_steps(engine):
    """They are awaited in an event loop, many at a time, and cancelled when they take too long."""
    started = time.monotonic()
    found = [durable.start(shop.fetching, 0.5) for _ in range(10)]
    assert [handle.result(PATIENCE) for handle in found] == ["fetched"] * 10
    assert time.monotonic() - started < 4.5  # one after the other would be five seconds
    assert "took longer than its timeout" in str(failure(durable.start(shop.fetching, 60, 0.05)))


def test_a_step_has_a_timeout(engine):
    """A blocking function is no longer waited for."""
    error = failure(durable.start(shop.impatient, 60))
    assert isinstance(error.__cause__, TimeoutError)


def test_a_step_behind_c_code_is_refused_before_its_effect(engine):
    """The message names the C call and where it stands; the function was not called."""
    error = failure(durable.start(shop.behind_c))
    assert isinstance(error.__cause__, BarrierError)
    assert "sorted" in str(error)
    assert "behind_c" in str(error)
    assert shop.effects() == []


def test_a_state_that_cannot_be_stored_names_the_variable(engine):
    """The run fails with the path of the value."""
    error = failure(durable.start(shop.unsaveable))
    assert isinstance(error.__cause__, UnsaveableError)
    assert 'local "guard"' in str(error)
    assert shop.effects() == ["once"]


def test_a_large_state_is_warned_of_once(engine, caplog):
    """The warning names the local that takes the most."""
    with caplog.at_level(logging.WARNING, "stackful.durable"):
        assert durable.start(shop.large).result(PATIENCE) == 100_000
    (message,) = [record.message for record in caplog.records]
    assert 'local "table" of large' in message


def test_steps_that_block_do_not_hold_up_other_runs(engine):
    """Runs inside of their own code get threads of their own."""
    slow = [durable.start(shop.blocks, 1.0) for _ in range(4)]
    started = time.monotonic()
    assert durable.start(shop.order, "tea").result(PATIENCE) == (3, True)
    assert time.monotonic() - started < 0.9
    assert [handle.result(PATIENCE) for handle in slow] == ["done"] * 4


# --- transactions -----------------------------------------------------------------------------------------------------


def test_a_transaction_that_raises_leaves_nothing(engine):
    """It is rolled back, and the exception is the code's to handle."""
    assert durable.start(shop.rolls_back).result(PATIENCE) == 0
    assert shop.effects() == ["rolled back"]


def test_code_in_a_transaction_cannot_commit(engine):
    """It is told so, and can go on."""
    kind, text = durable.start(shop.writes_badly).result(PATIENCE)
    assert kind == "StoreError"
    assert "COMMIT is not for the code within transaction()" in text


def test_a_run_that_is_cancelled_within_a_transaction_ends_after_it(engine):
    """The transaction is committed; then `finally` runs."""
    handle = durable.start(shop.slow_transaction)
    until(lambda: "in transaction" in shop.effects())
    threading.Timer(0.2, Path("let go").touch).start()
    engine.active[handle.id].interrupt = "cancel"
    assert failure(handle).status == "cancelled"
    assert shop.effects() == ["in transaction", "after the transaction"]


def test_suspending_a_run_by_hand_is_refused(engine):
    """Nobody would resume it; the code is told."""
    assert "nobody would resume it" in str(failure(durable.start(shop.suspends)))


# --- time -------------------------------------------------------------------------------------------------------------


def test_a_sleeping_run_goes_on_in_another_process(folder):
    """It is nobody's while it sleeps; whoever works on the store then wakes it."""
    with durable.connect(folder / "runs.db") as first:
        handle = durable.start(shop.sleeper, 0.5)
        until(lambda: handle.status is Status.SLEEPING)
        assert first.store.run(handle.id).line.endswith("sleeper")
    with durable.connect(folder / "runs.db"):
        assert Handle(handle.id).result(PATIENCE) == "slept"


def test_a_sleep_must_be_a_time(engine):
    """Negative lengths and times without a zone are refused."""
    with pytest.raises(ValueError, match="must not be negative"):
        durable.sleep(-1)
    with pytest.raises(ValueError, match="has no time zone"):
        durable.sleep_until(datetime(2999, 1, 1))  # noqa: DTZ001 - the subject


def test_a_run_begins_after_its_delay(engine):
    """Until then it is pending."""
    handle = durable.start(shop.sleeper, 0, delay=0.2)
    assert handle.status is Status.PENDING
    assert handle.result(PATIENCE) == "slept"
    assert handle.run.started - handle.run.created >= 0.2


def test_a_deadline_ends_a_run(engine):
    """Where it waits, and with `finally`; the reason is the deadline."""
    error = failure(durable.start(shop.cleaner, deadline=1.0))
    assert "has not ended by its deadline" in str(error)
    assert shop.effects() == ["cleaned up"]


def test_a_deadline_ends_a_run_that_waits_for_its_turn(engine):
    """It is cancelled without having begun."""
    engine.put_queue(durable.Queue("narrow", concurrency=1))
    first = durable.start(shop.waiter, "go", queue="narrow")
    until(lambda: first.status is Status.WAITING)
    late = durable.start(shop.order, "tea", queue="narrow", deadline=0.1)
    assert "has not ended by its deadline" in str(failure(late))
    assert shop.effects() == []
    durable.send(first, "go", 1)
    assert first.result(PATIENCE) == 1


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_are_delivered_in_order(engine):
    """Those that came before the run asked, too."""
    handle = durable.start(shop.listener, 3)
    for value in ("a", ["b"], None):
        durable.send(handle, "s", value)
    assert handle.result(PATIENCE) == ["a", ["b"], None]


def test_a_signal_with_a_key_is_delivered_once(engine):
    """A duplicate is dropped."""
    handle = durable.start(shop.listener, 2)
    assert engine.send(handle.id, "s", 1, key="k")
    assert not engine.send(handle.id, "s", 2, key="k")
    durable.send(handle, "s", 3)
    assert handle.result(PATIENCE) == [1, 3]


def test_waiting_for_a_signal_can_end(engine):
    """TimeoutError says for what it waited."""
    error = failure(durable.start(shop.waiter, "never", 0.05))
    assert str(error.__cause__) == "no signal 'never' came within 0.05 seconds"


def test_a_signal_to_nobody_is_an_error(engine):
    """An id that no run has is refused."""
    with pytest.raises(RunNotFoundError, match="nine"):
        durable.send("nine", "s")


def test_runs_send_signals(engine):
    """With their next state, once."""
    handle = durable.start(shop.listener, 3)
    durable.start(shop.sends, handle, 3)
    assert handle.result(PATIENCE) == [0, 1, 2]


# --- children, ends ---------------------------------------------------------------------------------------------------


def test_gather_gives_results_in_order(engine):
    """Children are found by their parent."""
    handle = durable.start(shop.family, "a", "b", "c")
    assert handle.result(PATIENCE) == ["a", "b", "c"]
    assert len(engine.runs(durable.Filter(parent=handle.id))) == 3


def test_the_first_failure_of_gather_cancels_the_others(engine):
    """They are over, `finally` and all, before the parent goes on."""
    handle = durable.start(shop.family, "slow", "bad", "slow")
    assert handle.result(PATIENCE) == "bad child"
    assert sorted(shop.effects()) == ["bad is over", "slow is over", "slow is over"]


def test_cancelling_a_parent_cancels_what_it_gathers(engine):
    """Structured: nothing of it goes on."""
    handle = durable.start(shop.family, "slow", "slow")
    until(lambda: handle.status is Status.WAITING)
    handle.cancel()
    assert failure(handle).status == "cancelled"
    assert sorted(shop.effects()) == ["slow is over"] * 2


def test_cancelling_runs_finally(engine):
    """Which may take steps; afterwards the run is cancelled."""
    handle = durable.start(shop.cleaner)
    until(lambda: handle.status is Status.WAITING)
    durable.cancel(handle)
    assert handle.wait(PATIENCE) is Status.CANCELLED
    assert shop.effects() == ["cleaned up"]


@pytest.mark.parametrize("operation", ["step", "transaction"])
@pytest.mark.parametrize("function", [shop.refunding, shop.refunding_async])
def test_what_is_done_when_a_run_is_cancelled_can_be_undone(engine, monkeypatch, function, operation):
    """A step, or a transaction, that was recorded does not return then; its result is in the exception."""
    monkeypatch.setattr(durable, "cancel", lambda run: setattr(engine.active[run], "interrupt", "cancel"))
    assert failure(durable.start(function, operation)).status == "cancelled"
    assert shop.effects() == ["paid back for the receipt"]


def test_cancelling_stops_what_runs_elsewhere(engine):
    """A coroutine that is awaited in a step is cancelled at once."""
    handle = durable.start(shop.fetching, 60)
    until(lambda: engine.active[handle.id].future is not None)
    handle.cancel()
    assert failure(handle).status == "cancelled"


def test_a_failed_run_is_tried_again_from_its_last_state(engine):
    """Steps that are recorded are not repeated."""
    handle = durable.start(shop.failing)
    assert "it is broken" in str(failure(handle))
    Path("repaired").touch()
    engine.retry(handle.id)
    assert handle.result(PATIENCE) == "repaired"
    assert shop.effects() == ["before", "after"]


def test_a_generator_that_a_sleeping_run_holds_is_not_closed(folder):
    """Its `finally` runs when the run is through with it, not when the run leaves memory."""
    with durable.connect(folder / "runs.db"):
        assert durable.start(shop.generates).result(PATIENCE) == [0, 1, 2]
    assert shop.effects() == ["generator closed"]


def test_a_generator_of_a_run_that_wakes_before_it_has_left_is_not_closed(folder, monkeypatch):
    """Nor that of the object which the run had been until then, and which is of no use any more."""
    with durable.connect(folder / "runs.db") as engine:
        commit = engine.store.commit

        def commit_slowly(saves):
            done = commit(saves)
            time.sleep(0.1)  # longer than the run sleeps
            return done

        monkeypatch.setattr(engine.store, "commit", commit_slowly)
        assert durable.start(shop.generates).result(PATIENCE) == [0, 1, 2]
    assert shop.effects() == ["generator closed"]


# --- starting ---------------------------------------------------------------------------------------------------------


def test_starting_twice_with_an_id_gives_the_same_run(engine):
    """The id is the idempotency key of a start."""
    first = durable.start(shop.order, "tea", id="o-1")
    assert durable.start(shop.order, "coffee", id="o-1") == first
    first.result(PATIENCE)
    assert shop.effects() == ["tea 0", "tea 1", "tea 2"]
    with pytest.raises(StoreError, match="already a run called o-1"):
        durable.start(shop.sleeper, 0, id="o-1")


def test_a_key_lets_one_run_be_under_way(engine):
    """As long as it has not ended, another start gives the same one."""
    first = durable.start(shop.waiter, "go", key="k")
    assert durable.start(shop.waiter, "go", key="k") == first
    durable.send(first, "go")
    first.result(PATIENCE)
    second = durable.start(shop.waiter, "go", key="k")
    assert second != first
    second.cancel()


@pytest.mark.parametrize("name", ["starts_twice", "async_starts_twice"])
def test_a_key_holds_among_children_too(engine, name):
    """A run that starts two with one key has two handles of the first."""
    assert durable.start(getattr(shop, name)).result(PATIENCE) == (True, 7)


def test_runs_are_found_by_their_attributes(engine):
    """Given at the start, or set by the run."""
    a = durable.start(shop.waiter, "go", attributes={"customer": "x"})
    durable.start(shop.waiter, "go", attributes={"customer": "y"})
    assert [run.id for run in engine.runs(durable.Filter(attributes={"customer": "x"}))] == [a.id]


def test_a_queue_limits_how_many_are_under_way(engine):
    """The next one begins when one has ended."""
    engine.put_queue(durable.Queue("narrow", concurrency=1))
    found = [durable.start(shop.waiter, "go", queue="narrow") for _ in range(3)]
    until(lambda: found[0].status is Status.WAITING)
    assert [handle.status for handle in found[1:]] == [Status.PENDING] * 2
    for handle in found:
        until(lambda handle=handle: handle.status is Status.WAITING)
        durable.send(handle, "go", handle.id)
        assert handle.result(PATIENCE) == handle.id


def test_a_schedule_starts_runs(engine):
    """Every second, here; its text is checked when it is made."""
    pytest.importorskip("cronsim")
    name = durable.schedule(shop.order, "* * * * * *", "tick", 1)
    until(lambda: "tick 0" in shop.effects())
    durable.unschedule(name)
    run = engine.runs()[0]
    assert run.id.startswith("order-2")
    with pytest.raises(ValueError, match="no cron expression"):
        durable.schedule(shop.order, "every day", "tea")
    with pytest.raises(ValueError, match="no time zone 'Mars'"):
        durable.schedule(shop.order, "* * * * *", "tea", zone="Mars")


def test_a_store_that_refuses_for_a_while_loses_nothing(engine, caplog):
    """Runs wait with what they did, and go on when it is stored."""
    commit, refusals = engine.store.commit, iter(range(3))

    def refusing(saves):
        if next(refusals, None) is not None:
            raise StoreError("the disk is full")
        return commit(saves)

    engine.store.commit = refusing
    with caplog.at_level(logging.WARNING, "stackful.durable"):
        assert durable.start(shop.order, "tea").result(PATIENCE) == (3, True)
    assert shop.effects() == ["tea 0", "tea 1", "tea 2"]
    assert "1 states are not stored yet, their runs wait: the disk is full" in caplog.text


def test_a_state_that_the_store_refuses_harms_no_other_run(engine):
    """Its own code is told; those that were to be committed with it are."""
    commit = engine.store.commit

    def refusing(saves):
        if any(save.step == "refused" and save.data for save in saves):
            raise OverflowError("too large for this store")
        return commit(saves)

    engine.store.commit = refusing
    new = [new_run(engine, shop.named_step, (name,), {}) for name in ("a", "refused", "b")]
    first, second, third = engine.start_all(new)
    assert (first.result(PATIENCE), third.result(PATIENCE)) == ("a", "b")
    assert isinstance(failure(second).__cause__, OverflowError)


def test_an_idle_engine_does_nothing(engine):
    """No thread wakes up while there is nothing to do."""
    durable.start(shop.order, "tea").result(PATIENCE)
    handle = durable.start(shop.waiter, "go")
    until(lambda: handle.status is Status.WAITING)
    time.sleep(0.2)
    looks = []
    engine.alarms._look = lambda: looks.append(1)
    before = engine.threads.turns
    time.sleep(0.5)
    del engine.alarms._look
    assert (looks, engine.threads.turns) == ([], before)


def test_steps_run_in_executors(engine):
    """What has submit() runs the function elsewhere; its result and its exceptions come back into the run."""
    with ThreadPoolExecutor(1) as threads, ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        shop.EXECUTORS.update(threads=threads, processes=processes)
        assert durable.start(shop.elsewhere, "threads", 2).result(PATIENCE) == 4
        assert durable.start(shop.elsewhere, "processes", 3).result(PATIENCE) == 9
        assert isinstance(failure(durable.start(shop.elsewhere_again, "x")).__cause__, TypeError)
        assert isinstance(failure(durable.start(shop.elsewhere, "threads", "x")).__cause__, TypeError)


def test_checkpoint_stores_a_run_of_a_function(engine):
    """The function of scripts does what a step without a function would."""
    handle = durable.start(shop.checkpoints)
    assert handle.result(PATIENCE) is True
    assert handle.run.seq == 1


# --- questions --------------------------------------------------------------------------------------------------------


def test_a_run_asks_a_person(engine):
    """The form is stored with the run; an answer that does not fit is refused, the first that fits is taken."""
    handle = durable.start(shop.asking)
    until(lambda: handle.run.question is not None)
    question = json.loads(handle.run.question)
    assert question["text"] == "How shall we send it?"
    assert [field["kind"] for field in question["fields"]] == ["choice", "number", "text"]
    with pytest.raises(
        ValueError, match="how 'rocket' is none of mail, courier; pieces is missing; x is not asked for"
    ):
        engine.answer(handle.id, {"how": "rocket", "x": 1})
    assert engine.answer(handle.id, {"how": "mail", "pieces": 2})
    until(lambda: "Sure?" in (handle.run.question or ""))
    assert engine.answer(handle.id, True)
    assert handle.result(PATIENCE) == ({"how": "mail", "pieces": 2, "note": "none"}, True)
    with pytest.raises(StoreError, match="asks nothing: it is finished"):
        engine.answer(handle.id, True)


def test_a_form_knows_its_kinds(engine):
    """What cannot be filled in is refused where it is written."""
    error = failure(durable.start(shop.asks_oddly))
    assert isinstance(error.__cause__, TypeError)
    assert "field 'x'" in str(error)


# --- fork, history ----------------------------------------------------------------------------------------------------


def test_a_run_is_forked_from_each_of_its_states(engine):
    """With history every state can be gone on from; the fork comes to the same end, and the original is as it was."""
    handle = durable.start(shop.counting, 6)
    assert handle.result(PATIENCE) == 15
    states = [c.seq for c in engine.store.checkpoints(handle.id)]
    assert states == [6, 5, 4, 3, 2, 1]
    forks = [engine.fork(handle.id, seq) for seq in states]
    assert [fork.result(PATIENCE) for fork in forks] == [15] * 6
    assert forks[0].run.origin == f"{handle.id}@6"
    assert handle.run.status is Status.FINISHED


def test_a_fork_can_have_other_locals_and_another_result(engine):
    """By name, or by the function's and the local's; the step before can have returned something else."""
    handle = durable.start(shop.counting, 4)
    handle.result(PATIENCE)
    assert engine.fork(handle.id, 2, edit={"total": 100}).result(PATIENCE) == 101 + 2 + 3
    assert engine.fork(handle.id, 2, edit={"counting.total": 7}, id="mine").result(PATIENCE) == 8 + 2 + 3
    assert engine.fork(handle.id, 2, result=[50]).result(PATIENCE) == 50 + 2 + 3
    with pytest.raises(StoreError, match="a local .nobody.; there are: .*total"):
        engine.fork(handle.id, 2, edit={"nobody": 1})
    with pytest.raises(StoreError, match="no checkpoint 77 any more; kept are: 1, 2, 3, 4"):
        engine.fork(handle.id, 77)


def test_a_waiting_run_is_forked(engine):
    """The fork waits for signals of its own."""
    handle = durable.start(shop.waiter, "go")
    until(lambda: handle.status is Status.WAITING)
    fork = engine.fork(handle.id)
    until(lambda: fork.status is Status.WAITING)
    durable.send(fork, "go", "fork")
    durable.send(handle, "go", "original")
    assert (fork.result(PATIENCE), handle.result(PATIENCE)) == ("fork", "original")


def test_a_fork_of_a_sleeping_run_sleeps_as_long(engine):
    """Its time has not come earlier."""
    handle = durable.start(shop.sleeper, 0.4)
    until(lambda: handle.status is Status.SLEEPING)
    fork = engine.fork(handle.id)
    assert (fork.result(PATIENCE), handle.result(PATIENCE)) == ("slept", "slept")
    assert fork.run.updated >= handle.run.created + 0.4


def test_stored_stacks_are_looked_at(engine):
    """Functions, lines and locals of any state, and what is different between two."""
    handle = durable.start(shop.counting, 3)
    handle.result(PATIENCE)
    outer, inner = engine.stack(handle.id, 2)
    assert (outer.function, outer.locals, outer.is_own) == (
        "counting",
        {"to": 3, "total": 0, "number": 1, "got": 0},
        False,
    )
    assert outer.source == "got = durable.step(abs, number)"
    assert (inner.function, inner.locals["result"], inner.is_own) == ("step", 1, True)
    assert (outer.line, outer.source) in [(number, text.strip()) for number, text in outer.lines()]
    changes = {d.function: d.locals for d in engine.diff(handle.id, 1, 3)}
    assert changes["counting"] == {"total": (0, 1), "number": (0, 2), "got": (inspect.MISSING, 1)}
    assert changes["step"] == {"result": (0, 2)}
    kinds = [event.kind for event in inspect.timeline(engine.store, handle.id)]
    assert kinds == ["created", "started", "state", "state", "state", "ended"]


def test_a_run_without_a_state_says_why(engine):
    """It has ended, or not begun; history would keep its states."""
    handle = durable.start(shop.order, "tea")
    handle.result(PATIENCE)
    with pytest.raises(StoreError, match=r"has no state: it has ended; with @run\(history=True\)"):
        engine.stack(handle.id)


# --- engines ----------------------------------------------------------------------------------------------------------


def test_one_process_starts_what_another_drives(folder):
    """An engine that does no work adds runs for one that does; results come back."""
    with durable.connect(folder / "runs.db", work=False) as client:
        handle = durable.start(shop.order, "tea", 1)
        assert handle.status is Status.PENDING
        assert "no worker" in repr(client)
        with durable.connect(folder / "runs.db"):
            until(lambda: client.store.run(handle.id).status is Status.FINISHED)
        assert client.wait(handle.id, PATIENCE).status is Status.FINISHED
        assert handles.result_of(client.wait(handle.id)) == (1, True)


def test_more_runs_than_fit_wait_in_the_store(folder):
    """At most so many are under way here; all are done in the end."""
    with durable.connect(folder / "runs.db", concurrency=3) as engine:
        found = engine.start_all([new_run(engine, shop.order, (str(n), 2), {}) for n in range(10)])
        assert [handle.result(PATIENCE) for handle in found] == [(2, True)] * 10


def test_a_closed_engine_leaves_no_thread(folder):
    """Those that drive runs, listen, and await coroutines end with it."""
    before = set(threading.enumerate())
    with durable.connect(folder / "runs.db"):
        durable.start(shop.fetching, 0.01).result(PATIENCE)
        durable.start(shop.fetching, 1000)
        durable.start(shop.waiter, "never")
    until(lambda: set(threading.enumerate()) <= before)


def test_a_closed_engine_says_so(folder):
    """Waiters are released, uses are refused."""
    engine = durable.connect(folder / "runs.db")
    handle = durable.start(shop.waiter, "never")
    errors = []

    def wait():
        try:
            engine.wait(handle.id)
        except StoreError as error:
            errors.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    engine.close()
    engine.close()
    thread.join(PATIENCE)
    assert "has been closed by this process" in errors[0]
    with pytest.raises(StoreError, match="has been closed"):
        engine.runs()
    assert "closed" in repr(engine)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # the child starts no thread
def test_a_forked_child_is_no_worker(folder):
    """It is told to connect anew; the parent's runs go on in the parent."""
    with durable.connect(folder / "runs.db") as engine:
        handle = durable.start(shop.waiter, "go")
        until(lambda: handle.status is Status.WAITING)
        child = os.fork()
        if child == 0:
            try:
                engine.runs()
            except StoreError as error:
                os._exit(7 if "forked from" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        durable.send(handle, "go", "still here")
        assert handle.result(PATIENCE) == "still here"


def test_handles_are_values(engine):
    """They are equal by id, can be pickled, and say what they are."""
    import pickle

    handle = durable.start(shop.sleeper, 0)
    assert pickle.loads(pickle.dumps(handle)) == handle == Handle(handle.id)
    assert repr(handle) == f"Handle({handle.id!r})"
    assert {handle: 1}[Handle(handle.id)] == 1
    with pytest.raises(TimeoutError, match="has not ended within 0.01 seconds"):
        durable.start(shop.waiter, "never").result(0.01)


# --- numbers and keys of steps ----------------------------------------------------------------------------------------


def note_key(is_fine=True):
    """The key of the step, for a service outside that drops what it has seen."""
    found = durable.current_step()
    shop.effect(f"{found.number} {found.key.rpartition('/')[2]} {found.attempt}")
    if not is_fine:
        raise ConnectionError("it is broken")


def fail(**how):
    with pytest.raises(ConnectionError):
        durable.step(note_key, False, **how)


@durable.run
def keyed():
    """Steps after others that have failed, one behind the other and with other operations in between."""
    durable.step(note_key)
    fail(retries=1, backoff=0.01)
    fail()
    durable.sleep(0.01)
    fail(retries=1, backoff=0.01)
    durable.step(note_key)
    durable.step(note_key)


def test_a_step_that_failed_keeps_its_number_and_key_to_itself(engine):
    """A service that remembers keys does not take the next step for it; attempts of one step have one key."""
    handle = durable.start(keyed)
    assert handle.result(PATIENCE) is None
    assert shop.effects() == ["1 1 1", "2 2 1", "2 2 2", "3 3 1", "4 4 1", "4 4 2", "5 5 1", "6 6 1"]
    assert handle.run.steps == 6


# --- what is refused where it is written ------------------------------------------------------------------------------


@durable.run
def wrapped(*args, **keywords):
    """Takes what its signature does not say: it wraps another function."""
    return durable.step(shop.effect, f"{args} {keywords}")


wrapped.__wrapped__ = shop.effect


@pytest.mark.parametrize(
    ("start", "text"),
    [
        (lambda: durable.start(shop.order), r"order\(\) cannot be started so: missing .* 'item'; it takes \(item, steps=3\)"),
        (lambda: durable.start(shop.order, "tea", 1, 2), r"order\(\) cannot be started so: too many positional"),
        (lambda: durable.start(shop.order, "tea", stesp=1), "unexpected keyword argument 'stesp'"),
        (lambda: durable.gather(shop.order), "missing a required argument: 'item'"),
        (lambda: durable.schedule(shop.order, "0 * * * *"), "missing a required argument: 'item'"),
        (lambda: asyncio.run(aio.start(shop.order)), "missing a required argument: 'item'"),
    ],
)  # fmt: skip
def test_what_a_function_does_not_take_is_refused_by_start(engine, start, text):
    """At once, with what it takes; nothing is stored, which could only fail."""
    with pytest.raises(TypeError, match=text):
        start()
    assert (engine.runs(), engine.store.schedules()) == ([], [])


def test_what_a_run_starts_wrongly_is_refused_in_its_code(engine):
    """The child is not stored."""
    assert "cannot be started so" in str(failure(durable.start(starts_wrongly)))
    assert [run.program for run in engine.runs()] == [f"{__name__}:starts_wrongly"]


@durable.run
def starts_wrongly():
    """Starts a child without its argument."""
    return durable.start(shop.order).result()


def test_a_function_is_called_by_its_own_signature(engine):
    """Not by that of what it wraps."""
    assert durable.start(wrapped, 1, a=2).result(PATIENCE) == len("(1,) {'a': 2}")


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: durable.Queue(""), ValueError, "a queue has a name"),
        (lambda: durable.Queue("q", concurrency=-1), ValueError, "concurrency of queue .q. is at least 0, not -1"),
        (lambda: durable.Queue("q", rate=5), ValueError, "rate=5 is not"),
        (lambda: durable.Queue("q", rate=(0, 60.0)), ValueError, "both more than 0"),
        (lambda: durable.Field("date"), ValueError, "not 'date'"),
        (lambda: durable.Field("choice"), ValueError, "there are none"),
        (lambda: durable.sleep_until(5), TypeError, "takes a datetime, not 5"),
        (lambda: durable.start(shop.order, "tea", attributes=5), TypeError, "a mapping of names to values, not 5"),
    ],
)
def test_what_could_not_work_is_refused_where_it_is_written(engine, make, error, text):
    """And not later, in a run, or never."""
    with pytest.raises(error, match=text):
        make()
    assert engine.runs() == []


# --- what is told of a failure ----------------------------------------------------------------------------------------


def _raised(error):
    try:
        raise error
    except BaseException as raised:  # noqa: BLE001 - whatever it is
        return raised


def test_the_text_of_a_failure_has_the_frames_of_the_program(engine):
    """In causes, contexts and groups as well; those of Stackful only where they raise what may be a bug in it."""
    group = ExceptionGroup("several", [_raised(KeyError("one")), _raised(OSError("two"))])
    group.__cause__ = _raised(ValueError("cause"))
    status, text = ending_of(group)
    assert status is Status.FAILED
    assert all(each in text for each in ("several", "KeyError: 'one'", "OSError: two", "ValueError: cause"))
    assert text.count("in _raised") == 3
    for call, is_shown in ((lambda: engine.store.run("nobody"), False), (lambda: durable.sleep_until(5), True)):
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is
            text = ending_of(error)[1]
        assert ("stackful/durable/" in text, "in <lambda>" in text) == (is_shown, True)
