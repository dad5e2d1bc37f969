"""What PostgreSQL's store does beyond the contract: races of many clients, answers that are lost, a server that restarts, workers that are cut off."""

import os
import threading
import time

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: PostgreSQL IS NOT TESTED", exc_type=ImportError)

from cable import cable_to
from durable.postgres_stores import other, store  # noqa: F401 - fixtures
from durable.store_contract import a_run, begun, ids, new, save, worker
from postgresql import server
from stackful.durable.postgres import PostgresStore
from stackful.durable.postgres.attending import Attendant
from stackful.durable.records import Change, NewRun, NewSignal, Queue, Worker
from stackful.durable.store import Status
from stackful.errors import StoreError

ROUNDS = 40


@pytest.fixture
def cabled(store, postgres_url):
    """A store at the other end of a cable, and the cable."""
    with cable_to(postgres_url) as (cable, url):
        opened = PostgresStore(url)
        yield opened, cable
        cable.tear()
        opened.close()


def at_once(*calls):
    """Make calls in threads of their own, all at the same moment; their results."""
    barrier = threading.Barrier(len(calls))
    results = [None] * len(calls)

    def call(place, function):
        barrier.wait()
        try:
            results[place] = function()
        except Exception as error:  # to be raised in the test's own thread
            results[place] = error

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


# --- the schema -------------------------------------------------------------------------------------------------------


def test_processes_that_come_at_once_make_the_tables_once(postgres_url):
    """Whoever is second waits, and finds them."""
    stores = at_once(*[lambda: PostgresStore(postgres_url)] * 4)
    stores[0].add_runs([new()])
    assert [opened.run("one").id for opened in stores] == ["one"] * 4
    for opened in stores:
        opened.close()


def test_a_store_of_a_later_version_is_refused(postgres_server, store, postgres_url):
    """An old release does not write to tables that it does not know."""
    postgres_server.execute("COMMENT ON SCHEMA stackful IS 'Stackful 99'", postgres_url)
    with pytest.raises(StoreError, match="made by a later version of Stackful; upgrade this one"):
        PostgresStore(postgres_url)


def test_a_schema_of_somebody_else_is_refused(postgres_server, postgres_url):
    """What is called `stackful` and is none of ours stays as it is."""
    postgres_server.execute("CREATE SCHEMA stackful CREATE TABLE theirs ()", postgres_url)
    with pytest.raises(StoreError, match="the schema `stackful` of .* belongs to another program"):
        PostgresStore(postgres_url)
    assert postgres_server.execute("SELECT count(*) FROM stackful.theirs", postgres_url) == [(0,)]


def test_an_empty_database_is_no_store_for_those_who_only_look(postgres_server, postgres_url):
    """Nothing is made in it."""
    with pytest.raises(StoreError, match="there is no store of runs in postgresql://"):
        PostgresStore(postgres_url, create=False)
    assert postgres_server.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'stackful'", postgres_url) == [
        (0,)
    ]


# --- races ------------------------------------------------------------------------------------------------------------


def test_a_run_that_begins_to_wait_sees_the_end_that_comes_at_the_same_time(store, other):
    """Of a parent that waits and a child that ends, whoever commits second sees the other: the parent is always woken."""
    worker(store)
    for n in range(ROUNDS):
        parent, child = f"p{n}", f"c{n}"
        store.add_runs([new(parent), new(child)], "w1")
        at_once(
            lambda: store.commit([save(parent, change=Change(Status.WAITING, waits="run:c", awaits=(child,)))]),  # noqa: B023
            lambda: other.commit([save(child, data=None, change=Change(Status.FINISHED))]),  # noqa: B023
        )
        assert ids(store.claim("w1", 10)) == [parent]


def test_two_ends_at_the_same_time_wake_who_waits_for_both(store, other):
    """Neither leaves it to the other."""
    worker(store)
    for n in range(ROUNDS):
        parent, a, b = f"p{n}", f"a{n}", f"b{n}"
        store.add_runs([new(parent), new(a), new(b)], "w1")
        store.commit([save(parent, change=Change(Status.WAITING, waits="runs:2", awaits=(a, b)))])
        at_once(
            lambda: store.commit([save(a, data=None, change=Change(Status.FINISHED))]),  # noqa: B023
            lambda: other.commit([save(b, data=None, change=Change(Status.FINISHED))]),  # noqa: B023
        )
        assert ids(store.claim("w1", 10)) == [parent]


