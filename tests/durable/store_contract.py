"""What every store of runs must do, whatever database lies beneath: imported whole by the test module of each store.

That module has the fixtures `store` (a fresh one), `other` (a second one on the same database, as another process would have) and `own` (what
stands before the names of the store's tables).
"""

import threading
import time

import pytest

from stackful.durable.records import (
    Change,
    Filter,
    NewRun,
    NewSignal,
    Outcome,
    Queue,
    Reach,
    Save,
    Schedule,
    State,
    Worker,
)
from stackful.durable.store import Run, SavedState, Status
from stackful.errors import RunNotFoundError, StoreError


def a_run(run_id="one", **changes):
    values = dict(
        program="m:f",
        argv=(),
        cwd="",
        every=None,
        python="3.13.0",
        created=100.0,
        kind="function",
        status=Status.PENDING,
    )
    return Run(run_id, **{**values, **changes})


def new(run_id="one", arguments=b"arguments", **changes):
    return NewRun(a_run(run_id, **changes), arguments)


def worker(store, name="w1"):
    store.join(Worker(name, "here", 1, store.now()))
    return name


def save(run_id="one", fence=1, seq=1, data=b"state", change=None, **more):
    return Save(run_id, fence, seq, seq, "step", "m.py:3 f", data, change, **more)


def begun(store, run_id="one", **changes):
    """A run that worker w1 has begun with the fence 1."""
    if "w1" not in [w.id for w in store.workers()]:
        worker(store)
    assert store.add_runs([new(run_id, **changes)], "w1") == [(run_id, 1)]
    return run_id


def ids(claimed):
    return [c.run.id for c in claimed]


# --- adding and reading -----------------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was_added(store, other):
    """Another connection reads every field that was given, and the arguments."""
    run = a_run(
        priority=3, parent=None, attributes={"a": [1, "ü"]}, version="v1", history=5, origin="x@3", deadline=1e12
    )
    store.add_runs([NewRun(run, b"\x00arguments")])
    found = other.run("one")
    for field in "id program kind priority attributes version history origin deadline python created status".split():
        assert getattr(found, field) == getattr(run, field)
    assert (found.seq, found.steps, found.owner, found.started, found.cancelled) == (0, 0, None, None, False)
    assert other.arguments("one") == b"\x00arguments"
    assert other.outcomes(["one"]) == [Outcome("one", Status.PENDING)]


def test_runs_are_found_by_the_beginning_of_their_id(store):
    """A prefix will do when it fits one run; an exact id always fits; nothing else does."""
    store.add_runs([new("order-a"), new("order-b"), new("order")])
    assert store.run("order-b").id == "order-b"
    assert store.run("order").id == "order"
    with pytest.raises(RunNotFoundError, match="'order-' is the start of several"):
        store.run("order-")
    with pytest.raises(RunNotFoundError, match="no run 'nine'"):
        store.run("nine")
    with pytest.raises(RunNotFoundError, match="no run 'nine'"):
        store.outcomes(["order", "nine"])


def test_a_wildcard_is_no_beginning_of_an_id(store):
    """What databases take for a pattern is taken literally."""
    store.add_runs([new("one")])
    for text in ("%", "_ne", "o*"):
        with pytest.raises(RunNotFoundError):
            store.run(text)