def test_a_run_that_begins_to_wait_sees_the_signal_that_comes_at_the_same_time(store, other):
    """No signal is overlooked."""
    worker(store)
    for n in range(ROUNDS):
        name = f"r{n}"
        store.add_runs([new(name)], "w1")
        at_once(
            lambda: store.commit([save(name, change=Change(Status.WAITING, waits="signal:go"))]),  # noqa: B023
            lambda: other.send([NewSignal(name, "go", b"")]),  # noqa: B023
        )
        assert ids(store.claim("w1", 10)) == [name]


def test_workers_that_claim_at_once_share_what_is_there(store, other):
    """Every run goes to one of them, none to both, none to nobody."""
    worker(store)
    worker(other, "w2")
    for n in range(ROUNDS):
        names = {f"{n}-{m}" for m in range(8)}
        store.add_runs([new(name) for name in sorted(names)])
        first, second = at_once(lambda: store.claim("w1", 5), lambda: other.claim("w2", 5))
        rest = [] if len(first) + len(second) == 8 else store.claim("w1", 10)
        claimed = ids(first) + ids(second) + ids(rest)
        assert sorted(claimed) == sorted(names)


def test_a_queue_keeps_its_limit_when_workers_claim_at_once(store, other):
    """Concurrency and rate hold over all workers together."""
    worker(store)
    worker(other, "w2")
    store.put_queue(Queue("narrow", concurrency=3))
    store.put_queue(Queue("slow", rate=(3, 3600.0)))
    for n in range(ROUNDS):
        store.add_runs([new(f"n{n}-{m}", queue="narrow") for m in range(4)])
        store.add_runs([new(f"s{n}-{m}", queue="slow") for m in range(4)])
        first, second = at_once(lambda: store.claim("w1", 10), lambda: other.claim("w2", 10))
        begun_here = [c for c in first + second if c.run.queue == "narrow"]
        assert len(begun_here) == 3
        store.commit([save(c.run.id, c.fence, data=None, change=Change(Status.FINISHED)) for c in begun_here])
    slow = [run for run in store.runs() if run.queue == "slow" and run.started is not None]
    assert len(slow) == 3


def test_a_key_is_given_once_when_many_start_at_once(store, other):
    """Of runs with the same key, started at the same moment, there is one."""
    for n in range(ROUNDS):
        (first,), (second,) = at_once(
            lambda: store.add_runs([new(f"a{n}", dedup=f"k{n}")]),
            lambda: other.add_runs([new(f"b{n}", dedup=f"k{n}")]),  # noqa: B023
        )
        assert first[0] == second[0]
        assert sorted([first[1], second[1]]) == [-1, 0]


# --- answers that are lost --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_heard", [True, False], ids=["committed", "not committed"])
def test_a_commit_whose_answer_is_lost_is_done_once(store, cabled, is_heard):
    """Whether the server had done it or not, a signal is there once, and its sender is told that it was taken."""
    far, cable = cabled
    store.add_runs([new()])
    cable.lose, cable.is_heard = b"COMMIT", is_heard
    assert far.send([NewSignal("one", "go", b"1")]) == [True]
    assert cable.lost == 1
    assert [signal.payload for signal in store.signals("one")] == [b"1"]


@pytest.mark.parametrize("is_heard", [True, False], ids=["committed", "not committed"])
def test_runs_are_added_once_when_the_answer_is_lost(store, cabled, is_heard):
    """They are not taken for ones that were there before."""
    far, cable = cabled
    cable.lose, cable.is_heard = b"COMMIT", is_heard
    assert far.add_runs([new("one"), new("two")]) == [("one", 0), ("two", 0)]
    assert cable.lost == 1
    assert [run.id for run in store.runs()] == ["two", "one"]


@pytest.mark.parametrize("is_heard", [True, False], ids=["committed", "not committed"])
def test_a_claim_whose_answer_is_lost_is_not_lost(store, cabled, is_heard):
    """The worker has its run, with a fence that is in force."""
    far, cable = cabled
    store.add_runs([new()])
    worker(far)
    cable.lose, cable.is_heard = b"COMMIT", is_heard
    (claimed,) = far.claim("w1", 10)
    assert cable.lost == 1
    assert far.commit([save(fence=claimed.fence)]) == []


@pytest.mark.parametrize("is_heard", [True, False], ids=["committed", "not committed"])
def test_a_state_whose_answer_is_lost_is_stored(store, cabled, is_heard):
    """A step's own commit is one statement that may be done twice."""
    far, cable = cabled
    begun(far)
    cable.lose, cable.is_heard = b"a state to be lost", is_heard
    assert far.commit([save(data=b"a state to be lost")]) == []
    assert cable.lost == 1
    assert store.state("one").data == b"a state to be lost"


@pytest.mark.parametrize("is_heard", [True, False], ids=["committed", "not committed"])
def test_a_shared_transaction_whose_answer_is_lost_is_told_as_it_was(store, cabled, is_heard):
    """If it was committed, the run goes on; if not, its code is told, and nothing of it is there."""
    far, cable = cabled
    begun(far)
    with store.transaction() as shared:
        shared.connection.execute("CREATE TABLE mine (x integer)")
        begun_twice = save("one", seq=1)
        shared.save(begun_twice)

    def work():
        with far.transaction() as shared:
            shared.connection.execute("INSERT INTO mine VALUES (1)")
            assert shared.save(save(seq=2))
            cable.lose, cable.is_heard = b"COMMIT", is_heard

    if is_heard:
        work()
    else:
        with pytest.raises(StoreError, match="the server is away"):
            work()
    assert cable.lost == 1
    assert store.run("one").seq == (2 if is_heard else 1)
    with store.transaction() as shared:
        assert shared.connection.execute("SELECT count(*) FROM mine").fetchall() == [(int(is_heard),)]


# --- round trips ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 64])
def test_a_group_of_states_is_one_round_trip(store, cabled, size):
    """However many states there are in it."""
    far, cable = cabled
    worker(far)
    names = [f"r{n}" for n in range(size)]
    far.add_runs([new(name) for name in names], "w1")
    turns = []
    for seq in range(1, 10):  # a statement is prepared when it first comes
        before = cable.turns
        assert far.commit([save(name, seq=seq) for name in names]) == []
        turns.append(cable.turns - before)
    # An answer may come before all is sent, which looks like a turn more; who had to wait for it would need one each time.
    assert min(turns) == 1


def test_a_group_with_all_sorts_of_changes_is_two_round_trips(store, cabled):
    """Ends, waits, signals and children go into one transaction; its commit waits for the answer, and so is done once."""
    far, cable = cabled
    worker(far)
    turns = []
    for seq in range(1, 200):
        names = [f"{seq}-{n}" for n in range(4)]
        far.add_runs([new(name) for name in names], "w1")
        changes = [
            Change(Status.FINISHED, result=b"x"),
            Change(Status.WAITING, waits="run", awaits=(names[0],)),
            Change(signals=(NewSignal(names[1], "go", b""),), attributes={"n": seq}),
            Change(runs=(new(f"child-{seq}", parent=names[3]),)),
        ]
        before = cable.turns
        assert far.commit([save(name, change=change) for name, change in zip(names, changes, strict=True)]) == []
        turns.append(cable.turns - before)
        if (
            seq > 3 and turns[-1] == 2
        ):  # statements are prepared; other sessions, which are opened meanwhile, are heard no more
            break
    assert min(turns) == 2


# --- workers ----------------------------------------------------------------------------------------------------------


def heard_by(store):
    """The kinds of what a store is told, and a function that waits for one."""
    heard = []
    news = threading.Condition()

    def callback(kind, subject):
        with news:
            heard.append(kind)
            news.notify_all()

    def wait_for(kind):
        with news:
            assert news.wait_for(lambda: kind in heard, 10), heard
            heard.clear()

    store.listen(callback)
    return wait_for