def test_runs_are_listed_newest_first_and_by_pages(store):
    """The order is that of creation, and a page is a part of it."""
    store.add_runs([new(f"r{n}", created=float(n // 2)) for n in range(6)])
    assert [run.id for run in store.runs()] == ["r5", "r4", "r3", "r2", "r1", "r0"]
    assert [run.id for run in store.runs(limit=2, offset=3)] == ["r2", "r1"]


def test_runs_are_filtered_by_all_that_is_given(store):
    """Each condition leaves out what does not fit, and they are all in force."""
    store.add_runs([
        new("a", attributes={"customer": "x", "size": 3}, queue="q", created=1.0),
        new("b", attributes={"customer": "x"}, program="m:g", created=2.0),
        new("c", parent="a", created=3.0, attributes={"with.dot": {"deep": [1]}}),
    ])  # fmt: skip

    def found(**conditions):
        return [run.id for run in store.runs(Filter(**conditions))]

    assert found(attributes={"customer": "x"}) == ["b", "a"]
    assert found(attributes={"customer": "x", "size": 3}) == ["a"]
    assert found(attributes={"with.dot": {"deep": [1]}}) == ["c"]
    assert found(program="m:g") == ["b"]
    assert found(queue="q") == ["a"]
    assert found(parent="a") == ["c"]
    assert found(text="m:g") == ["b"]
    assert found(text="%") == []
    assert found(since=2.0, before=3.0) == ["b"]
    assert found(kind="script") == []
    assert found(statuses=(Status.PENDING,), program="m:f") == ["c", "a"]
    assert store.count(Filter(program="m:f")) == {Status.PENDING: 2}


def test_an_id_can_be_taken_once(store):
    """The same run again is the one that is there; another program under its id is refused, and nothing of that call is added."""
    assert store.add_runs([new("one")]) == [("one", 0)]
    assert store.add_runs([new("one", b"other")]) == [("one", -1)]
    assert store.arguments("one") == b"arguments"
    with pytest.raises(StoreError, match="already a run called one"):
        store.add_runs([new("two"), new("one", program="m:g")])
    assert [run.id for run in store.runs()] == ["one"]


def test_a_key_lets_one_run_be_under_way(store):
    """A second run with the key is the first one, until that has ended."""
    begun(store, "one", dedup="k")
    assert store.add_runs([new("two", dedup="k")]) == [("one", -1)]
    assert store.commit([save(change=Change(Status.FINISHED), data=None)]) == []
    assert store.add_runs([new("two", dedup="k")]) == [("two", 0)]


# --- claims and fences ------------------------------------------------------------------------------------------------


def test_a_run_is_claimed_once(store, other):
    """Whoever claims a run has it alone, with a fence and the arguments."""
    store.add_runs([new("one"), new("two")])
    (first,) = store.claim(worker(store), 1)
    (second,) = other.claim(worker(other, "w2"), 10)
    assert {first.run.id, second.run.id} == {"one", "two"}
    assert (first.run.status, first.run.owner, first.fence, first.arguments) == (Status.RUNNING, "w1", 1, b"arguments")
    assert first.state is None
    assert first.run.started is not None
    assert store.claim("w1", 10) == []


def test_runs_that_begin_at_once_are_claimed_as_they_are_added(store):
    """One transaction adds a run and gives it to the worker that will run it; those in a queue or of later wait."""
    worker(store)
    later = store.now() + 100
    added = store.add_runs([new("now"), new("later", wake=later), new("queued", queue="q")], "w1")
    assert added == [("now", 1), ("later", 0), ("queued", 0)]
    assert (store.run("now").status, store.run("now").owner) == (Status.RUNNING, "w1")
    assert store.run("later").wake == pytest.approx(later, abs=0.001)
    assert ids(store.claim("w1", 10)) == ["queued"]


def test_a_state_is_committed_and_loaded(store, other):
    """What was saved last is what is there, with its number, place and size; nothing grows."""
    begun(store)
    for seq in (1, 2):
        assert store.commit([save(seq=seq, data=b"state" * seq)]) == []
    state = other.state("one")
    assert (state.seq, state.steps, state.step, state.line, state.data) == (2, 2, "step", "m.py:3 f", b"statestate")
    run = other.run("one")
    assert (run.seq, run.steps, run.step, run.line, run.size) == (2, 2, "step", "m.py:3 f", 10)
    assert [c.seq for c in other.checkpoints("one")] == [2]


def test_many_runs_are_committed_together(store):
    """One commit takes the states of many runs, of which some change more than others."""
    for name in "abc":
        begun(store, name)
    assert store.commit([save("a"), save("b", change=Change(attributes={"x": 1})), save("c", seq=5)]) == []
    assert [store.run(name).seq for name in "abc"] == [1, 1, 5]
    assert store.run("b").attributes == {"x": 1}


def test_a_lost_fence_commits_nothing_of_its_run_and_all_of_the_others(store, other):
    """A worker that was taken over learns which runs it lost; their states are those of the new owner."""
    begun(store, "one")
    begun(store, "two")
    store.commit([save("one", data=b"old")])
    store.release({"one": 1})
    (claimed,) = other.claim(worker(other, "w2"), 1)
    assert claimed.fence > 1
    assert claimed.state.data == b"old"
    stale = Change(Status.FINISHED, result=b"r", attributes={"x": 1}, runs=(new("child"),))
    lost = store.commit([save("one", seq=2, data=b"stale"), save("two", seq=2)])
    assert lost == ["one"]
    assert store.commit([save("one", seq=2, data=b"stale", change=stale)]) == ["one"]
    assert store.commit([save("one", data=None, change=stale)]) == ["one"]
    assert (other.state("one").data, other.run("one").owner) == (b"old", "w2")
    assert [run.id for run in other.runs()] == ["two", "one"]
    assert store.run("two").seq == 2
    assert other.commit([save("one", claimed.fence, 2, b"new")]) == []


def test_a_dead_workers_runs_are_due_at_once_with_another_fence(store, other):
    """Leaving gives runs back; the leaver's fence is of no use any more."""
    begun(store)
    store.commit([save()])
    store.leave("w1")
    (claimed,) = other.claim(worker(other, "w2"), 10)
    assert (claimed.run.id, claimed.state.data, claimed.state.seq) == ("one", b"state", 1)
    assert store.commit([save(seq=2)]) == ["one"]
    assert [w.id for w in other.workers()] == ["w2"]


def test_a_run_sleeps_until_its_time(store):
    """A sleeping run belongs to nobody and is claimed when its time has come, with its state."""
    begun(store)
    wake = store.now() + 0.2
    assert store.commit([save(change=Change(Status.SLEEPING, wake=wake))]) == []
    run = store.run("one")
    assert (run.status, run.owner, run.wake) == (Status.SLEEPING, None, pytest.approx(wake, abs=0.001))
    assert store.claim("w1", 10) == []
    assert store.next_due() == pytest.approx(wake, abs=0.001)
    time.sleep(0.25)
    (claimed,) = store.claim("w1", 10)
    assert (claimed.fence, claimed.state.data, claimed.run.wake) == (2, b"state", None)
    assert store.next_due() is None


def test_a_run_that_sleeps_can_be_claimed_before_its_time(store):
    """With its time; who waits, or has not begun, is claimed when its time has come."""
    wake = store.now() + 50
    begun(store, "asleep")
    begun(store, "waiting")
    changes = {
        "asleep": Change(Status.SLEEPING, wake=wake),
        "waiting": Change(Status.WAITING, wake=wake, waits="signal:x"),
    }
    store.commit([save(name, change=change) for name, change in changes.items()])
    store.add_runs([new("delayed", wake=wake)])
    assert store.claim("w1", 10, ahead=40) == []
    (claimed,) = store.claim("w1", 10, ahead=60)
    assert (claimed.run.id, claimed.run.status, claimed.run.wake) == ("asleep", Status.RUNNING, None)
    assert (claimed.wake, claimed.fence, claimed.state.data) == (pytest.approx(wake, abs=0.001), 2, b"state")
    assert store.claim("w1", 10, ahead=60) == []


def test_a_deadline_wakes_before_the_time(store):
    """A run that would sleep beyond its deadline is due at the deadline."""
    begun(store, deadline=store.now() + 50)
    store.commit([save(change=Change(Status.SLEEPING, wake=store.now() + 100))])
    assert store.next_due() == pytest.approx(store.now() + 50, abs=5)
    begun(store, "two", deadline=store.now() + 20)
    store.commit([save("two", change=Change(Status.WAITING, waits="signal:x"))])
    assert store.next_due() == pytest.approx(store.now() + 20, abs=5)


def test_releasing_is_for_those_who_hold_a_run(store):
    """Giving back what was lost, or has ended, does nothing."""
    begun(store, "one")
    begun(store, "two")
    store.commit([save("two", data=None, change=Change(Status.FINISHED))])
    store.release({"one": 7, "two": 1})
    assert store.claim("w1", 10) == []
    store.release({"one": 1})
    assert ids(store.claim("w1", 10)) == ["one"]


# --- ends -------------------------------------------------------------------------------------------------------------


def test_a_finished_run_leaves_its_result(store):
    """The state goes, the result stays, and nothing is due."""
    begun(store)
    store.commit([save()])
    store.commit([save(seq=2, data=None, change=Change(Status.FINISHED, result=b"result"))])
    assert store.outcomes(["one"]) == [Outcome("one", Status.FINISHED, b"result", None)]
    assert (store.state("one"), store.claim("w1", 10), store.next_due()) == (None, [], None)
    assert store.run("one").owner is None


def test_a_failed_run_keeps_its_state_and_can_be_tried_again(store):
    """It goes on from the last good state, under another fence; other runs cannot."""
    begun(store)
    store.commit([save()])
    store.commit([save(seq=2, data=None, change=Change(Status.FAILED, error="Traceback: no"))])
    assert store.outcomes(["one"]) == [Outcome("one", Status.FAILED, None, "Traceback: no")]
    assert store.claim("w1", 10) == []
    store.retry("one")
    assert (store.run("one").status, store.run("one").error) == (Status.PENDING, None)
    with pytest.raises(StoreError, match="one is pending: only a run"):
        store.retry("one")
    (claimed,) = store.claim("w1", 10)
    assert (claimed.fence > 1, claimed.state.data, claimed.state.seq) == (True, b"state", 1)


def test_a_failed_run_can_leave_another_state_to_be_tried_again_from(store):
    """Which is its last one from then on; what only the one before needed is dropped."""
    begun(store)
    store.commit([save(blobs={"d1": b"early"})])
    store.commit([save(seq=2, blobs={"d2": b"late"})])
    change = Change(Status.FAILED, error="no")
    store.commit([save(seq=3, data=b"before", change=change, unused=("d2",))])
    assert (store.run("one").status, store.run("one").owner, store.state("one").data) == (
        Status.FAILED,
        None,
        b"before",
    )
    assert store.blobs(["d1", "d2"]) == {"d1": b"early"}
    store.retry("one")
    (claimed,) = store.claim("w1", 10)
    assert (claimed.state.data, claimed.state.seq) == (b"before", 3)


def test_a_run_that_failed_before_its_first_state_begins_anew(store):
    """It is claimed with its arguments again."""
    begun(store)
    store.commit([save(data=None, change=Change(Status.FAILED, error="no"))])
    store.retry("one")
    (claimed,) = store.claim("w1", 10)
    assert (claimed.state, claimed.arguments) == (None, b"arguments")


def test_ended_runs_can_be_deleted(store):
    """What has ended can be forgotten with all that belongs to it; what goes on stays."""
    for name in "ab":
        begun(store, name)
    store.commit([save("a", blobs={"d1": b"large"}, history=2)])
    store.commit([save("a", data=None, change=Change(Status.FINISHED))])
    assert store.blobs(["d1"]) == {"d1": b"large"}
    assert store.delete(["a", "b", "c"]) == 1
    assert [run.id for run in store.runs()] == ["b"]
    assert store.blobs(["d1"]) == {}


# --- large values -----------------------------------------------------------------------------------------------------


def test_sizes_count_large_values(store):
    """Those that a state, or a checkpoint, needs; each its own, whoever shares them."""
    begun(store, history=3)
    store.commit([save(data=b"1" * 10, blobs={"d1": b"a" * 100, "d2": b"b" * 1000}, history=3)])
    assert (store.run("one").size, store.runs()[0].size) == (1110, 1110)
    store.commit([save(seq=2, data=b"2" * 20, blobs={"d3": b"c" * 10000}, unused=("d2",), history=3)])
    assert store.run("one").size == 10120
    assert [(each.seq, each.size) for each in store.checkpoints("one")] == [(2, 10120), (1, 1110)]
    begun(store, "two")
    assert store.run("two").size == 0
    store.commit([save(seq=3, data=None, change=Change(Status.FINISHED), unused=(), history=3)])
    assert store.run("one").size == 0
    assert [each.size for each in store.checkpoints("one")] == [10120, 1110]


def there(store):
    """Which of the large values a, b, c, d are in the store."""
    return "".join(sorted(store.blobs(list("abcd"))))


def test_large_values_are_stored_with_the_state_that_needs_them(store, other):
    """They are there for all, by digest; what is not there is left out; those that are there already stay as they are."""
    begun(store)
    store.commit([save(blobs={"a": b"A" * 100_000, "b": b""})])
    store.commit([save(seq=2, blobs={"b": b"other", "c": b"C"})])
    assert other.blobs(["c", "b", "a", "x"]) == {"a": b"A" * 100_000, "b": b"", "c": b"C"}
    assert other.blobs([]) == {}


def test_large_values_are_dropped_when_they_are_unused(store):
    """Those that are told, in the commit of the state that does without; one that comes back is kept."""
    begun(store)
    store.commit([save(blobs={"a": b"A", "b": b"B"})])
    store.commit([save(seq=2, blobs={"c": b"C"}, unused=("a",))])
    assert there(store) == "bc"
    store.commit([save(seq=3, blobs={"a": b"A"}, unused=("b", "d"))])
    assert there(store) == "ac"
    store.commit([save(seq=4, unused=())])
    assert there(store) == "ac"


def test_large_values_stay_as_long_as_a_run_needs_them(store):
    """What several runs refer to is stored once, and dropped by the last."""
    for name in "xyz":
        begun(store, name)
    store.commit([save(name, blobs={"a": b"A", name.replace("x", "b"): b"B"}) for name in "xyz"])
    store.commit([save("x", seq=2, unused=("a",)), save("y", data=None, change=Change(Status.FINISHED), unused=())])
    assert there(store) == "ab"
    store.commit([save("z", data=None, change=Change(Status.CANCELLED), unused=())])
    assert there(store) == "b"


def test_large_values_of_a_run_that_failed_stay(store):
    """It can be tried again: its state needs them."""
    begun(store)
    store.commit([save(blobs={"a": b"A"})])
    store.commit([save(data=None, change=Change(Status.FAILED, error="no"))])
    assert there(store) == "a"
    store.delete(["one"])
    assert there(store) == ""


def test_a_lost_fence_neither_stores_nor_drops_large_values_of_the_run(store):
    """Of a run that is another worker's nothing changes."""
    for name in "xy":
        begun(store, name)
    store.commit([save("x", blobs={"a": b"A"}), save("y", blobs={"a": b"A"})])
    lost = save("x", fence=7, seq=2, blobs={"b": b"B"}, unused=("a",))
    assert store.commit([lost]) == ["x"]
    assert there(store) == "a"
    assert store.commit([lost, save("y", seq=2, blobs={"c": b"C"}, unused=("a",))]) == ["x"]
    assert there(store) == "ac"
    assert store.commit([save("x", fence=7, data=None, change=Change(Status.FINISHED), unused=())]) == ["x"]
    assert there(store) == "ac"


def test_checkpoints_keep_their_large_values(store):
    """From the state that they came with to the one before they were unused: as long as one of those is kept, also when the run has ended."""
    begun(store, history=2)
    store.commit([save(blobs={"a": b"A"}, history=2)])
    store.commit([save(seq=2, blobs={"b": b"B"}, unused=("a",), history=2)])
    store.commit([save(seq=3, blobs={"c": b"C"}, unused=("b",), history=2)])
    kept = [checkpoint.seq for checkpoint in store.checkpoints("one")]
    assert there(store) == "".join(letter for seq, letter in enumerate("abc", 1) if seq in kept)
    for seq in range(4, 20):
        store.commit([save(seq=seq, history=2)])
    store.commit([save(seq=20, blobs={"d": b"D"}, unused=("c",), history=2)])
    assert there(store) == "cd"  # others of those that need it are kept
    assert 2 not in [checkpoint.seq for checkpoint in store.checkpoints("one")]
    store.commit([save(seq=20, data=None, change=Change(Status.FINISHED), unused=())])
    assert there(store) == "cd"
    store.delete(["one"])
    assert there(store) == ""


def test_a_run_is_added_with_the_large_values_of_its_state(store):
    """Where it is there already nothing is stored."""
    state = State("one", 3, 3, "s", "l", 1.0, 5, b"state")
    run = a_run(seq=3)
    store.add_runs([NewRun(run, b"", state=state, blobs={"a": b"A"}), NewRun(a_run("two"), b"")])
    assert store.add_runs([NewRun(run, b"", state=state, blobs={"b": b"B"})]) == [("one", -1)]
    assert there(store) == "a"
    worker(store)
    claimed = {c.run.id: c for c in store.claim("w1", 10)}
    assert claimed["one"].state.data == b"state"
    store.commit([save("one", data=None, seq=3, change=Change(Status.FINISHED), unused=())])
    assert there(store) == ""


def test_a_shared_transaction_stores_and_drops_large_values(store):
    """With the rest of it, or not at all."""
    begun(store)
    store.commit([save(blobs={"a": b"A"})])
    with store.transaction() as shared:
        assert shared.save(save(seq=2, blobs={"b": b"B"}, unused=("a",)))
    assert there(store) == "b"
    with pytest.raises(ValueError, match="no"), store.transaction() as shared:
        shared.save(save(seq=3, blobs={"c": b"C"}, unused=("b",)))
        raise ValueError("no")
    assert there(store) == "b"


def test_large_values_that_come_and_go_at_once_are_there_for_who_needs_them(store, other):
    """Two connections store and drop the same ones again and again: none is missing to who has just stored it, none is left in the end."""
    for name in ("x", "y"):
        begun(store, name)

    def toss(connection, name, lost):
        for seq in range(1, 60, 2):
            connection.commit([save(name, seq=seq, blobs={"a": b"A", "b": b"B"})])
            if there(connection) != "ab":
                lost.append(seq)
            connection.commit([save(name, seq=seq + 1, unused=("a", "b"))])

    lost = []
    threads = [threading.Thread(target=toss, args=(c, name, lost)) for c, name in ((store, "x"), (other, "y"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lost == []
    store.delete(["none"])
    assert there(store) == ""


# --- signals ----------------------------------------------------------------------------------------------------------


def test_signals_are_read_in_order_and_consumed_with_a_state(store, other):
    """A signal stays until a state that has it behind it is committed."""
    begun(store)
    assert (
        other.send([NewSignal("one", "go", b"1"), NewSignal("one", "stop", b"2"), NewSignal("one", "go", b"3")])
        == [True] * 3
    )
    go = store.signals("one", "go")
    assert [s.payload for s in go] == [b"1", b"3"]
    assert [s.payload for s in store.signals("one")] == [b"1", b"2", b"3"]
    store.commit([save(change=Change(consumed=(go[0].id,)))])
    assert [s.payload for s in store.signals("one", "go")] == [b"3"]


def test_a_waiting_run_is_due_when_its_signal_comes(store, other):
    """Only the signal that it waits for makes it due."""
    begun(store)
    store.commit([save(change=Change(Status.WAITING, waits="signal:go", question='{"text": "go?"}'))])
    assert (store.run("one").waits, store.run("one").question) == ("signal:go", '{"text": "go?"}')
    other.send([NewSignal("one", "stop", b"")])
    assert store.claim("w1", 10) == []
    other.send([NewSignal("one", "go", b"now")])
    (claimed,) = store.claim("w1", 10)
    assert (claimed.run.waits, claimed.run.id) == ("signal:go", "one")
    assert (store.run("one").waits, store.run("one").question) == (None, None)


def test_a_signal_that_came_before_makes_due_at_once(store):
    """No signal falls between looking and waiting; one that was consumed does not count."""
    begun(store)
    store.send([NewSignal("one", "go", b"now")])
    store.commit([save(change=Change(Status.WAITING, waits="signal:go"))])
    (claimed,) = store.claim("w1", 10)
    (signal,) = store.signals("one")
    waits = Change(Status.WAITING, waits="signal:go", consumed=(signal.id,))
    store.commit([save(fence=claimed.fence, seq=2, change=waits)])
    assert store.claim("w1", 10) == []


def test_a_signal_with_a_key_is_taken_once(store):
    """The second one is dropped, even when the first has been consumed."""
    begun(store)
    assert store.send([NewSignal("one", "go", b"1", "k"), NewSignal("one", "go", b"2", "k")]) == [True, False]
    (signal,) = store.signals("one")
    store.commit([save(change=Change(consumed=(signal.id,)))])
    assert store.send([NewSignal("one", "go", b"3", "k")]) == [False]
    assert store.signals("one") == []


def test_signals_to_nobody_are_refused_or_dropped(store):
    """An unknown run is an error, and then none is sent; a finished one hears nothing more; one that failed may be tried again."""
    for name in ("one", "gone", "failed"):
        begun(store, name)
    store.commit([save("gone", data=None, change=Change(Status.FINISHED))])
    store.commit([save("failed", data=None, change=Change(Status.FAILED))])
    with pytest.raises(RunNotFoundError, match="nine"):
        store.send([NewSignal("one", "go", b""), NewSignal("nine", "go", b"")])
    assert store.signals("one") == []
    assert store.send([NewSignal("gone", "go", b""), NewSignal("failed", "go", b"")]) == [False, True]


def test_a_run_sends_signals_with_its_state(store):
    """They are there when the state is; to a run that is not there, nobody hears them."""
    for name in "ab":
        begun(store, name)
    store.commit([save("b", change=Change(Status.WAITING, waits="signal:go"))])
    signals = (NewSignal("b", "go", b"1"), NewSignal("nobody", "go", b"2"))
    assert store.commit([save("a", change=Change(signals=signals))]) == []
    assert ids(store.claim("w1", 10)) == ["b"]


# --- children and those who wait for them -----------------------------------------------------------------------------


def test_children_are_added_with_the_state_of_their_parent(store):
    """A child and the state after its start are there together, once."""
    begun(store)
    children = (new("a", parent="one"), new("b", parent="one"))
    for seq in (1, 2):
        store.commit([save(seq=seq, change=Change(runs=children))])
    assert store.children("one") == ["a", "b"]
    assert sorted(ids(store.claim("w1", 10))) == ["a", "b"]


def test_a_run_waits_for_others_to_end(store):
    """It is due when the last of them has finished."""
    for name in ("one", "a", "b"):
        begun(store, name)
    store.commit([save(change=Change(Status.WAITING, waits="runs:2", awaits=("a", "b")))])
    store.commit([save("a", data=None, change=Change(Status.FINISHED, result=b"A"))])
    assert store.claim("w1", 10) == []
    store.commit([save("b", data=None, change=Change(Status.FINISHED, result=b"B"))])
    assert ids(store.claim("w1", 10)) == ["one"]
    assert [o.result for o in store.outcomes(["b", "a"])] == [b"B", b"A"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_one_failure_wakes_who_waits_for_many(store, status):
    """The first that ends without success makes the waiting run due."""
    for name in ("one", "a", "b"):
        begun(store, name)
    store.commit([save(change=Change(Status.WAITING, waits="runs:2", awaits=("a", "b")))])
    store.commit([save("b", data=None, change=Change(status, error="no"))])
    assert ids(store.claim("w1", 10)) == ["one"]


@pytest.mark.parametrize(("ended", "is_due"), [((), False), (("a",), False), (("a", "b"), True)])
def test_those_that_have_ended_need_not_be_awaited(store, ended, is_due):
    """An end before the wait counts as one after it."""
    for name in ("one", "a", "b"):
        begun(store, name)
    for name in ended:
        store.commit([save(name, data=None, change=Change(Status.FINISHED))])
    store.commit([save(change=Change(Status.WAITING, waits="runs:2", awaits=("a", "b")))])
    assert (ids(store.claim("w1", 10)) == ["one"]) is is_due


def test_a_failure_before_the_wait_makes_due_at_once(store):
    """Nobody waits for the rest when one has failed already."""
    for name in ("one", "a", "b"):
        begun(store, name)
    store.commit([save("a", data=None, change=Change(Status.FAILED))])
    store.commit([save(change=Change(Status.WAITING, waits="runs:2", awaits=("a", "b")))])
    assert ids(store.claim("w1", 10)) == ["one"]


# --- cancelling -------------------------------------------------------------------------------------------------------


def test_cancelling_ends_what_never_began(store):
    """It is cancelled at once, and who waits for it is due."""
    begun(store, "waiter")
    store.add_runs([new("one", queue="q")])
    store.commit([save("waiter", change=Change(Status.WAITING, waits="run:one", awaits=("one",)))])
    assert store.cancel("one") is Status.CANCELLED
    assert ids(store.claim("w1", 10)) == ["waiter"]
    assert store.outcomes(["one"])[0].status is Status.CANCELLED


def test_cancelling_wakes_what_sleeps_and_marks_what_runs(store):
    """A sleeping run is claimed to be cancelled; a running one is told; one that has ended stays."""
    for name in ("sleeps", "runs", "ended"):
        begun(store, name)
    store.commit([save("sleeps", change=Change(Status.SLEEPING, wake=store.now() + 100))])
    store.commit([save("ended", data=None, change=Change(Status.FINISHED))])
    assert store.cancel("sleeps") is Status.SLEEPING
    (claimed,) = store.claim("w1", 10)
    assert (claimed.run.id, claimed.run.cancelled) == ("sleeps", True)
    assert store.cancel("runs") is Status.RUNNING
    assert sorted(store.cancelled("w1")) == ["runs", "sleeps"]
    assert store.cancel("ended") is Status.FINISHED
    assert not store.run("ended").cancelled


@pytest.mark.parametrize("status", [Status.SLEEPING, Status.WAITING])
def test_a_run_that_has_been_told_of_its_end_sleeps_as_others_do(store, status):
    """Neither the flag nor a deadline that has passed makes it due."""
    begun(store, deadline=store.now() + 0.01)
    store.cancel("one")
    time.sleep(0.02)
    wake = store.now() + 100
    assert store.commit([save(change=Change(status, wake=wake, told=True))]) == []
    assert store.claim("w1", 10) == []
    assert store.next_due() == wake


def test_a_run_that_was_cancelled_does_not_fall_asleep(store):
    """A cancellation that comes while it runs is not slept through."""
    begun(store)
    store.cancel("one")
    store.commit([save(change=Change(Status.SLEEPING, wake=store.now() + 100))])
    (claimed,) = store.claim("w1", 10)
    assert claimed.run.cancelled


def test_who_listens_is_told_when_a_run_that_falls_asleep_is_due_at_once(store):
    """It was cancelled meanwhile: nobody else would tell that there is something to claim."""
    begun(store)
    heard = []

    def hear_of(*kinds):
        for _ in range(1000):
            if set(kinds) <= set(heard):
                return
            time.sleep(0.01)
        raise AssertionError(heard)

    end = store.listen(lambda kind, _: heard.append(kind))
    store.cancel("one")
    hear_of("cancel", "due")
    time.sleep(0.2)  # there is no more to come of that
    heard.clear()
    store.commit([save(change=Change(Status.WAITING, waits="signal:go"))])
    hear_of("due")
    end()


# --- queues -----------------------------------------------------------------------------------------------------------


def test_a_queue_admits_as_many_as_it_may(store):
    """Sleeping ones count too; when one ends, the next is admitted; other queues are not concerned."""
    worker(store)
    store.put_queue(Queue("q", concurrency=2))
    store.add_runs([new(f"r{n}", queue="q") for n in range(4)] + [new("free", queue="other")])
    assert sorted(ids(store.claim("w1", 10))) == ["free", "r0", "r1"]
    assert store.claim("w1", 10) == []
    store.commit([save("r0", change=Change(Status.SLEEPING, wake=store.now() + 100))])
    assert store.claim("w1", 10) == []
    store.commit([save("r1", data=None, change=Change(Status.FINISHED))])
    assert ids(store.claim("w1", 10)) == ["r2"]
    assert store.queues() == [Queue("q", concurrency=2)]


def test_a_queue_keeps_its_rate(store):
    """So many begin in so many seconds, and the store says when the next may."""
    worker(store)
    store.put_queue(Queue("q", rate=(2, 0.5)))
    store.add_runs([new(f"r{n}", queue="q") for n in range(3)])
    assert ids(store.claim("w1", 10)) == ["r0", "r1"]
    assert store.claim("w1", 10) == []
    assert store.now() < store.next_due() <= store.now() + 0.5
    time.sleep(0.55)
    assert ids(store.claim("w1", 10)) == ["r2"]


def test_greater_priorities_go_first(store):
    """Within a queue: by priority, then by age."""
    worker(store)
    store.put_queue(Queue("q", concurrency=1))
    store.add_runs([new(f"p{priority}-{n}", queue="q", priority=priority) for n in range(2) for priority in (1, 5, 3)])
    order = []
    for _ in range(6):
        ((name,),) = [ids(store.claim("w1", 10))]
        order.append(name)
        store.commit([save(name, data=None, change=Change(Status.FINISHED))])
    assert order == ["p5-0", "p5-1", "p3-0", "p3-1", "p1-0", "p1-1"]


def test_a_delayed_run_enters_its_queue_when_its_time_has_come(store):
    """Before that it is not in the way of others."""
    worker(store)
    store.put_queue(Queue("q", concurrency=1))
    store.add_runs([new("later", queue="q", wake=store.now() + 0.2), new("now", queue="q", created=200.0)])
    assert ids(store.claim("w1", 10)) == ["now"]
    time.sleep(0.25)
    assert store.claim("w1", 10) == []
    store.commit([save("now", data=None, change=Change(Status.FINISHED))])
    assert ids(store.claim("w1", 10)) == ["later"]


def test_who_waits_for_a_turn_is_not_due(store):
    """A full queue is no reason to look again at once."""
    worker(store)
    store.put_queue(Queue("q", concurrency=1))
    store.add_runs([new("a", queue="q"), new("b", queue="q")])
    store.claim("w1", 10)
    assert store.next_due() is None


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        (Reach(), ["f-b", "f-none", "g-a", "g-none"]),
        (Reach(programs=("m:g",)), ["g-a", "g-none"]),
        (Reach(queues=("a", "c")), ["g-a"]),
        (Reach(queues=("b", "-")), ["f-b", "f-none", "g-none"]),
        (Reach(programs=("m:f",), queues=("-",)), ["f-none"]),
        (Reach(programs=()), []),
    ],
)
def test_a_worker_takes_what_is_within_its_reach(store, reach, expected):
    """Of its programs and queues; and nothing is due for it beyond them."""
    worker(store)
    store.add_runs([
        new("f-none"), new("g-none", program="m:g"), new("f-b", queue="b"), new("g-a", program="m:g", queue="a"),
    ])  # fmt: skip
    assert (store.next_due(reach) is not None) == bool(expected)
    assert sorted(ids(store.claim("w1", 10, reach))) == expected
    assert store.next_due(reach) is None


# --- history ----------------------------------------------------------------------------------------------------------


def test_history_is_thinned_with_age(store):
    """The last K states are all there, of older ones every second, fourth, ...: the number kept grows with the logarithm."""
    begun(store)
    for seq in range(1, 101):
        store.commit([save(seq=seq, data=b"%d" % seq, history=4)])
    kept = [c.seq for c in store.checkpoints("one")]
    assert kept[:5] == [100, 99, 98, 97, 96]
    assert len(kept) <= 4 * 7
    assert kept == sorted(kept, reverse=True)
    assert min(kept) <= 50
    assert store.load_state("one", 98).data == b"98"
    with pytest.raises(StoreError, match="no checkpoint 95 any more; kept are: .*96, 97"):
        store.load_state("one", 95)


def test_history_outlives_the_end(store):
    """A finished run with history can still be looked at; one without has nothing left."""
    begun(store)
    store.commit([save(history=4)])
    store.commit([save(seq=2, data=None, change=Change(Status.FINISHED))])
    assert [c.seq for c in store.checkpoints("one")] == [1]
    assert store.load_state("one", 1).data == b"state"


def test_a_fork_goes_on_from_the_state_that_it_was_given(store):
    """A run that is added with a state is claimed with it."""
    worker(store)
    state = State("fork", 7, 5, "pay", "m.py:9 f", 0.0, 5, b"state")
    assert store.add_runs([NewRun(a_run("fork", origin="one@7"), b"arguments", state=state)]) == [("fork", 0)]
    (claimed,) = store.claim("w1", 10)
    assert (claimed.state.data, claimed.state.seq, claimed.state.steps, claimed.state.step) == (b"state", 7, 5, "pay")
    assert claimed.run.origin == "one@7"


# --- transactions that are shared -------------------------------------------------------------------------------------


def test_a_shared_transaction_commits_the_state_with_the_rest(store, other):
    """What the code wrote and the state after it are there together."""
    begun(store)
    with store.transaction() as shared:
        shared.connection.execute("CREATE TABLE mine (x INTEGER)")
        shared.connection.execute("INSERT INTO mine VALUES (1)")
        assert shared.save(save()) is True
    assert store.run("one").seq == 1
    with other.transaction() as shared:
        assert shared.connection.execute("SELECT x FROM mine").fetchall() == [(1,)]


def test_a_shared_transaction_without_a_state_is_rolled_back(store):
    """Neither an exception nor a lost fence nor forgetting to save leaves anything."""
    begun(store)
    with store.transaction() as shared:
        shared.connection.execute("CREATE TABLE mine (x INTEGER)")
        shared.save(save())
    with pytest.raises(ZeroDivisionError), store.transaction() as shared:
        shared.connection.execute("INSERT INTO mine VALUES (1)")
        1 / 0
    with store.transaction() as shared:
        shared.connection.execute("INSERT INTO mine VALUES (2)")
        assert shared.save(save(fence=9, seq=2)) is False
    with store.transaction() as shared:
        shared.connection.execute("INSERT INTO mine VALUES (3)")
    with store.transaction() as shared:
        assert shared.connection.execute("SELECT * FROM mine").fetchall() == []
    assert store.run("one").seq == 1


@pytest.mark.parametrize("text", ["COMMIT", "ROLLBACK", "DELETE FROM {}runs", "UPDATE {}states SET fence = 1"])
def test_code_in_a_shared_transaction_leaves_the_store_alone(store, own, text):
    """It can neither end the transaction nor write to the store's own tables."""
    begun(store)
    with pytest.raises(StoreError, match=r"transaction\(\)"), store.transaction() as shared:
        shared.connection.execute(text.format(own))
    assert store.run("one").id == "one"


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_fires_once_for_each_time(store, other):
    """Of two workers that find it due, one adds the run."""
    schedule = Schedule("nightly", "m:f", "0 3 * * *", "UTC", next=50.0, arguments=b"a")
    store.put_schedule(schedule)
    assert other.schedules() == [schedule]
    assert store.next_due() == 50.0
    assert store.fire(schedule, 150.0, new("n50")) is True
    assert other.fire(schedule, 150.0, new("n50b")) is False
    assert [run.id for run in store.runs()] == ["n50"]
    assert store.schedules()[0].next == 150.0


def test_a_schedule_is_due_for_those_who_take_its_runs(store):
    """Who cannot start its run is not woken for it."""
    when = store.now() + 10
    store.put_schedule(Schedule("s", "m:f", "* * * * *", "UTC", when, b"", "q"))
    assert store.next_due() == when
    assert store.next_due(Reach(("m:f",), ("q",))) == when
    assert store.next_due(Reach(("m:g",))) is None
    assert store.next_due(Reach(queues=("-",))) is None
    assert store.next_due(Reach(unread=("s",))) is None
    assert store.next_due(Reach(unread=("t",))) == when


def test_a_schedule_that_is_put_again_keeps_its_next_time(store):
    """A restart of the program does not skip or repeat; another cron text begins anew."""
    store.put_schedule(Schedule("s", "m:f", "* * * * *", "UTC", next=50.0))
    store.put_schedule(Schedule("s", "m:f", "* * * * *", "UTC", next=70.0, arguments=b"x"))
    assert (store.schedules()[0].next, store.schedules()[0].arguments) == (50.0, b"x")
    store.put_schedule(Schedule("s", "m:f", "0 * * * *", "UTC", next=90.0))
    assert store.schedules()[0].next == 90.0
    store.drop_schedule("s")
    assert store.schedules() == []


# --- wake-ups ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["here", "elsewhere"])
def test_who_listens_hears_of_what_happens(store, other, side):
    """Work, ends, cancellations and signals are told, whoever brought them about; after the end of listening nothing is."""
    heard = []
    news = threading.Condition()

    def callback(kind, subject):
        with news:
            heard.append((kind, subject))
            news.notify_all()

    def wait_for(*wanted):
        with news:
            assert news.wait_for(lambda: "lost" in dict(heard) or set(wanted) <= set(heard), 10), heard
            heard.clear()

    begun(store)
    actor = store if side == "here" else other
    end = store.listen(callback)
    actor.add_runs([new("two")])
    wait_for(("due", ""))
    actor.cancel("one")
    wait_for(("cancel", "one"))
    actor.send([NewSignal("one", "go", b"")])
    wait_for(("signal", "one"))
    actor.commit([save(data=None, change=Change(Status.FINISHED))])
    wait_for(("ended", "one"))
    end()
    heard.clear()
    actor.add_runs([new("three")])
    time.sleep(0.05)
    assert heard == []


def test_threads_share_a_store(store):
    """Many threads add, commit and read at once, and nothing is lost."""
    worker(store)
    failures = []

    def work(number):
        try:
            for n in range(10):
                name = f"t{number}-{n}"
                begun(store, name)
                assert store.commit([save(name)]) == []
                assert store.run(name).seq == 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.count() == {Status.RUNNING: 40}


def test_the_text_of_a_script_changes_with_its_checkpoint(store):
    """In one transaction; what says nothing of a text leaves it."""
    run = Run("script", "/x/s.py", ("s.py",), "/", None, "3.13.0", 1.0)
    store.add_run(run, b"first")
    store.add_checkpoint("script", SavedState(b"e", b"p"), Change())
    assert store.source(run) == b"first"
    store.add_checkpoint("script", SavedState(b"e", b"q"), Change(source=b"second"))
    assert (store.source(run), store.checkpoints("script")[0].seq) == (b"second", 2)


@pytest.mark.parametrize(
    ("status", "is_kept"), [(Status.FINISHED, False), (Status.CANCELLED, False), (Status.FAILED, True)]
)
def test_the_end_of_a_script_is_the_end_of_a_run(store, status, is_kept):
    """Whoever waits for it is due; only one that has failed can be gone on with."""
    store.add_run(Run("script", "/x/s.py", ("s.py",), "/", None, "3.13.0", 1.0), b"text")
    store.add_checkpoint("script", SavedState(b"e", b"p"))
    begun(store)
    store.commit([save(change=Change(Status.WAITING, waits="run:script", awaits=("script",)))])
    assert store.claim("w1", 10) == []
    store.set_status("script", status, 1)
    assert [claimed.run.id for claimed in store.claim("w1", 10)] == ["one"]
    assert bool(store.checkpoints("script")) is is_kept
    assert store.outcomes(["script"])[0].status is status


def test_large_values_of_scripts_stay_as_long_as_a_checkpoint_needs_them(store):
    """Of two that are kept; then, and at the end of the run, they are dropped. What has failed can go on."""
    for name in ("script", "other"):
        store.add_run(Run(name, "/x/s.py", ("s.py",), "/", None, "3.13.0", 1.0), b"text")
    store.add_checkpoint("script", SavedState(b"e", b"1", {"d1": b"a" * 10, "d2": b"b" * 100}))
    store.add_checkpoint("other", SavedState(b"e", b"1", {"d2": b"b" * 100}))
    store.add_checkpoint("script", SavedState(b"e", b"2", {"d3": b"c" * 1000}, ("d1", "d2")))
    assert set(store.blobs(["d1", "d2", "d3"])) == {"d1", "d2", "d3"}
    assert [(each.seq, each.size) for each in store.checkpoints("script")] == [(2, 1002), (1, 112)]
    store.add_checkpoint("script", SavedState(b"e", b"3"))
    assert set(store.blobs(["d1", "d2", "d3"])) == {"d2", "d3"}
    with store.transaction() as shared:
        shared.add_checkpoint("script", SavedState(b"e", b"4", {"d1": b"a" * 10}))
    assert set(store.blobs(["d1", "d2", "d3"])) == {"d1", "d2", "d3"}
    store.set_status("script", Status.FAILED, 1)
    assert set(store.blobs(["d1", "d3"])) == {"d1", "d3"}
    store.set_status("script", Status.FINISHED, 0)
    assert set(store.blobs(["d1", "d2", "d3"])) == {"d2"}
    store.set_status("other", Status.CANCELLED, 1)
    assert store.blobs(["d2"]) == {}