def test_a_worker_whose_connection_ends_is_dead_at_once(store, cabled):
    """Its neighbour is told, and takes its runs over, long before the lease has run out; the dead worker commits nothing more."""
    far, cable = cabled
    worker(store)
    wait_for = heard_by(store)
    worker(far, "w2")
    far.add_runs([new()], "w2")
    wait_for("worker")
    cable.is_cut = True
    cable.tear()
    wait_for("worker")
    assert [w.id for w in store.workers()] == ["w1"]
    assert store.recover() == 1
    (claimed,) = store.claim("w1", 10)
    assert claimed.fence > 1
    cable.is_cut = False
    assert far.commit([save(data=b"late")]) == ["one"]
    assert far.heartbeat("w2") is False


def test_what_is_heard_while_somebody_begins_to_listen_is_told_when_he_does(store, other, monkeypatch):
    """A callback may want a lock that is held by who is just about to listen: nobody waits for the other."""
    lock = threading.Lock()
    heard = threading.Event()
    hold_wanted = Attendant._hold_wanted

    def with_news(attendant, session):
        if not attendant._is_listening:
            other.add_runs([new()])
            session.execute("SELECT pg_sleep(0.1)")  # the news come with its answer
            session.execute("SELECT pg_sleep(0.1)")
        hold_wanted(attendant, session)

    def callback(kind, subject):
        with lock:
            heard.set()

    monkeypatch.setattr(Attendant, "_hold_wanted", with_news)
    with lock:
        store.listen(callback)
    assert heard.wait(10)


def test_workers_form_a_ring(postgres_url):
    """With many workers each death is told, also of two neighbours at once."""
    stores = [PostgresStore(postgres_url) for _ in range(4)]
    for n, living in enumerate(stores):
        worker(living, f"w{n}")
        living.add_runs([new(f"r{n}")], f"w{n}")
    first = heard_by(stores[0])
    with_cable = []
    for n in (4, 5):
        context = cable_to(postgres_url)
        cable, url = context.__enter__()
        dying = PostgresStore(url)
        worker(dying, f"w{n}")
        dying.add_runs([new(f"r{n}")], f"w{n}")
        with_cable.append((context, cable, dying))
    first("worker")
    for _, cable, _ in with_cable:
        cable.is_cut = True
        cable.tear()
    end = time.monotonic() + 10
    freed = 0
    while freed < 2 and time.monotonic() < end:
        first("worker")
        freed += sum(living.recover() for living in stores)
    assert freed == 2
    assert sorted(w.id for w in stores[0].workers()) == ["w0", "w1", "w2", "w3"]
    for context, cable, dying in with_cable:
        cable.is_cut = False
        dying.close()
        context.__exit__(None, None, None)
    for living in stores:
        living.close()


def test_a_worker_that_is_not_heard_of_is_dead_after_its_lease(postgres_server, postgres_url, store):
    """Though its connections are there: it is paused, perhaps. They are ended, and what it holds locked is free."""
    paused = PostgresStore(postgres_url, lease=2.0)
    worker(paused, "w2")
    paused.add_runs([new()], "w2")
    begun_there = paused.transaction()
    shared = begun_there.__enter__()
    shared.save(save(data=b"half"))  # its row is locked
    wait_for = heard_by(store)
    worker(store)
    assert store.recover() == 0
    time.sleep(2.1)
    store.heartbeat("w1")
    wait_for("worker")
    assert store.recover() == 1
    (claimed,) = store.claim("w1", 10)
    assert (claimed.run.id, claimed.state) == ("one", None)
    with pytest.raises(StoreError):
        begun_there.__exit__(None, None, None)
    assert paused.commit([save(data=b"late")]) == ["one"]
    assert store.state("one") is None
    paused.close()


def test_a_worker_lives_while_its_heart_beats(postgres_url, store):
    """The lease runs from the last time that it was heard of."""
    living = PostgresStore(postgres_url, lease=3.0)
    worker(living, "w2")
    living.add_runs([new()], "w2")
    for _ in range(8):
        time.sleep(0.5)
        assert living.heartbeat("w2") is True
    assert store.recover() == 0
    assert living.commit([save()]) == []
    living.close()


def test_a_restart_of_the_server_takes_no_run_from_anybody():
    """All locks are free then, and all leases old; workers that come back find their runs where they were, and are told to look."""
    with server() as restarted:
        store, other = (PostgresStore(restarted.url(), lease=30.0) for _ in range(2))
        begun(store)
        worker(other, "w2")
        told, told_other = heard_by(store), heard_by(other)
        restarted.restart()
        told("lost")
        told_other("lost")
        assert (store.recover(), other.recover()) == (0, 0)
        assert store.heartbeat("w1") is True
        assert store.commit([save()]) == []
        store.add_runs([new("two")])
        told_other("due")
        assert [w.id for w in other.workers()] == ["w1", "w2"]
        store.close()
        other.close()


def test_a_worker_that_does_not_come_back_after_a_restart_is_dead_after_its_lease():
    """The lease begins anew with the server."""
    with server() as restarted, cable_to(restarted.url()) as (cable, url):
        store, gone = PostgresStore(restarted.url()), PostgresStore(url, lease=10.0)
        worker(gone, "w2")
        gone.add_runs([new()], "w2")
        worker(store)
        wait_for = heard_by(store)
        cable.is_cut = True
        cable.tear()
        restarted.restart()
        wait_for("lost")
        assert store.recover() == 0
        end = time.monotonic() + 60
        while not store.recover():
            assert time.monotonic() < end
            time.sleep(0.2)
        cable.is_cut = False
        gone.close()
        store.close()


def test_the_clock_is_the_servers(store, monkeypatch):
    """A machine whose clock jumps neither wakes a run early nor lets it sleep on."""
    begun(store)
    store.commit([save(change=Change(Status.SLEEPING, wake=store.now() + 0.5))])
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert store.now() < 3e9
    assert store.claim("w1", 10) == []
    time.sleep(0.6)
    assert ids(store.claim("w1", 10)) == ["one"]


def test_a_forked_child_opens_connections_of_its_own(store):
    """The parent's go on in the parent."""
    store.add_runs([new()])
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(writer, store.run("one").id.encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 10) == b"one"
    os.close(reader)
    os.close(writer)
    assert store.run("one").id == "one"


# --- what PostgreSQL does not take ------------------------------------------------------------------------------------


def test_text_that_postgresql_does_not_take_is_stored_as_it_is_written(store):
    """A traceback with a NUL character, or half of a surrogate pair, ends a run all the same."""
    begun(store)
    store.commit([save(data=None, change=Change(Status.FAILED, error="a\0b\udc80"))])
    assert store.outcomes(["one"])[0].error == "a\\x00b\\udc80"


def test_attributes_that_postgresql_does_not_take_are_refused(store):
    """With a StoreError, and nothing has changed."""
    with pytest.raises(StoreError, match="cannot be used: PostgreSQL says: unsupported Unicode escape"):
        store.add_runs([NewRun(a_run(attributes={"a": "\0"}))])
    assert store.runs() == []


# --- keys -------------------------------------------------------------------------------------------------------------


def test_who_looks_at_an_empty_store_does_not_decide_on_its_key(store):
    """The first key to seal something there is the one; a key that was only known is given up for it."""
    store.check_keys(["looked"])
    store.check_keys(["works"])
    store.add_runs([new()])
    store.check_keys(["newer", "works"])
    for late in (["looked"], ["another"]):
        with pytest.raises(StoreError, match="sealed with another key"):
            store.check_keys(late)


def test_a_store_with_a_worker_keeps_its_key(store, other):
    """Though nothing is in it yet: what comes next is sealed with that."""
    store.check_keys(["works"])
    store.join(Worker("w", "here", 1, store.now()))
    with pytest.raises(StoreError, match="sealed with another key"):
        other.check_keys(["another"])
